"""What happens to objects from one frame to the next, and what of it no game would do (paper section 5.3).

A world model whose frames are inconsistent turns enemies into rewards, lets objects vanish and bricks come back. Here
such events are counted, from frames alone, so that they can be counted in real games, in dreams and in anyone's video.
Events that the rules allow, as far as colours tell, are counted apart:

    Asterix, Road Runner   an object leaves or enters at a side, or where a figure stands that hid or took it; a reward
                           turns into points; points fade
    Breakout               a brick goes while the ball is at it; the whole wall is built anew

What is left on real frames is the detector's own error, the floor below which a world model cannot be told from a game.

Axes   t frames of one unbroken clip | h w frame rows and columns, 3 colours last
Units  frames are uint8 in 0..255; places are in pixels of the 64 x 64 frame; rates are per 1,000 object-frames
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from diamond.errors import DataError
from diamond.lab.studies.consistency.detectors import COLUMN, ROW, SIZE, Object, Scene, detect
from diamond.lab.studies.consistency.wall import BRICK_POINTS, WALL_POINTS, find_ball, read_score, read_wall

GAMES = ("Asterix", "Breakout", "RoadRunner")
REACH = 4.0
"""Columns that an object may move in one step: 10 on the screen, twice the fastest of both games at their start."""
SIDE = 10.0
"""Columns from either side within which an object may enter or leave: `REACH`, half a sprite and the 5 columns at the
right end of its road in which Road Runner draws no seeds (3 at the left)."""
UNEXPLAINED = {
    "Asterix": ("changed_class", "vanished", "appeared"),
    "RoadRunner": ("vanished", "appeared"),
    "Breakout": ("vanished", "returned", "score_wrong"),
}
"""The events of each game that its rules do not allow."""

_BRICK = np.array([8 / COLUMN, 6 / ROW])  # width and height of a brick
_BRICK_CORNER = np.array([8 / COLUMN, 57 / ROW])
_BALL_REACH = 2 * 16 / COLUMN  # up to 4 screen pixels a screen, for the two steps of which one may show no ball


def measure(game: str, frames: UInt8[np.ndarray, "t h w 3"]) -> dict[str, Any]:
    """Count the events of one unbroken clip (cut where a game ends); the result can be written as JSON.

    Raises:
        DataError: the game is not one of `GAMES`, the frames are of another size or fewer than two.
    """
    if game not in GAMES:
        raise DataError(f"game is {game!r}: events are told in {', '.join(GAMES)}")
    if len(frames) < 2:
        raise DataError(f"the clip has {len(frames)} frames: events need at least 2")
    events, object_frames = _wall_events(frames) if game == "Breakout" else _lane_events(game, frames)
    return summarise(game, len(frames), object_frames, events)


def summarise(game: str, frames: int, object_frames: int, events: Counter[str]) -> dict[str, Any]:
    """Counts and rates, unexplained events apart from those that the rules allow."""
    unexplained = {name: events[name] for name in UNEXPLAINED[game]}
    return {
        "game": game,
        "frames": frames,
        "object_frames": object_frames,
        "unexplained": unexplained,
        "unexplained_per_1000_object_frames": {
            name: 1000 * count / object_frames if object_frames else None for name, count in unexplained.items()
        },
        "explained": {name: count for name, count in sorted(events.items()) if name not in unexplained},
    }


def merge(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of several clips of one game as if they were one."""
    games = sorted({result["game"] for result in results})
    if len(games) != 1:
        raise ValueError(f"results of one game can be merged, got {games or 'none'}")
    events: Counter[str] = Counter()
    for result in results:
        events.update(result["unexplained"])
        events.update(result["explained"])
    frames, objects = (sum(result[key] for result in results) for key in ("frames", "object_frames"))
    return summarise(games[0], frames, objects, events)


# Objects on lanes ----------------------------------------------------------------------------------------------------


def _lane_events(game: str, frames: UInt8[np.ndarray, "t h w 3"]) -> tuple[Counter[str], int]:
    scenes = [detect(game, frame) for frame in frames]
    events: Counter[str] = Counter()
    scenes = unmix(scenes)
    restarts = [False, *(_restarts(a.player, b.player) for a, b in zip(scenes[:-1], scenes[1:], strict=True))]
    for t in range(1, len(scenes)):
        events.update(lane_events(scenes[t - 1], scenes[t], any(restarts[t - 1 : t + 1])))
    return events, sum(len(scene.objects) for scene in scenes)


def unmix(scenes: Sequence[Scene]) -> list[Scene]:
    """Call an object points where it was a reward the frame before and is points the frame after.

    Of the two screens that a frame merges, one may show the reward and one the points that replace it; together they
    have an enemy's hue. No lasting change of class is excused by this.
    """
    mended = list(scenes)
    for t in range(1, len(scenes) - 1):
        blends = [
            now
            for now in scenes[t].objects
            if now.kind == "enemy"
            and any(_near(now, old) and old.kind == "reward" for old in scenes[t - 1].objects)
            and any(_near(now, new) and new.kind == "points" for new in scenes[t + 1].objects)
        ]
        objects = tuple(now._replace(kind="points") if now in blends else now for now in scenes[t].objects)
        mended[t] = scenes[t]._replace(objects=objects)
    return mended


