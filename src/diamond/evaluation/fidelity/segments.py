"""The comparison at the end of training: the dream on short stretches of real games, under the same actions.

The error is counted where it matters, on the pixels that moved: those that differ between the real frame h steps
ahead and the frame that the dream started from. There, "repeat the last frame" is wrong by construction, and a dream
that ignores the actions shows itself when they are shuffled.

Axes   s segments | n context frames | t steps ahead | m = n + t | h w c image
Units  errors are mean absolute differences in grey levels, 0 to 255
"""

import contextlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from diamond.agents.agent import Agent
from diamond.agents.recording import Recording, held_out_segments
from diamond.errors import DataError
from diamond.evaluation.image_metrics import differs, moved_error
from diamond.evaluation.statistics import bootstrap_mean
from diamond.experience.segments import HeldOut
from diamond.imagination.open_loop import Predict, open_loop, predictor
from diamond.imagination.world import WorldModel

HORIZONS = (1, 5, 15)
"""Steps ahead at which errors are reported."""


def dream_errors(
    world: WorldModel,
    held_out: HeldOut,
    context_length: int,
    seed: int,
    device: torch.device,
    horizons: tuple[int, ...] = HORIZONS,
) -> dict[str, Any]:
    """Errors on moved pixels of the dream, of repeating the last frame, and of the dream under other segments' actions.

    Returns a JSON-ready record: `horizons`, `num_segments` (those where something moved, per horizon), and for `dream`,
    `repeat`, `shuffled` lists `mean`, `low`, `high` (95 % intervals over segments). `gain` has the same for what the
    dream saves against `repeat` and `shuffled` on the very same segments: paired differences, positive where it is
    better.
    """
    n = context_length
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


def real_beside_dream(agent: Agent, recording: Recording, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A stretch of a recording and the dream from its first frames under the same actions, each uint8 (t, h, w, 3).

    Shorter than `steps` where no recorded game lasts that long.
    """
    n, rng = agent.config.denoiser.context_length, np.random.default_rng(seed)
    longest = min(steps, len(recording.frames) - n)
    for length in range(longest, 0, -1):
        with contextlib.suppress(DataError):
            chosen = held_out_segments([recording], n, length, 1, rng)
            break
    else:
        raise DataError(f"no recorded game lasts {n + 1} steps: record more of them")
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    predict = predictor(world, torch.Generator(agent.device).manual_seed(seed))
    dreamed = open_loop(predict, chosen.frames[:, :n], chosen.actions, agent.device)
    return chosen.frames[0, n:], dreamed[0]
