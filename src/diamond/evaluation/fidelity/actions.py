"""What an action changes: the dream's next frame under every action, beside the real game's from the same moment.

Axes   k moments | a actions | h w 3 image
Units  frames are uint8 in 0..255; changes are mean absolute differences in grey levels; shares in [0, 1]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from diamond.evaluation.batching import batches
from diamond.evaluation.fidelity.compare import Number, by_game, over_games
from diamond.evaluation.fidelity.games import Branches, WholeGame
from diamond.evaluation.fidelity.one_step import contexts
from diamond.evaluation.image_metrics import differs, mean_error
from diamond.experience.frames import to_network, to_stored
from diamond.imagination.dream import append_action, next_frame
from diamond.imagination.world import WorldModel, draw_noise

_NOOP = 0
"""The action that all others are compared with; in most games it does nothing."""


@torch.no_grad()
def dream_branches(
    world: WorldModel,
    games: Sequence[WholeGame],
    moments: Sequence[tuple[int, int]],
    num_actions: int,
    context_length: int,
    generator: torch.Generator,
) -> Branches:
    """The dream's next frame from each real moment under every action, from the same noise for all actions."""
    device, branches = generator.device, []
    for part in batches(len(moments), games[0].frames[0, ..., 0].size):
        frames, actions = (torch.from_numpy(a).to(device) for a in contexts(games, moments[part], context_length))
        frames = to_network(frames)
        noise = draw_noise(frames[:, -1].shape, world.sampler_cfg, generator)
        after = [
            next_frame(world, frames, append_action(actions, torch.full_like(actions[:, -1], action)), noise)
            for action in range(num_actions)
        ]
        branches.append(to_stored(torch.stack(after, dim=1)).cpu().numpy())
    return np.concatenate(branches)


def sensitivity(
    dream: Branches, real: Branches | None, numbers: Int[np.ndarray, "k"], meanings: Sequence[str], seed: int
) -> dict[str, Any]:
    """How much each action changes the next frame, compared with action 0 from the same moment.

    Args:
        dream: the dream's next frames.
        real: the real game's, where it could be asked.
        numbers: the game that each moment is from; intervals are over games.
        meanings: the actions' names.

    Returns:
        `num_moments`, `compared_with` and for each other action in `actions`: its `meaning` and, for `dream` and `real`
        (None where unknown), the `share` of moments in which a pixel changes by more than `MOVED` and the mean `change`
        over all pixels; `pixel_precision` and `pixel_recall`, of the pixels that change in the dream those that change
        in the real game, and the other way round; `share_agreed`, of the moments in which the real game changes those
        in which the dream does; and `error`, between the dream's frame under the action and the real game's.
    """
    rows = []
    for action in range(1, dream.shape[1]):
        row: dict[str, Any] = {"action": action, "meaning": meanings[action]}
        row["dream"] = _change(dream, action, numbers, seed)
        row["real"] = None if real is None else _change(real, action, numbers, seed)
        if real is not None:
            imagined, happened = (differs(one[:, action], one[:, _NOOP]) for one in (dream, real))
            row["pixel_precision"] = _share(np.logical_and(imagined, happened), imagined)
            row["pixel_recall"] = _share(np.logical_and(imagined, happened), happened)
            some: list[np.ndarray] = [np.any(mask, axis=(1, 2)) for mask in (imagined, happened)]
            row["share_agreed"] = _share(np.logical_and(*some), some[1])
            errors = mean_error(dream[:, action], real[:, action])
            row["error"] = over_games(by_game(errors, numbers, int(numbers.max()) + 1), seed)
        rows.append(row)
    return {"num_moments": len(dream), "compared_with": meanings[_NOOP], "actions": rows}


def _change(branches: Branches, action: int, numbers: Int[np.ndarray, "k"], seed: int) -> dict[str, Number | None]:
    frames, others, count = branches[:, action], branches[:, _NOOP], int(numbers.max()) + 1
    changed = differs(frames, others).any(axis=(1, 2)).astype(float)
    return {
        "share": over_games(by_game(changed, numbers, count), seed),
        "change": over_games(by_game(mean_error(frames, others), numbers, count), seed),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> float | None:
    """Of a mask's true entries, those of `part`; nothing has no share."""
    return float(part.sum() / whole.sum()) if whole.any() else None
