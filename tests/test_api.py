"""A run in a few lines of Python: load it, act, dream, score, finish; and what is said when something is wrong."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_runs
import torch

import diamond
from diamond.agents.agent import Agent
from diamond.agents.recording import record_real
from diamond.errors import ConfigError, DataError, DeviceError, RunError
from diamond.evaluation.fidelity.instruments import Instruments
from diamond.evaluation.fidelity.plan import Plan
from diamond.evaluation.fidelity.segments import HORIZONS, real_beside_dream
from diamond.experience.episodes import EpisodeFolder
from diamond.experience.frames import to_stored
from diamond.reports.fidelity_folder import report_fidelity
from diamond.runs.checkpoint import open_checkpoint
from diamond.runs.folder import RunFolder
from diamond.training import finish as finish_module
from diamond.training.finish import finish

PUBLISHED = Path(__file__).parent / "fixtures" / "parity" / "atari_agent.pt"
SCHEDULE = {
    "schedule.epochs": 4,
    "schedule.evaluate_every": 1,
    "schedule.checkpoint_every": 1,
    "schedule.keep_every": 2,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second on Catch, shared by all tests here: read it, copy it, never change it."""
    return tiny_runs.start(tmp_path_factory.mktemp("api") / "runs" / "catch", SCHEDULE).path


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A run to damage."""
    return Path(shutil.copytree(run, tmp_path / "runs" / "catch"))


def same_weights(one: Agent, two: dict[str, torch.Tensor]) -> bool:
    ours = one.state_dict()
    return ours.keys() == two.keys() and all(torch.equal(ours[name], two[name]) for name in ours)


# In a few lines


def test_importing_the_package_imports_nothing_heavy() -> None:
    """Names are imported when they are used."""
    heavy = {"torch", "gymnasium", "av", "matplotlib", "tensorboard"}
    code = f"import sys, diamond; print(sorted({heavy!r} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_an_agent_acts(run: Path) -> None:
    agent = diamond.load(run)
    policy = diamond.policy(agent, num_envs=3, seed=0)
    actions = policy.act(np.zeros((3, 16, 16, 3), np.uint8))
    assert agent.action_meanings == ("LEFT", "NOOP", "RIGHT")
    assert actions.shape == (3,)
    assert set(actions.tolist()) <= {0, 1, 2}
    policy.reset(np.array([True, False, False]))
    assert not policy.state[0][0].any()
    assert policy.state[0][1].any()


def test_a_run_is_dreamed(run: Path) -> None:
    """Repeatably, with as many dreams and as long as asked."""
    played = []
    for _ in range(2):
        dreams = diamond.dream(str(run), num_envs=2, horizon=3, seed=7)
        frames, _ = dreams.reset()
        seen = [frames]
        for _ in range(3):
            frames, rewards, terminated, truncated, info = dreams.step(np.array([0, 2]))
            seen.append(info["final_obs"])
        played.append(np.stack(seen))
    assert (terminated | truncated).any()
    assert dreams.single_action_space.n == 3
    assert played[0].shape == (4, 2, 16, 16, 3)
    assert np.array_equal(*played)


def test_dreams_start_from_real_frames(run: Path) -> None:
    """Those of the run's finished episodes; only what lies before an episode's start is padding."""
    folder = EpisodeFolder(run / "episodes")
    real = {frame.tobytes() for index in folder.indices() for frame in folder.read(index).frames[:-1]}
    segment = diamond.load_starts(run)(50, torch.Generator().manual_seed(0))
    assert segment.frames.shape == (50, 4, 3, 16, 16)
    frames = to_stored(segment.frames).numpy()
    for inside, frame in zip(segment.valid.flatten(), frames.reshape(-1, 16, 16, 3), strict=True):
        assert (frame.tobytes() in real) == bool(inside)
    assert segment.valid[:, -1].all(), "the newest frame is always real"
    assert len({frame.tobytes() for frame in frames[:, -1]}) > 5


def test_real_games_are_scored(run: Path) -> None:
    """The summary is ready for JSON; the games go with it."""
    heard: list[tuple[int, int]] = []
    summary, games = diamond.score(diamond.load(run), 3, seed=0, progress=lambda done, all_: heard.append((done, all_)))
    assert json.loads(json.dumps(summary)) == summary
    assert summary["mean"] == pytest.approx(np.mean(games.returns))
    assert set(games.returns) <= {-1, 1}
    assert heard[-1] == (3, 3)


def test_published_weights_act() -> None:
    agent = diamond.load(PUBLISHED)
    height, width = agent.config.env.height, agent.config.env.width
    actions = diamond.policy(agent, num_envs=2).act(np.zeros((2, height, width, 3), np.uint8))
    assert actions.shape == (2,)
    assert agent.config.denoiser.published


def test_without_a_name_the_newest_run_is_taken(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent.parent)
    assert same_weights(diamond.load(), tiny_runs.newest(run).tensors("agent"))
    assert diamond.dream().num_envs == 1
    assert diamond.load_starts()(1, torch.Generator()).frames.shape[0] == 1


# Which checkpoint


def test_checkpoints_by_name(run: Path) -> None:
    newest = tiny_runs.newest(run)
    assert newest.epoch == 4
    assert same_weights(diamond.load(run), newest.tensors("agent"))
    second = open_checkpoint(run / "checkpoints" / "epoch-000002").tensors("agent")
    assert same_weights(diamond.load(run, 2), second)
    assert not same_weights(diamond.load(run), second)
    best = newest.facts["best_epoch"]
    path = run / "checkpoints" / f"epoch-{best:06d}"
    assert same_weights(diamond.load(run, "best"), open_checkpoint(path).tensors("agent"))


def test_a_dream_of_another_checkpoint(run: Path) -> None:
    frames = []
    for which in (2, "last"):
        dreams = diamond.dream(run, which=which)
        dreams.reset(seed=0)
        frames.append(dreams.step(np.array([1]))[-1]["final_obs"])
    assert not np.array_equal(*frames)


def test_a_checkpoint_that_is_not_there(run: Path) -> None:
    with pytest.raises(RunError, match=r"no checkpoint of epoch 7: choose one of .*2.*4"):
        diamond.load(run, 7)


def test_a_checkpoint_of_no_such_name(run: Path) -> None:
    """In a process of its own, as the types checked in tests would refuse it before."""
    code = f"import diamond; diamond.load({str(run)!r}, 'last epoch')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    message = ended.stderr.splitlines()[-1]
    assert re.search(r"RunError: checkpoint is 'last epoch': choose last, best, or an epoch of .*: (\d, )*4$", message)


def test_no_best_without_evaluation(tmp_path: Path) -> None:
    run = tiny_runs.start(tmp_path / "run", {"schedule.epochs": 1})
    with pytest.raises(RunError, match="never evaluated during training: load its last"):
        diamond.load(run.path, "best")


# What can be wrong

LOADERS = [diamond.load, diamond.dream, diamond.load_starts]


@pytest.mark.parametrize("use", LOADERS)
def test_no_run(use: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="is not a run: give a folder made by `diamond train`"):
        use(tmp_path / "missing")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run found in .*runs"):
        use()


@pytest.mark.parametrize("use", LOADERS)
def test_no_such_device(use: Callable[..., object], run: Path) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        use(run, device="cuda:99")


def test_weights_alone_are_not_dreamed() -> None:
    """A dream starts from real frames, which only a run has."""
    with pytest.raises(RunError, match="is not a run"):
        diamond.dream(PUBLISHED)


def test_a_damaged_file_is_named(copied: Path) -> None:
    weights = copied / "checkpoints" / "epoch-000004" / "agent.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunError, match=r"agent\.safetensors is damaged \(its checksum differs\)"):
        diamond.load(copied)
    weights.unlink()
    with pytest.raises(RunError, match=r"agent\.safetensors is damaged \(missing\)"):
        diamond.load(copied)


def test_an_older_checkpoint_outlives_the_newest(copied: Path) -> None:
    (copied / "checkpoints" / "epoch-000004" / "checkpoint.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"checkpoint\.json is damaged"):
        diamond.load(copied)
    older = open_checkpoint(copied / "checkpoints" / "epoch-000002").tensors("agent")
    assert same_weights(diamond.load(copied, 2), older)


def test_a_configuration_of_another_size_is_named(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["actor_critic"]["lstm_size"] = 24
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(RunError, match=r"does not fit .*config\.json"):
        diamond.load(copied)


def test_nothing_learned_yet(copied: Path) -> None:
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(RunError, match="holds no checkpoint yet"):
        diamond.load(copied)


def test_nothing_played_yet(copied: Path) -> None:
    for episode in (copied / "episodes").iterdir():
        episode.unlink()
    with pytest.raises(DataError, match="holds no finished episode: train the run for longer"):
        diamond.load_starts(copied)


# The end of training


def test_real_beside_dream(run: Path) -> None:
    """As long as asked, or as the games last: twelve steps here, four of which are context."""
    agent = diamond.load(run)
    recording = record_real(agent, seed=0, steps=40, num_envs=2, random=True)
    assert recording.frames.shape == (40, 2, 16, 16, 3)
    for steps, length in ((3, 3), (100, 8)):
        real, dreamed = real_beside_dream(agent, recording, steps, seed=0)
        assert real.shape == dreamed.shape == (length, 16, 16, 3)
        again = real_beside_dream(agent, recording, steps, seed=0)
        assert np.array_equal(real, again[0])
        assert np.array_equal(dreamed, again[1])
        assert not np.array_equal(real, dreamed)


def test_no_game_is_long_enough_for_a_dream(run: Path) -> None:
    agent = diamond.load(run)
    recording = record_real(agent, seed=0, steps=4, num_envs=2)
    with pytest.raises(DataError, match="no recorded game lasts 5 steps"):
        real_beside_dream(agent, recording, 10, seed=0)


def test_short_games_are_compared_as_far_as_they_go(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen steps ahead are more than a game of Catch has; training must not fail for that at its very end."""
    monkeypatch.setattr(finish_module, "RECORDED_STEPS", 30)
    evaluation = finish(RunFolder.open(copied), lambda text: None)
    assert json.loads((copied / "evaluation.json").read_text(encoding="utf-8")) == evaluation
    errors = json.loads((copied / "dream-errors.json").read_text(encoding="utf-8"))
    assert errors["horizons"] == [horizon for horizon in HORIZONS if horizon <= 8]
    assert (copied / "dream.mp4").stat().st_size > 0
    assert "<html" in (copied / "report.html").read_text(encoding="utf-8")


