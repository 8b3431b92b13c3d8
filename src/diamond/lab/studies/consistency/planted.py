"""Would a fault be found? Faults planted into real frames, and the share of them that the events report.

Few unexplained events may mean a consistent world, or rules that excuse everything. So objects and bricks drawn at
random from real games are erased, given another class's hue, or put back, for a few frames, and the events are counted
again: a fault is found if there is at least one more of its kind. The rate is over all places where objects are, so it
also says how often a side or a figure nearby excuses what is none.

Axes   t frames of one clip
Units  frames are uint8 in 0..255; shares are in 0..1
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from diamond.lab.studies.consistency.detectors import SPRITES, Frame, Object, clear_rows, detect, road_rows, sprite
from diamond.lab.studies.consistency.events import measure
from diamond.lab.studies.consistency.wall import draw_wall, read_wall

_CONTEXT, _LASTS = 4, 3  # frames before the fault, and how many show it
SHORTEST = _CONTEXT + _LASTS + 1
"""Frames that a clip needs at least."""
_HALF = 3  # columns to each side of an object's centre that hold all of it

FAULTS = {
    "Asterix": ("changed_class", "vanished"),
    "RoadRunner": ("vanished",),
    "Breakout": ("vanished", "returned"),
}


def sensitivity(
    game: str, clips: Sequence[UInt8[np.ndarray, "_ 64 64 3"]], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Of `count` faults of each kind, planted at random into clips of real frames, how many were found.

    The result can be written as JSON. Clips need at least `SHORTEST` frames.
    """
    result: dict[str, Any] = {}
    for fault in FAULTS[game]:
        planted = found = 0
        for _ in range(20 * count):  # many moments have no object to tamper with
            if planted == count:
                break
            clip = clips[int(rng.integers(len(clips)))]
            start = int(rng.integers(len(clip) - _CONTEXT - _LASTS))
            real = clip[start : start + _CONTEXT + _LASTS]
            tampered = _plant(game, fault, real, rng)
            if tampered is not None:
                planted += 1
                before, after = (measure(game, frames)["unexplained"][fault] for frames in (real, tampered))
                found += after > before
        result[fault] = {"planted": planted, "found": found, "share": found / planted if planted else None}
    return result


def _plant(game: str, fault: str, real: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The frames with one fault from frame `_CONTEXT` on, None where there is nothing to tamper with."""
    tampered = real.copy()
    if game == "Breakout":
        return tampered if _plant_brick(fault, tampered, rng) else None
    kinds = ("enemy", "reward") if fault == "changed_class" else ("enemy", "reward", "seed")
    objects = [seen for seen in detect(game, real[_CONTEXT - 1]).objects if seen.kind in kinds]
    if not objects:
        return None
    chosen = objects[int(rng.integers(len(objects)))]
    x = chosen.x
    for frame in tampered[_CONTEXT:]:
        same = [seen for seen in detect(game, frame).objects if (seen.kind, seen.lane) == (chosen.kind, chosen.lane)]
        now = min(same, key=lambda seen: abs(seen.x - x), default=None)
        if now is None:
            return None  # it goes by itself
        x = now.x
        _tamper(game, fault, frame, now)
    return tampered


def _tamper(game: str, fault: str, frame: Frame, which: Object) -> None:
    rows = clear_rows(which.lane) if game == "Asterix" else road_rows(which.lane)
    box = frame[rows, max(0, round(which.x) - _HALF) : round(which.x) + _HALF]
    if fault == "vanished":
        box[...] = 0  # lanes and road are black
        return
    other = sprite("reward" if which.kind == "enemy" else "enemy")
    assert which.kind in SPRITES
    box[...] = (box[..., :1] * (other / other[0])).round()


def _plant_brick(fault: str, frames: np.ndarray, rng: np.random.Generator) -> bool:
    before, after = read_wall(frames[_CONTEXT - 1]), read_wall(frames[_CONTEXT])
    places = np.argwhere(before & after if fault == "vanished" else ~before & ~after)
    if not len(places):
        return False
    brick = np.zeros_like(before)
    brick[tuple(places[int(rng.integers(len(places)))])] = True
    change = draw_wall(brick) * (-1 if fault == "vanished" else 1)
    frames[_CONTEXT:] = (frames[_CONTEXT:] + change).round().clip(0, 255)
    return True
