"""The dream one step ahead: every context is real, and so is every transition that reward and end are judged by.

Axes   k contexts | t transitions | b batch | h w 3 image | r reward classes (-1, 0, +1) | d ends (goes on, ends)
Units  frames are uint8 in 0..255; probabilities in [0, 1]
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from diamond.evaluation.batching import batches
from diamond.evaluation.fidelity.compare import Distance, by_game, compare, error_where_moved, over_games
from diamond.evaluation.fidelity.games import GameSet, WholeGame, contexts_of, episodes_of
from diamond.experience.frames import to_network, to_stored
from diamond.imagination.open_loop import Predict
from diamond.imagination.world import WorldModel

TRANSITIONS = 64
"""Judged at a time, one after the other."""


def contexts(
    games: Sequence[WholeGame], moments: Sequence[tuple[int, int]], context_length: int
) -> tuple[UInt8[np.ndarray, "k n h w 3"], Int[np.ndarray, "k n"]]:
    """The n frames that lead up to each moment, and the actions that were taken in them."""
    rows = [(games[number], slice(t - context_length + 1, t + 1)) for number, t in moments]
    return np.stack([game.frames[part] for game, part in rows]), np.stack([game.actions[part] for game, part in rows])


@torch.no_grad()
def next_frames(
    games: GameSet, predict: Predict, context_length: int, device: torch.device, distance: Distance | None, seed: int
) -> dict[str, Any]:
    """The next frame that the dream predicts, against the true one, at every step of every game.

    Returns the means over games of each game's mean, by the names of `compare`, of `repeat_moved_error`, what repeating
    the last frame errs, and of `gain_on_repeat`, what the dream saves against it (paired); `num_frames` and `num_games`
    that were predicted.
    """
    moments = [(i, t) for i, game in enumerate(games.games) for t in contexts_of(game, context_length)]
    numbers = np.array([number for number, _ in moments], int)
    columns: dict[str, list[np.ndarray]] = {}
    for part in batches(len(moments), games.games[0].frames[0, ..., 0].size):
        frames, actions = contexts(games.games, moments[part], context_length)
        truth = np.stack([games.games[number].frames[t + 1] for number, t in moments[part]])
        seen, taken = (torch.from_numpy(array).to(device) for array in (frames, actions))
        predicted = to_stored(predict(to_network(seen), taken)).cpu().numpy()
        found = compare(predicted, truth, frames[:, -1], distance)
        found["repeat_moved_error"] = error_where_moved(frames[:, -1], truth, frames[:, -1])
        found["gain_on_repeat"] = found["repeat_moved_error"] - found["moved_error"]
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
    means = {
        name: over_games(by_game(np.concatenate(values), numbers, len(games.games)), seed)
        for name, values in columns.items()
    }
    return {"num_frames": len(moments), "num_games": len(set(numbers.tolist())), **means}


@torch.no_grad()
def judge(
    world: WorldModel, game: WholeGame, device: torch.device
) -> tuple[Float[np.ndarray, "t r"], Float[np.ndarray, "t d"]]:
    """Probabilities of reward sign and end at every step of a real game, its true last frame included.

    The model's memory runs from the game's start, or from a lost life where training ends its episodes there.
    """
    rewards, ends = [], []
    state = world.reward_model.initial_state(1, device)
    for start, stop in _stretches(game):
        if start and game.ended[start - 1]:
            state = world.reward_model.initial_state(1, device)
        frames = to_network(torch.from_numpy(game.frames[start : stop + 1]).to(device))[None]
        actions = torch.from_numpy(game.actions[start:stop]).to(device)[None]
        reward, end, state = world.reward_model(frames[:, :-1], actions, frames[:, 1:], state)
        rewards.append(reward[0].double().softmax(dim=-1).cpu().numpy())
        ends.append(end[0].double().softmax(dim=-1).cpu().numpy())
    return np.concatenate(rewards), np.concatenate(ends)


def _stretches(game: WholeGame) -> Iterator[tuple[int, int]]:
    """Pieces of a game that no life is lost inside, none too long."""
    for first, last in episodes_of(game):
        for start in range(first, last, TRANSITIONS):
            yield start, min(last, start + TRANSITIONS)
