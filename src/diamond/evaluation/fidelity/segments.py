"""The comparison at the end of training: the dream on short stretches of real games, under the same actions.

The error is counted where it matters, on the pixels that moved: those that differ between the real frame h steps
ahead and the frame that the dream started from. There, "repeat the last frame" is wrong by construction, and a dream
that ignores the actions shows itself when they are shuffled.

Axes   s segments | n context frames | t steps ahead | m = n + t | h w c image
Units  errors are mean absolute differences in grey levels, 0 to 255
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int64, UInt8

from diamond.errors import DataError
from diamond.evaluation.fidelity.dreaming import Predict, open_loop, predictor
from diamond.evaluation.image_metrics import differs, moved_error
from diamond.evaluation.policies import Policy
from diamond.evaluation.statistics import bootstrap_mean
from diamond.imagination.dream import WorldModel

HORIZONS = (1, 5, 15)
"""Steps ahead at which errors are reported."""


@dataclass(frozen=True)
class HeldOut:
    """Stretches of real games that no network was trained on: n context frames and t frames that followed."""

    frames: UInt8[np.ndarray, "s m h w 3"]
    actions: Int64[np.ndarray, "s m-1"]
    """The action taken in each frame but the last."""
    context_length: int

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Recording:
    """Real games played side by side for a number of steps."""

    frames: UInt8[np.ndarray, "t n h w 3"]
    actions: Int64[np.ndarray, "t n"]
    """The action taken in each frame."""
    ended: np.ndarray
    """(t, n), whether the game was over after the action."""


def record(env: VectorEnv, policy: Policy, steps: int, seed: int) -> Recording:
    """Play real games for `steps` steps; environments are those of `make_env(..., training=False)`."""
    frames, _ = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        actions = policy.act(frames)
        following, _, terminated, truncated, _ = env.step(actions)
        ended = terminated | truncated
        rows.append((frames, actions, ended))
        policy.reset(ended)
        frames = following
    return Recording(*(np.stack(column) for column in zip(*rows, strict=True)))


def held_out_segments(
    recordings: Sequence[Recording], context_length: int, steps_ahead: int, count: int, rng: np.random.Generator
) -> HeldOut:
    """Draw `count` stretches that no game's end cuts, equally many from each recording.

    Raises:
        DataError: the recordings hold none that is long enough.
    """
    length = context_length + steps_ahead
    frames, actions = [], []
    for share, recording in zip(_shares(count, len(recordings)), recordings, strict=True):
        steps, _ = recording.ended.shape
        ends_before = np.concatenate((np.zeros_like(recording.ended[:1], dtype=int), recording.ended.cumsum(axis=0)))
        whole = ends_before[length - 1 : steps] == ends_before[: max(0, steps - length + 1)]
        starts = np.argwhere(whole)
        if len(starts) == 0:
            raise DataError(f"no stretch of {length} steps without a game's end was recorded: record more steps")
        for start, lane in starts[rng.choice(len(starts), size=share, replace=len(starts) < share)]:
            frames.append(recording.frames[start : start + length, lane])
            actions.append(recording.actions[start : start + length - 1, lane])
    return HeldOut(np.stack(frames), np.stack(actions), context_length)


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def dream_errors(
    world: WorldModel, held_out: HeldOut, seed: int, device: torch.device, horizons: tuple[int, ...] = HORIZONS
) -> dict[str, Any]:
    """Errors on moved pixels of the dream, of repeating the last frame, and of the dream under other segments' actions.

    Returns a JSON-ready record: `horizons`, `num_segments` (those where something moved, per horizon), and for `dream`,
    `repeat`, `shuffled` lists `mean`, `low`, `high` (95 % intervals over segments). `gain` has the same for what the
    dream saves against `repeat` and `shuffled` on the very same segments: paired differences, positive where it is
    better.
    """
    n = held_out.context_length
    context, future = held_out.frames[:, :n], held_out.frames[:, n:]
    # Only what is done after the start differs; each segment takes the actions of the one before.
    other = np.concatenate((held_out.actions[:, : n - 1], np.roll(held_out.actions, 1, axis=0)[:, n - 1 :]), axis=1)
    dreams = {
        "dream": open_loop(_seeded(world, seed, device), context, held_out.actions, device),
        "shuffled": open_loop(_seeded(world, seed, device), context, other, device),
        "repeat": np.broadcast_to(context[:, -1:], future.shape),
    }
    record: dict[str, Any] = {"horizons": list(horizons), "num_segments": [], "seed": seed}
    curves = {name: _empty_curve() for name in dreams}
    gains = {name: _empty_curve() for name in dreams if name != "dream"}
    for horizon in horizons:
        truth = future[:, horizon - 1]
        moved = differs(truth, context[:, -1])
        something = moved.any(axis=(1, 2))
        record["num_segments"].append(int(something.sum()))
        errors = {
            name: moved_error(frames[something, horizon - 1], truth[something], moved[something])
            for name, frames in dreams.items()
        }
        for name, curve in curves.items():
            _append(curve, errors[name], seed)
        for name, curve in gains.items():
            _append(curve, errors[name] - errors["dream"], seed)
    return record | curves | {"gain": gains}


def _empty_curve() -> dict[str, list[float | None]]:
    return {"mean": [], "low": [], "high": []}


def _append(curve: dict[str, list[float | None]], values: Float[np.ndarray, "n"], seed: int) -> None:
    estimate = bootstrap_mean(values, np.random.default_rng(seed)) if len(values) else None
    for part, column in curve.items():
        column.append(None if estimate is None else getattr(estimate, part))


def _seeded(world: WorldModel, seed: int, device: torch.device) -> Predict:
    return predictor(world, torch.Generator(device).manual_seed(seed))