def test_games_too_short_to_compare_are_still_scored(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish_module, "RECORDED_STEPS", 4)
    said: list[str] = []
    finish(RunFolder.open(copied), said.append)
    assert said[-1] == "not compared: no real game lasted 5 steps"
    assert (copied / "evaluation.json").is_file()
    assert (copied / "report.html").is_file()
    assert not (copied / "dream-errors.json").exists()


@pytest.mark.slow
def test_a_finished_atari_run(finished_run: Path) -> None:
    """All of it on a run that the command line made."""
    agent = diamond.load(finished_run)
    policy = diamond.policy(agent, num_envs=2)
    dreams = diamond.dream(finished_run, num_envs=2, horizon=5)
    frames, _ = dreams.reset(seed=0)
    for _ in range(6):
        frames, _, terminated, truncated, _ = dreams.step(policy.act(frames))
        policy.reset(terminated | truncated)
    assert frames.shape == (2, 16, 16, 3)
    assert diamond.score(agent, 1, seed=0, max_episode_steps=20)[0]["n"] == 1
    errors = json.loads((finished_run / "dream-errors.json").read_text(encoding="utf-8"))
    assert errors["horizons"] == list(HORIZONS)


# How far a dream can be trusted


@pytest.fixture(scope="module")
def trusted(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The record and the page of a measurement."""
    return report_fidelity(run, Plan(games=10, contexts=20), tmp_path_factory.mktemp("api") / "out")


def test_a_dream_is_measured_on_games_of_both_kinds(run: Path, trusted: tuple[dict[str, Any], Path]) -> None:
    """Games of Catch last twelve steps, the context takes four frames of them."""
    record, page = trusted
    assert json.loads(page.with_name("fidelity.json").read_text(encoding="utf-8")) == record
    assert [one["name"] for one in record["sets"]] == ["agent", "random"]
    for one in record["sets"]:
        assert one["lengths"] == [12] * 10
        assert one["num_cut"] == 0
        assert one["open_loop"]["horizons"] == [1, 2, 3, 5, 7]
        assert one["one_step"]["num_frames"] == 10 * 9
        assert one["termination"]["support"] == [110, 10]
        assert one["reward"]["support"][1] == 110, "a ball pays when it lands"
        assert one["features"] is None
    assert record["sets"][0]["returns"] != record["sets"][1]["returns"]
    assert record["actions"]["num_moments"] == 20
    assert [row["meaning"] for row in record["actions"]["actions"]] == ["NOOP", "RIGHT"]
    assert record["weights"] == diamond.load(run).fingerprint()
    assert {"command", "commit", "machine", "diamond", "plan", "checkpoint"} <= record.keys()


def test_the_page_of_a_measurement_stands_on_its_own(trusted: tuple[dict[str, Any], Path]) -> None:
    text = trusted[1].read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert text.count("<img") == 4, "a typical and the worst game of each kind"
    for one in trusted[0]["sets"]:
        assert one["open_loop"]["end"] in text


@pytest.mark.parametrize(
    ("name", "message"),
    [("file", "is a file: name a new folder"), ("file/inside", "cannot be written"), ("full", "holds something else")],
)
def test_places_that_are_taken_are_told_at_once(run: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "full").mkdir()
    for file in ("file", "full/fidelity.json"):
        (tmp_path / file).write_text('{"kind": "something else"}', encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        report_fidelity(run, Plan(), tmp_path / name)


def test_games_of_others_are_measured_too(run: Path, copied: Path, tmp_path: Path) -> None:
    """Whatever a run of the same game collected; the real game cannot be asked what other actions would have done."""
    others = tiny_runs.start(
        tmp_path / "other",
        {"seed": 8, "collection.first_epoch_min_steps": 130, "collection.first_epoch_max_steps": 130},
    ).episodes
    record, _ = report_fidelity(copied, Plan(), data=others)
    (recorded,) = record["sets"]
    assert recorded["num_games"] >= 10
    assert record["actions"]["actions"][0]["real"] is None
    assert (copied / "fidelity" / "report.html").is_file()

    shutil.copytree(others, tmp_path / "copy")
    for index in EpisodeFolder(others).indices():
        shutil.copy(others / f"{index:06d}.npz", copied / "episodes")
    with pytest.raises(DataError, match="0 games of more than .*trained on left out: record at least 10"):
        report_fidelity(copied, Plan(), data=tmp_path / "copy")


def test_the_checkpoint_that_was_measured_is_named(copied: Path, tmp_path: Path) -> None:
    """Also where a newer one was written meanwhile."""
    *_, older, newest = sorted((copied / "checkpoints").iterdir())
    aside = newest.rename(tmp_path / newest.name)

    def progress(what: str, done: int, wanted: int) -> None:
        if aside.exists():
            aside.rename(newest)

    record, _ = report_fidelity(copied, Plan(games=10, contexts=1), progress=progress)
    assert newest.exists()
    assert record["checkpoint"] == int(older.name.split("-")[-1])


def test_a_checkpoint_within_an_epoch_is_measured(copied: Path) -> None:
    """The newest weights, not those of the last whole epoch."""
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        tiny_runs.resume(copied, {"schedule.epochs": 5}, stop=lambda: next(asked, True))
    name = tiny_runs.newest(copied).path.name
    assert name.startswith("epoch-000004-")
    record, _ = report_fidelity(copied, Plan(games=10, contexts=1))
    assert (record["checkpoint"], record["checkpoint_name"]) == (4, name)
    assert record["weights"] == diamond.load(copied).fingerprint()


def test_games_of_another_game_are_no_measure(run: Path, copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["env"] |= {"id": "MinAtar/Breakout-v1", "height": 16, "width": 16}
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(DataError, match="holds games of MinAtar/Breakout-v1: give games of diamond/Catch-v0"):
        report_fidelity(run, Plan(), tmp_path / "out", data=copied / "episodes")


def test_a_published_file_needs_a_place_for_its_result() -> None:
    with pytest.raises(ConfigError, match="--out is missing"):
        report_fidelity(PUBLISHED, Plan())


def test_weights_of_another_game_are_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Breakout has 4 actions, .* trained for 6: name the game"):
        report_fidelity(PUBLISHED, Plan(), tmp_path / "out", game="Breakout")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def make_features(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, bool], Path]:
    """Makes a feature network of one size: the means of every row of pixels, of frames or of clips."""
    folder = tmp_path_factory.mktemp("features")

    def make(size: int, clips: bool) -> Path:
        path, time = folder / f"{size}-{clips}.onnx", ["t"] if clips else []
        nodes = [
            onnx.helper.make_node("ReduceMean", ["frames"], ["rows"], axes=[2, 4] if clips else [3], keepdims=0),
            onnx.helper.make_node("Flatten", ["rows"], ["features"]),
        ]
        ends = {"frames": ["n", 3, *time, size, size], "features": ["n", 3 * size]}
        infos = [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in ends.items()
        ]
        graph = onnx.helper.make_graph(nodes, "rows", infos[:1], infos[1:])
        opset = onnx.helper.make_opsetid("", 13)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))
        return path

    return make


def test_features_of_frames_are_compared(run: Path, tmp_path: Path, make_features: Callable[[int, bool], Path]) -> None:
    """Real games are nearer to each other than the dream of a run of a second; clips need sixteen frames."""
    instruments = Instruments.open(None, make_features(16, False), "cpu")
    record, page = report_fidelity(run, Plan(games=10, contexts=1), tmp_path / "out", instruments=instruments)
    for one in record["sets"]:
        assert one["features"]["num_samples"] == 10 * 9
        assert one["features"]["between_real"] < one["features"]["distance"]
    text = page.read_text(encoding="utf-8")
    assert "16-False.onnx" in text
    assert "Not comparable with published numbers unless the file holds the published network" in text
    clips = Instruments.open(None, make_features(16, True), "cpu")
    assert (
        clips.compare_sets([np.zeros((9, 16, 16, 3), np.uint8)] * 2, [np.zeros((9, 16, 16, 3), np.uint8)] * 2) is None
    )
    rng = np.random.default_rng(0)
    films = [rng.integers(0, 256, (length, 16, 16, 3), dtype=np.uint8) for length in (33, 15, 16, 47)]
    found = clips.compare_sets(films, films)
    assert found is not None
    assert (found["takes"], found["num_samples"]) == ("clips", 2 + 0 + 1 + 2)
    assert found["distance"] == pytest.approx(0, abs=1e-9)


def test_a_feature_network_is_tried_first(
    run: Path, tmp_path: Path, make_features: Callable[[int, bool], Path]
) -> None:
    instruments = Instruments.open(None, make_features(10, False), "cpu")
    with pytest.raises(DataError, match=r"of \(10, 10\)"):
        report_fidelity(run, Plan(), tmp_path / "out", instruments=instruments)
    assert not (tmp_path / "out").exists()
