"""The dream on its own: from a game's first real frames under the game's own actions, reality never seen again.

Axes   g games | t steps ahead | h w 3 image
Units  frames are uint8 in 0..255
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from diamond.evaluation.fidelity.compare import Distance, compare, error_where_moved, over_games
from diamond.evaluation.fidelity.games import FEWEST_GAMES, GameSet, WholeGame
from diamond.evaluation.image_metrics import mean_error
from diamond.imagination.open_loop import Predict, dream_on

HORIZONS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
"""Steps ahead at which the dream is compared; it goes on to the last of them."""


def dream_games(
    games: GameSet, predict: Predict, context_length: int, device: torch.device
) -> list[UInt8[np.ndarray, "_ h w 3"]]:
    """The dream of each game from its first n frames on, as long as the game lasted and at most the last horizon.

    A game of fewer than n steps gives no frame.
    """
    n, kept = context_length, [game for game in games.games if game.num_steps >= context_length]
    order = sorted(kept, key=lambda game: -game.num_steps)
    dreamed: dict[int, list[np.ndarray]] = {id(game): [] for game in games.games}
    if order:
        actions = [game.actions[: n - 1 + HORIZONS[-1]] for game in order]
        context = np.stack([game.frames[:n] for game in order])
        for frames in dream_on(predict, context, actions, device):
            for game, frame in zip(order, frames, strict=False):
                dreamed[id(game)].append(frame)
    empty = games.games[0].frames[:0]
    return [np.stack(dreamed[id(game)]) if dreamed[id(game)] else empty for game in games.games]


def real_future(game: WholeGame, context_length: int) -> UInt8[np.ndarray, "_ h w 3"]:
    """What really followed the context that the dream started from."""
    return game.frames[context_length : context_length + HORIZONS[-1]]


def curves(
    games: GameSet,
    dreamed: list[UInt8[np.ndarray, "_ h w 3"]],
    context_length: int,
    distance: Distance | None,
    seed: int,
) -> dict[str, Any]:
    """How the dream departs from the real game, by steps ahead.

    Returns:
        `horizons` that at least `FEWEST_GAMES` games reach, `num_games` that reach each, and for each measure of
        `compare` a list of numbers; besides `repeat_error` and `repeat_moved_error` of the start frame repeated, and
        `unrelated_error`, the mean error between different real games at the same step, and `gain_on_repeat` and
        `gain_on_unrelated`, what the dream saves against them over all pixels of the same games (paired). `longest` is
        how many steps the longest dream lasts and `end` says in words where the curves end, and why.
    """
    lengths = np.array([len(frames) for frames in dreamed])
    horizons = [t for t in HORIZONS if (lengths >= t).sum() >= FEWEST_GAMES]
    columns: dict[str, list[Any]] = {}
    for t in horizons:
        reached = np.flatnonzero(lengths >= t)
        now = np.stack([dreamed[i][t - 1] for i in reached])
        truth = np.stack([games.games[i].frames[context_length + t - 1] for i in reached])
        start = np.stack([games.games[i].frames[context_length - 1] for i in reached])
        found = compare(now, truth, start, distance)
        found["repeat_error"] = mean_error(start, truth)
        found["repeat_moved_error"] = error_where_moved(start, truth, start)
        found["unrelated_error"] = _between(truth)
        found |= {f"gain_on_{name}": found[f"{name}_error"] - found["error"] for name in ("repeat", "unrelated")}
        for name, values in found.items():
            columns.setdefault(name, []).append(over_games(values, seed))
    counts = [int((lengths >= t).sum()) for t in horizons]
    longest = int(lengths.max())
    return {"horizons": horizons, "num_games": counts, "longest": longest, "end": _end(horizons, lengths), **columns}


def _between(frames: UInt8[np.ndarray, "g h w 3"]) -> Float[np.ndarray, "g"]:
    """What each game contributes to the mean error between the frames of different games, by the jackknife.

    Every game is in the pairs of all others, so the errors to the others, game by game, vary half as much as their mean
    calls for. Pseudo-values (Efron & Tibshirani 1993, chapter 11) have the same mean and the right spread.
    """
    count = len(frames)
    others = (np.delete(frames, i, axis=0) for i in range(count))
    errors = [mean_error(np.broadcast_to(f, o.shape), o).mean() for f, o in zip(frames, others, strict=True)]
    return (2 * (count - 1) * np.array(errors) - count * np.mean(errors)) / (count - 2)


def _end(horizons: list[int], lengths: np.ndarray) -> str:
    if horizons and horizons[-1] == HORIZONS[-1]:
        return f"The curves end at {HORIZONS[-1]:,} steps, the last that is measured."
    following = next(t for t in HORIZONS if t not in horizons)
    reach = int((lengths >= following).sum())
    what = f"The curves end at {horizons[-1]:,} steps" if horizons else "There are no curves"
    return f"{what}: {reach} of {len(lengths)} games last {following:,} steps or more, and {FEWEST_GAMES} are needed."
