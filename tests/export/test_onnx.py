"""The networks as ONNX graphs: what they compute, how large they are, and when nothing is written."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_runs
import torch
from dreams import ACTIONS, random_agent
from playing import catch_source
from random_weights import randomised

from diamond.agents.agent import Agent
from diamond.cli.main import main
from diamond.config.presets import atari100k
from diamond.diffusion.edm import denoise
from diamond.errors import ExportError
from diamond.experience.frames import to_network, to_pixel_grid
from diamond.export.check import TOLERANCE, differences, require_agreement
from diamond.export.folder import export
from diamond.export.graphs import INPUTS, OUTPUTS, Graph, make_graphs
from diamond.networks.reward_termination import RewardTerminationModel
from diamond.play.game.source import Source

EXACT = 1e-5
"""Greatest difference of float32 arithmetic in another order, for the tiny networks."""


@pytest.fixture(scope="module")
def source() -> Source:
    """A dream of Catch by random weights."""
    return dataclasses.replace(catch_source(), agent=catch_agent())


def catch_agent() -> Agent:
    agent = Agent.create(tiny_runs.tiny(), ACTIONS, seed=0, action_meanings=("LEFT", "NOOP", "RIGHT"))
    for network in agent.networks.values():
        randomised(network)
    return agent


@pytest.fixture(scope="module")
def graphs(source: Source) -> dict[str, Graph]:
    return make_graphs(source.agent, half=False)


def test_they_agree_with_pytorch_on_a_dream_of_several_steps(source: Source, graphs: dict[str, Graph]) -> None:
    found = differences(source.agent, graphs, source.starts)
    assert found.keys() == {"denoiser", "reward_model", "actor_critic"}
    assert all(0 < difference < EXACT for difference in found.values()), found
    require_agreement(found, half=False)


def test_what_the_denoiser_says_is_the_denoised_frame_once_it_is_rounded(
    source: Source, graphs: dict[str, Graph], generator: torch.Generator
) -> None:
    agent = source.agent
    noisy = torch.randn(1, 3, 16, 16, generator=generator)
    frames = to_network(torch.from_numpy(np.stack(source.starts[0].frames))[None])
    sigma, actions = torch.tensor([0.7]), torch.tensor([[0, 1, 2, 1]], dtype=torch.int32)
    session = onnxruntime.InferenceSession(graphs["denoiser"].onnx)
    values = (noisy, sigma, frames, actions)
    (said,) = session.run(None, {name: value.numpy() for name, value in zip(INPUTS["denoiser"], values, strict=True)})
    wanted = denoise(agent.denoiser, noisy, sigma, frames, actions, agent.config.denoiser)
    off = (to_pixel_grid(torch.from_numpy(said)) - wanted).abs()
    assert off.max() < 1.01 * 2 / 255  # where both lie beside the middle between two levels
    assert (off > 1e-6).float().mean() < 0.01


def test_files_hold_all_they_need_and_nothing_of_this_machine(graphs: dict[str, Graph]) -> None:
    for name, graph in graphs.items():
        model = onnx.load_from_string(graph.onnx)
        onnx.checker.check_model(model)
        assert tuple(value.name for value in model.graph.input) == INPUTS[name]
        assert tuple(value.name for value in model.graph.output) == OUTPUTS[name]
        assert not any(weight.external_data for weight in model.graph.initializer)
        assert str(Path(__file__).parents[2]).encode() not in graph.onnx
        assert b".py" not in graph.onnx


def test_convolutions_take_four_channels_at_once(graphs: dict[str, Graph]) -> None:
    """Others are wrong on WebGPU, see `FilledConv`."""
    for graph in graphs.values():
        model = onnx.load_from_string(graph.onnx)
        shapes = {weight.name: weight.dims for weight in model.graph.initializer}
        kernels = [shapes[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
        assert kernels and not [shape for shape in kernels if shape[1] % 4]


def test_half_the_bits_are_half_the_size_and_close(source: Source, graphs: dict[str, Graph]) -> None:
    halved = make_graphs(source.agent, half=True)
    found = differences(source.agent, halved, source.starts)
    assert all(EXACT < difference < TOLERANCE[True] for difference in found.values()), found
    weights = {name: sum(p.numel() for p in net.parameters()) for name, net in source.agent.networks.items()}
    for name, graph in halved.items():
        saved = len(graphs[name].onnx) - len(graph.onnx)
        assert saved > 1.5 * weights[name], name  # of 2 bytes a weight; vectors stay as they are, casts are added


def test_a_graph_that_computes_something_else_is_refused(source: Source, graphs: dict[str, Graph]) -> None:
    another = random_agent(source.agent.config)
    torch.nn.init.constant_(another.actor_critic.actor.bias, 3.0)
    mixed = graphs | {"actor_critic": Graph(make_module(another), graphs["actor_critic"].onnx)}
    with pytest.raises(ExportError, match=r"actor_critic\.onnx differs from PyTorch by [\d.]+, more than 0\.001"):
        require_agreement(differences(source.agent, mixed, source.starts, steps=1), half=False)
    with pytest.raises(ExportError, match="by nan"):
        require_agreement({"denoiser": float("nan")}, half=False)


def make_module(agent: Agent) -> torch.nn.Module:
    from diamond.export.graphs import ActorCriticGraph

    return ActorCriticGraph(agent)


def test_the_folder_says_what_is_in_it(source: Source, tmp_path: Path) -> None:
    told: list[str] = []
    written = export(source, tmp_path / "out", "onnx", half=False, progress=told.append)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"denoiser.onnx", "reward_model.onnx", "actor_critic.onnx", "starts.bin", "dream.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # nothing beside it
    facts = json.loads((tmp_path / "out/dream.json").read_text(encoding="utf-8"))
    assert facts["differences"] == written.differences
    assert (facts["height"], facts["width"], facts["context_length"]) == (16, 16, 4)
    assert facts["actions"][1] == {"name": "NOOP", "buttons": []}
    assert facts["sampler"]["s_tmax"] is None
    assert facts["settings"]["denoising_steps"] == source.agent.config.sampler.num_steps
    taken = [list(past.actions) for past in source.starts]
    assert facts["starts"] == {"count": len(taken), "frames": 4, "actions": taken}
    assert facts["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]  # "+cu130" names the build
    assert written.dream_bytes == written.total_bytes == sum(f.stat().st_size for f in (tmp_path / "out").iterdir())


def test_a_folder_that_holds_something_is_refused_and_left_alone(source: Source, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("precious")
    with pytest.raises(ExportError, match="out already exists: choose a new folder, or remove this one"):
        export(source, tmp_path / "out", "onnx", half=False)
    with pytest.raises(ExportError, match="mine already exists"):
        export(source, tmp_path / "out/mine", "onnx", half=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_an_export_that_fails_leaves_nothing_behind(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, *arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diamond.export.folder.make_graphs", lambda agent, half: {})
    monkeypatch.setattr("diamond.export.folder.differences", lambda *arguments: {})
    monkeypatch.setattr("diamond.export.folder.write_json", fail)
    with pytest.raises(Exception, match=r"out cannot be written \(No space left on device\): free disk space"):
        export(source, tmp_path / "out", "onnx", half=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_remedy(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "weights.pt").touch()
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "weights.pt"), str(tmp_path / "out")])
    assert capsys.readouterr().err == (
        f'diamond: package {package} is not installed: pip install "diamond-wm[export]"\n'
    )


def test_the_command_prints_the_greatest_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_runs.start(tmp_path / "run").path
    monkeypatch.chdir(tmp_path)
    main(["export", str(run), "out", "--format", "onnx", "--half"])
    printed = capsys.readouterr().out
    for name in ("denoiser", "reward_model", "actor_critic"):
        assert re.search(rf"^{name}\.onnx +\d\.\d MB, differs from PyTorch by at most \d\.\de-\d\d$", printed, re.M)
    assert re.search(r"^out: diamond/Catch-v0, \d\.\d MB$", printed, re.M)
    assert (tmp_path / "out/dream.json").is_file()


def test_a_run_without_frames_to_start_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny_runs.start(tmp_path / "run").path
    for episode in (run / "episodes").iterdir():
        episode.unlink()
    with pytest.raises(SystemExit):
        main(["export", str(run), str(tmp_path / "out")])
    assert re.search(r"^diamond: .*holds no finished episode: train the run for longer$", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("half", "denoiser", "dream"), [(False, 20e6, 60e6), (True, 10e6, 30e6)])
def test_the_papers_networks_are_small_enough_to_travel(
    half: bool, denoiser: float, dream: float, tmp_path: Path
) -> None:
    agent = Agent.create(atari100k(), 18, seed=0)
    assert isinstance(agent.reward_model, RewardTerminationModel)
    graphs = make_graphs(agent, half)
    assert len(graphs["denoiser"].onnx) <= denoiser
    # As many frames of noise as an export has to start from; those of a game are a tenth of that once compressed.
    assert sum(len(graph.onnx) for graph in graphs.values()) + 100 * 4 * 64 * 64 * 3 / 2 <= dream
