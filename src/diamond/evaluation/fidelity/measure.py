"""Everything that is measured, put together: the record that `fidelity.json` holds, and the pictures beside it.

Axes   k moments | a actions | t steps ahead | h w 3 image
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.evaluation.calibration import brier_score, precision_recall, reliability, top_class
from diamond.evaluation.fidelity.actions import dream_branches, sensitivity
from diamond.evaluation.fidelity.games import GameSet, contexts_of
from diamond.evaluation.fidelity.instruments import Instruments
from diamond.evaluation.fidelity.on_its_own import curves, dream_games, real_future
from diamond.evaluation.fidelity.one_step import judge, next_frames
from diamond.evaluation.fidelity.plan import Progress, SeedOf
from diamond.evaluation.image_metrics import mean_error
from diamond.experience.segments import reward_sign
from diamond.imagination.open_loop import Predict, predictor
from diamond.imagination.world import WorldModel

KIND = "diamond fidelity"
"""What the record calls itself."""
FORMAT_VERSION = 1
REWARDS, ENDS = ("-1", "0", "+1"), ("goes on", "ends")
FILM_COLUMNS = 7
"""Moments that a film shows at most."""


@dataclass(frozen=True)
class Film:
    """Moments of one game, in reality and as dreamed."""

    caption: str
    steps: list[int]
    """Steps ahead of the frame that the dream started from."""
    real: UInt8[np.ndarray, "_ h w 3"]
    dream: UInt8[np.ndarray, "_ h w 3"]


@dataclass
class Result:
    """The record and the pictures."""

    record: dict[str, Any]
    films: list[Film] = field(default_factory=list)


def measure(
    agent: Agent,
    sets: Sequence[GameSet],
    instruments: Instruments,
    seed_of: SeedOf,
    progress: Progress = lambda what, done, wanted: None,
) -> Result:
    """Measure the dream of an agent on sets of real games; see docs/fidelity.md for every number."""
    result = Result({"sets": []})
    for games in sets:
        result.record["sets"].append(_measure_set(agent, games, instruments, seed_of, progress, result.films))
    result.record["actions"] = _actions(agent, sets, seed_of)
    return result


def _measure_set(
    agent: Agent,
    games: GameSet,
    instruments: Instruments,
    seed_of: SeedOf,
    progress: Progress,
    films: list[Film],
) -> dict[str, Any]:
    world, n = WorldModel.of(agent.denoiser, agent.reward_model, agent.config), _context(agent)
    name, seed = games.name, seed_of("intervals")

    def predict_from(use: str, wanted: int) -> Predict:
        predict = predictor(world, torch.Generator(agent.device).manual_seed(seed_of(name, use)))
        return _counted(predict, f"{name} games: the dream {use}", wanted, progress)

    ahead = sum(len(contexts_of(game, n)) for game in games.games)
    frames = next_frames(games, predict_from("one step ahead", ahead), n, agent.device, instruments.distance, seed)
    judged = _judged(world, games, agent.device)
    ahead = sum(len(real_future(game, n)) for game in games.games)
    dreamed = dream_games(games, predict_from("on its own", ahead), n, agent.device)
    on_its_own = curves(games, dreamed, n, instruments.distance, seed)
    films += _films(games, dreamed, n)
    features = instruments.compare_sets([real_future(game, n) for game in games.games], dreamed)
    return {**_facts(games), "one_step": frames, **judged, "open_loop": on_its_own, "features": features}


def _counted(predict: Predict, what: str, wanted: int, progress: Progress) -> Predict:
    """The same, telling how many frames it has predicted."""
    done = 0
    progress(what, done, wanted)

    def counting(frames: Tensor, actions: Tensor) -> Tensor:
        nonlocal done
        predicted = predict(frames, actions)
        done += len(predicted)
        progress(what, done, wanted)
        return predicted

    return counting


def _facts(games: GameSet) -> dict[str, Any]:
    return {
        "name": games.name,
        "num_games": len(games.games),
        "num_cut": sum(game.cut for game in games.games),
        "num_familiar": games.familiar,
        "lengths": [game.num_steps for game in games.games],
        "returns": [float(game.rewards.sum()) for game in games.games],
    }


def _judged(world: WorldModel, games: GameSet, device: torch.device) -> dict[str, Any]:
    """How well reward sign and end are foretold along the real games, and whether the probabilities can be believed."""
    judged = [judge(world, game, device) for game in games.games]
    rewards, ends = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    received = np.concatenate([game.rewards for game in games.games])
    signs = reward_sign(torch.from_numpy(received)).long().numpy()
    ended = np.concatenate([game.ended for game in games.games])
    return {
        "num_steps": len(signs),
        "reward": {
            "classes": list(REWARDS),
            **precision_recall(rewards, signs + 1),
            "brier": brier_score(rewards, signs + 1),
            "reliability": reliability(*top_class(rewards, signs + 1)),
        },
        "termination": {
            "classes": list(ENDS),
            **precision_recall(ends, ended.astype(int)),
            "brier": brier_score(ends, ended.astype(int)),
            "reliability": reliability(ends[:, 1], ended),
        },
    }


def _actions(agent: Agent, sets: Sequence[GameSet], seed_of: SeedOf) -> dict[str, Any] | None:
    """All sets together: an action should do the same whoever plays."""
    asked = [one for one in sets if one.moments]
    if not asked:
        return None
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    dream, numbers, played = [], [], 0
    for one in asked:
        generator = torch.Generator(agent.device).manual_seed(seed_of(one.name, "actions"))
        dream.append(dream_branches(world, one.games, one.moments, agent.num_actions, _context(agent), generator))
        numbers += [played + number for number, _ in one.moments]
        played += len(one.games)
    known = [one.branches for one in asked if one.branches is not None]
    real = np.concatenate(known) if len(known) == len(asked) else None
    meanings = agent.action_meanings or tuple(f"ACTION {i}" for i in range(agent.num_actions))
    return sensitivity(np.concatenate(dream), real, np.array(numbers), meanings, seed_of("intervals"))


def _films(games: GameSet, dreamed: list[UInt8[np.ndarray, "_ h w 3"]], n: int) -> list[Film]:
    """The game with the median error and the one with the largest, each over all that was dreamed of it.

    Long games tend to the larger errors, as dreams drift.
    """
    lengths = [len(frames) for frames in dreamed]
    if not any(lengths):
        return []
    errors = {i: _mean_error(games, dreamed, i, n) for i in range(len(dreamed)) if lengths[i]}
    ranked = sorted(errors, key=lambda i: errors[i])
    chosen = {"typical": ranked[len(ranked) // 2], "worst": ranked[-1]}
    films = []
    for word, i in chosen.items():
        game = games.games[i]
        steps = _film_steps(lengths[i])
        dream = np.concatenate((game.frames[n - 1 : n], dreamed[i]))
        caption = f"{games.name}: {word} of {len(ranked)} games, mean error {errors[i]:.1f} over {lengths[i]:,} steps"
        films.append(Film(caption, steps, game.frames[n - 1 :][steps], dream[steps]))
    return films


def _film_steps(length: int) -> list[int]:
    """Steps ahead from 0 to the last, ever wider apart."""
    return sorted({round(step) for step in np.geomspace(1, length + 1, min(FILM_COLUMNS, length + 1)) - 1})


def _mean_error(games: GameSet, dreamed: list[UInt8[np.ndarray, "_ h w 3"]], i: int, n: int) -> float:
    return float(mean_error(dreamed[i], real_future(games.games[i], n)).mean())


def _context(agent: Agent) -> int:
    return agent.config.denoiser.context_length
