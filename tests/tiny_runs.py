"""Whole training runs of less than a second, and what makes two of them equal."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diamond.config import Config, from_dict, to_dict
from diamond.config.presets import debug
from diamond.experience.episodes import EpisodeFolder
from diamond.runs.checkpoint import Checkpoint, newest_checkpoint
from diamond.runs.folder import RunFolder
from diamond.runs.metrics import Row, read_metrics
from diamond.runs.progress import Progress
from diamond.training.algorithm import never
from diamond.training.loop import train

CATCH = "diamond/Catch-v0"
TINY: dict[str, Any] = {
    "preset": "tiny",
    "env.id": CATCH,
    "collection.first_epoch_min_steps": 20,
    "collection.first_epoch_max_steps": 20,
    "collection.steps_per_epoch": 10,
    "collection.total_steps": 1_000,
    "actor_critic.window": 3,
    "imagination.num_envs": 2,
    "imagination.horizon": 4,
    "schedule.epochs": 2,
    "schedule.evaluate_every": 0,
    "schedule.keep_every": 0,
    "schedule.evaluation_episodes": 2,
    "schedule.final_episodes": 2,
    "schedule.evaluation_envs": 2,
    "schedule.baseline_selection_games": 0,
    "schedule.fidelity_segments": 4,
    "compute.device": "cpu",
    "logging.tensorboard": False,
}
for _name in ("denoiser", "reward_model", "actor_critic"):
    TINY |= {
        f"updates.{_name}.first_epoch_updates": 2,
        f"updates.{_name}.updates_per_epoch": 1,
        f"updates.{_name}.warmup_updates": 1,
        f"updates.{_name}.batch_size": 2,
    }


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """The configuration with other values for some dotted field names."""
    values = to_dict(config)
    for name, value in changes.items():
        *groups, field = name.split(".")
        group = values
        for part in groups:
            group = group[part]
        assert field in group, name
        group[field] = value
    return from_dict(values)


def tiny(changes: Mapping[str, Any] | None = None) -> Config:
    """A few steps and updates on Catch, with the networks of `debug`."""
    return override(debug(), TINY | dict(changes or {}))


def as_options(changes: Mapping[str, Any]) -> list[str]:
    """The same changes in words for the command line; the preset is another option's business."""
    words = []
    for name, value in changes.items():
        group, _, field = name.replace("_", "-").rpartition(".")
        if isinstance(value, bool):
            words.append(f"--{group}.{'' if value else 'no-'}{field}")
        elif name != "preset":
            words += [f"--{group}.{field}", str(value)]
    return words


def silent() -> Progress:
    """Progress that nobody sees."""
    return Progress(quiet=True)


def start(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = never,
) -> RunFolder:
    """A new tiny run, to its end."""
    return train(tiny(changes), path, False, progress or silent(), stop)


def resume(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = never,
) -> RunFolder:
    """Go on with a run under its own configuration, changed here and there."""
    config = override(RunFolder.open(path).config, changes or {})
    return train(config, path, True, progress or silent(), stop)


def measured(row: Row) -> bool:
    """Whether every number of a row is finite."""
    return all(np.isfinite(value) for value in row.values())


def lasting(path: Path, but: tuple[str, ...] = ()) -> list[Row]:
    """A run's metrics without those that depend on the machine's mood, or that begin otherwise as named."""
    return [
        {name: value for name, value in row.items() if not name.startswith(("time/", "memory/", *but))}
        for row in read_metrics(path / "metrics.jsonl")
    ]


def newest(path: Path) -> Checkpoint:
    """The newest checkpoint of a run."""
    found = newest_checkpoint(path / "checkpoints")
    assert found is not None
    return found


def assert_same_run(path: Path, other: Path, but: tuple[str, ...] = ()) -> None:
    """Metrics, weights, optimisers, random streams, dreams, open games and episodes are equal to the last bit."""
    assert lasting(path, but) == lasting(other, but)
    mine, theirs = newest(path), newest(other)
    assert {**mine.facts, "sha256": None} == {**theirs.facts, "sha256": None}
    assert mine.facts["sha256"].keys() == theirs.facts["sha256"].keys()
    for name in mine.facts["sha256"]:
        if name.endswith(".safetensors"):
            ours, others = (point.tensors(name.removesuffix(".safetensors")) for point in (mine, theirs))
            assert ours.keys() == others.keys()
            assert [key for key in ours if not torch.equal(ours[key], others[key])] == []
        else:
            assert mine.file(name).read_bytes() == theirs.file(name).read_bytes(), name
    folders = [EpisodeFolder(run / "episodes") for run in (path, other)]
    assert folders[0].indices() == folders[1].indices()
    for index in folders[0].indices():
        assert folders[0].path(index).read_bytes() == folders[1].path(index).read_bytes(), index
