"""Where and how exactly the arithmetic runs: the options change speed and last digits, nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_runs import assert_same_run, lasting, measured, newest, resume, start

from diamond.compute import choose_device, parse_device
from diamond.config import ComputeConfig
from diamond.errors import ConfigError, DeviceError
from diamond.runs.metrics import read_metrics


@pytest.fixture
def settings() -> Iterator[None]:
    """PyTorch's global settings are put back."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, mps: bool = False) -> None:
    """Pretend that such devices are present."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


# Devices


@pytest.mark.parametrize(
    ("gpus", "mps", "name", "chosen"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda"),
        (2, True, "auto", "cuda"),
        (2, False, "cpu", "cpu"),
        (2, False, "cuda", "cuda"),
        (2, False, "cuda:1", "cuda:1"),
        (0, True, "mps", "mps"),
    ],
)
def test_the_device_named_or_the_fastest_one_present(
    monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool, name: str, chosen: str
) -> None:
    machine(monkeypatch, gpus, mps)
    assert parse_device(name) == torch.device(chosen)


@pytest.mark.parametrize(
    ("gpus", "name", "present"),
    [(0, "cuda", "cpu"), (0, "mps", "cpu"), (1, "cuda:1", "cpu, cuda:0")],
)
def test_a_device_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, present: str
) -> None:
    machine(monkeypatch, gpus)
    with pytest.raises(
        DeviceError, match=f"^compute.device is '{name}': not present here; choose auto or .* {present}$"
    ):
        choose_device(ComputeConfig(device=name))


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:-1", "cpu:0 "])
def test_what_is_no_device_is_refused_without_looking_for_it(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^compute.device is '{name}': choose auto, cpu, mps, cuda"):
        ComputeConfig(device=name)


@pytest.mark.parametrize(("device", "precision"), [("cpu", "highest"), ("cuda", "high")])
def test_gpus_multiply_in_tensorfloat32_and_cpus_in_float32(
    monkeypatch: pytest.MonkeyPatch, settings: None, device: str, precision: str
) -> None:
    machine(monkeypatch, gpus=1)
    choose_device(ComputeConfig(device=device))
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.parametrize(("threads", "used"), [(0, 1), (3, 3)])
def test_threads_are_set_only_if_asked_for(settings: None, threads: int, used: int) -> None:
    torch.set_num_threads(1)
    choose_device(ComputeConfig(device="cpu", threads=threads))
    assert torch.get_num_threads() == used


# bfloat16


def test_bfloat16_gives_nearly_the_same_losses_from_float32_weights(tmp_path: Path) -> None:
    changes = {"schedule.epochs": 1}
    start(tmp_path / "exact", changes)
    start(tmp_path / "fast", changes | {"compute.bfloat16": True})
    [exact], [fast] = lasting(tmp_path / "exact"), lasting(tmp_path / "fast")
    assert measured(fast)
    for name in ("denoiser/loss", "reward_model/loss"):
        assert exact[name] != fast[name] == pytest.approx(exact[name], rel=0.02)
    tensors = newest(tmp_path / "fast").tensors("agent") | newest(tmp_path / "fast").tensors("training")
    assert not any(value.dtype == torch.bfloat16 for value in tensors.values())


def test_a_run_in_bfloat16_can_be_resumed(tmp_path: Path) -> None:
    start(tmp_path / "whole", {"compute.bfloat16": True})
    start(tmp_path / "run", {"compute.bfloat16": True, "schedule.epochs": 1})
    resume(tmp_path / "run", {"schedule.epochs": 2})
    assert_same_run(tmp_path / "run", tmp_path / "whole")


# Compilation


COMPILED = """
import sys
from pathlib import Path
from tiny_runs import resume, start
changes = {"updates.denoiser.ema_decay": 0.5, "updates.actor_critic.ema_decay": 0.5}
start(Path(sys.argv[1]) / "plain", changes)
start(Path(sys.argv[1]) / "compiled", changes | {"compute.compile": True, "schedule.epochs": 1})
resume(Path(sys.argv[1]) / "compiled", {"schedule.epochs": 2})
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_networks_compute_the_same(tmp_path: Path) -> None:
    """Also with averaged weights, which are other modules, and across a resume; checkpoints do not show it.

    In a process of its own: the compiler cannot trace through the shape checks of the tests.
    """
    folder = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", COMPILED, tmp_path], check=True, env=environment)
    exact, compiled = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("plain", "compiled"))
    assert len(exact) == 2
    for ours, theirs in zip(exact, compiled, strict=True):
        for name in ("denoiser/loss", "reward_model/loss", "actor_critic/value_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3)
    names = [newest(tmp_path / name).tensors("agent").keys() for name in ("plain", "compiled")]
    assert names[0] == names[1]


GRAPHS = """
import functools, sys
from contextlib import closing
from pathlib import Path
import torch
from tiny_runs import tiny
from diamond.envs import make_env
from diamond.training.trainer import Trainer
torch.compile = functools.partial(torch.compile, backend="eager")  # traces as any other, and is ready at once
config = tiny({"compute.compile": True, "updates.denoiser.ema_decay": 0.5, "updates.reward_model.ema_decay": 0.5})
with closing(make_env(config.env, 1, training=True)) as env:
    trainer = Trainer(config, env, Path(sys.argv[1]), torch.device("cpu"))
    trainer.begin()
    for round in range(8):
        trainer.collect(30)
        trainer.update_denoiser()
        trainer.update_reward_model()
        trainer.update_actor_critic()
        torch._dynamo.config.error_on_recompile = True
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""


@pytest.mark.slow
def test_each_function_is_one_graph_traced_once(tmp_path: Path) -> None:
    """A break in a graph would be an error (`fullgraph`), and so is a second trace after the first round: through new
    weights, new experience and restarted dreams. Six functions, one of which meets two shapes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    traced = subprocess.run(
        [sys.executable, "-c", GRAPHS, tmp_path], check=True, env=environment, capture_output=True, text=True
    )
    assert int(traced.stdout) == 7