def _near(one: Object, other: Object) -> bool:
    return one.lane == other.lane and abs(one.x - other.x) <= REACH


def lane_events(before: Scene, after: Scene, restarted: bool = False) -> Counter[str]:
    """The events between two consecutive scenes; `restarted`: the player was just put back to where a life begins.

    Where nothing stays, the player was put back or three or more objects go at once, it is another scene.
    """
    events: Counter[str] = Counter()
    pairs, gone, new = _match(before.objects, after.objects)
    for old, young in pairs:
        if old.kind != young.kind:
            events["taken" if (old.kind, young.kind) == ("reward", "points") else "changed_class"] += 1
    if gone and not pairs and (restarted or len(gone) >= 3):
        return Counter(scene_changed=1)
    for old in gone:
        events["faded" if old.kind == "points" else _excuse(old, before, after, "left", "hidden", "vanished")] += 1
    for young in new:
        events[_excuse(young, before, after, "entered", "shown", "appeared")] += 1
    return events


def _restarts(before: float | None, after: float | None) -> bool:
    """Whether the player is where it cannot have walked to: a life was lost, a level begins."""
    return after is not None and SIDE < after < SIZE - SIDE and (before is None or abs(before - after) > REACH)


def _match(
    before: Sequence[Object], after: Sequence[Object]
) -> tuple[list[tuple[Object, Object]], list[Object], list[Object]]:
    """Pairs within reach on the same lane, the nearest first and the same class before another; and the rest."""
    candidates = sorted(
        (abs(old.x - young.x) + (old.kind != young.kind) * REACH, i, j)
        for i, old in enumerate(before)
        for j, young in enumerate(after)
        if _near(old, young)
    )
    pairs: dict[int, int] = {}
    for _, i, j in candidates:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    gone = [old for i, old in enumerate(before) if i not in pairs]
    new = [young for j, young in enumerate(after) if j not in pairs.values()]
    return [(before[i], after[j]) for i, j in pairs.items()], gone, new


def _excuse(which: Object, before: Scene, after: Scene, side: str, hidden: str, otherwise: str) -> str:
    if which.x < SIDE or which.x > SIZE - SIDE:
        return side
    near = slice(max(0, int(which.x - REACH)), int(which.x + REACH) + 1)
    return hidden if before.covered[which.lane, near].any() or after.covered[which.lane, near].any() else otherwise


# Breakout ------------------------------------------------------------------------------------------------------------


def _wall_events(frames: UInt8[np.ndarray, "t h w 3"]) -> tuple[Counter[str], int]:
    events: Counter[str] = Counter()
    walls = [read_wall(frame) for frame in frames]
    balls = [find_ball(frame, wall) for frame, wall in zip(frames, walls, strict=True)]
    scores = [read_score(frame) for frame in frames]
    rebuilding = False
    for t in range(1, len(frames)):
        # Once no brick is left, or the last one goes in this step, the game puts up a new wall, brick by brick.
        rebuilding = bool(walls[t - 1].sum() <= 1 or (rebuilding and not walls[t - 1].all()))
        events.update(wall_events(walls[t - 1], walls[t], balls[max(0, t - 2) : t + 2], rebuilding))
        events[_score_event(scores[t - 1], scores[t], walls[t - 1 : t + 1])] += 1
    return events, int(sum(wall.sum() for wall in walls))


def wall_events(
    before: Bool[np.ndarray, "6 18"],
    after: Bool[np.ndarray, "6 18"],
    balls: Sequence[tuple[float, float] | None],
    rebuilding: bool = False,
) -> Counter[str]:
    """The events between two consecutive walls; `balls` are where it was seen in these and the frames next to them.

    One brick may go with the ball within reach; any further one that goes with it has vanished.
    """
    events: Counter[str] = Counter()
    events["rebuilt" if rebuilding else "returned"] = int((after & ~before).sum())
    gone = np.argwhere(before & ~after)
    distances = [min((_distance(brick, ball) for ball in balls if ball is not None), default=np.inf) for brick in gone]
    if distances and min(distances) <= _BALL_REACH:
        events["hit"] = 1
    events["vanished"] = len(gone) - events["hit"]
    return +events


def _distance(brick: np.ndarray, ball: tuple[float, float]) -> float:
    """From the ball's centre to the nearest point of a brick (row, column)."""
    corner = _BRICK_CORNER + brick[::-1] * _BRICK
    centre = np.array(ball)
    return float(np.linalg.norm(centre - centre.clip(corner, corner + _BRICK)))


def _score_event(before: int | None, after: int | None, walls: Sequence[np.ndarray]) -> str:
    """A score is wrong if it fits neither this wall nor the last one, and stays: two merged numbers last one frame."""
    if after is None:
        return "score_unclear"
    if any(_worth(wall, after) for wall in walls):
        return "score_right"
    return "score_wrong" if after == before else "score_unclear"


def _worth(wall: Bool[np.ndarray, "6 18"], score: int) -> bool:
    """Whether the bricks that are gone, and any whole walls before this one, add up to the score."""
    return (score - int((~wall).sum(axis=1) @ np.array(BRICK_POINTS))) % WALL_POINTS == 0
