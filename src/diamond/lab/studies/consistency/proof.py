"""How far the detectors can be trusted: their precision and recall against the console's memory, on real games.

    precision   of the objects that the detector saw, the share that the memory has there, of that class
    recall      of the objects that the memory has, whole and uncovered, the share that the detector saw

The memory is that of the last of the two screens that a frame merges, so in a step in which an object is taken, turns
or jumps, frame and memory rightly differ. Such objects, which the memory had before the step and no longer has after it
(or the reverse), are `unsettled`: they are neither asked for nor held against the detector, but counted. Everything is
also given strictly, with them as errors.

Axes   t frames of one game
Units  places are in pixels of the 64 x 64 frame; shares are in 0..1
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from diamond.config import EnvConfig
from diamond.envs.atari import make_atari_games
from diamond.evaluation.statistics import bootstrap_mean
from diamond.lab.studies.consistency.detectors import COLUMN, ROW, Object, Scene, detect
from diamond.lab.studies.consistency.events import measure, merge
from diamond.lab.studies.consistency.memory import Truth, read_bricks, read_objects, read_points, readable
from diamond.lab.studies.consistency.wall import BALL_ROWS, find_ball, read_score, read_wall
from diamond.lab.studies.experts import Memory, play_script

NEAR = 3.0
"""Columns that a seen object may be from where the memory has it: less than a sprite's width."""
_JUMP = 4.0  # an object that the memory moves by more columns in a step is another one


class Played(NamedTuple):
    """One real game from its start."""

    frames: UInt8[np.ndarray, "t 64 64 3"]
    memories: UInt8[np.ndarray, "t 128"]


def play(game: str, seed: int, steps: int) -> Played:
    """Play one game for `steps` steps or until it is over, by the scripted player of `experts`."""
    console = make_atari_games(EnvConfig(game=game), 1)[0]
    frames, memories = [], []
    for _ in play_script(game, console, seed, steps):
        frames.append(console.frame().copy())
        memories.append(console.memory().copy())
    return Played(np.stack(frames), np.stack(memories))


def prove(game: str, seeds: Sequence[int], steps: int) -> dict[str, Any]:
    """Precision and recall per class, with intervals over games, and the events on the same real frames.

    The result can be written as JSON. An interval of no width means that every game had the same share, mostly 1: then
    the counts say how sure it is.

    Raises:
        EnvError: the game is unknown or `ale-py` is not installed.
    """
    games = [play(game, seed, steps) for seed in seeds]
    counts = [_compare(game, played) for played in games]
    classes = sorted({kind for count in counts for kind, _ in count if kind})
    return {
        "game": game,
        "games": len(games),
        "frames": sum(len(played.frames) for played in games),
        "frames_compared": sum(count["", "compared"] for count in counts),
        "classes": {kind: _shares(kind, counts) for kind in classes},
        "events": merge([measure(game, played.frames) for played in games if len(played.frames) > 1]),
    }


Counts = Counter[tuple[str, str]]
"""How often each (class, outcome) happened: seen, missed, invented, the latter two also `_unsettled`; seen_covered and
covered, whether or not an object that something stands before was seen."""


def _shares(kind: str, counts: Sequence[Counts]) -> dict[str, Any]:
    total = sum((Counter({how: n for (k, how), n in count.items() if k == kind}) for count in counts), Counter[str]())
    result: dict[str, Any] = {"counts": dict(sorted(total.items()))}
    for name, error in (("precision", "invented"), ("recall", "missed")):
        for suffix, errors in (("", (error,)), ("_strict", (error, f"{error}_unsettled"))):
            values = []
            for count in counts:
                right, wrong = _right(count, kind, name), sum(count[kind, which] for which in errors)
                if right + wrong:
                    values.append(right / (right + wrong))
            if values:
                estimate = bootstrap_mean(np.array(values), np.random.default_rng(0))
                wrong = sum(total[which] for which in errors)
                right = sum(_right(count, kind, name) for count in counts)
                pooled = right / (right + wrong)
                result[name + suffix] = {"pooled": pooled, **estimate._asdict()}
    return result


def _right(count: Counts, kind: str, name: str) -> int:
    """What was seen rightly; of objects that are partly covered, only precision asks."""
    return count[kind, "seen"] + (count[kind, "seen_covered"] if name == "precision" else 0)


def _compare(game: str, played: Played) -> Counts:
    counts: Counts = Counter()
    for t in range(1, len(played.frames)):
        frame, before, after = played.frames[t], played.memories[t - 1], played.memories[t]
        if game == "Breakout":
            counts["", "compared"] += 1
            _compare_wall(counts, frame, before, after)
        elif readable(game, before) and readable(game, after):
            counts["", "compared"] += 1
            compare_scene(counts, detect(game, frame), read_objects(game, before), read_objects(game, after))
    return counts


def compare_scene(counts: Counts, scene: Scene, before: Sequence[Truth], after: Sequence[Truth]) -> None:
    """Add what the detector saw of one scene, matched to the nearest object of the same class on the same lane."""
    free = list(scene.objects)
    for truth in after:
        found = min((seen for seen in free if _is(seen, truth)), key=lambda seen: abs(seen.x - truth.x), default=None)
        if found is not None:
            free.remove(found)
            counts[truth.kind, "seen" if truth.whole else "seen_covered"] += 1
        elif not truth.whole:
            counts[truth.kind, "covered"] += 1
        else:
            settled = any(_same(truth, old) for old in before)
            counts[truth.kind, "missed" if settled else "missed_unsettled"] += 1
    for seen in free:
        lags = any(_is(seen, old) and not any(_same(old, truth) for truth in after) for old in before)
        counts[seen.kind, "invented_unsettled" if lags else "invented"] += 1


def _is(seen: Object, truth: Truth) -> bool:
    return seen.kind == truth.kind and seen.lane == truth.lane and abs(seen.x - truth.x) <= NEAR


def _same(one: Truth, other: Truth) -> bool:
    return one.kind == other.kind and one.lane == other.lane and abs(one.x - other.x) <= _JUMP


def _compare_wall(counts: Counts, frame: np.ndarray, before: Memory, after: Memory) -> None:
    """Bricks, and the gaps where they went (there are few, so bricks alone would say little); score and ball."""
    seen, truth = read_wall(frame), read_bricks(after)
    settled = truth == read_bricks(before)
    for kind, saw, has in (("brick", seen, truth), ("gap", ~seen, ~truth)):
        counts[kind, "seen"] += int((saw & has).sum())
        for outcome, wrong in (("missed", has & ~saw), ("invented", saw & ~has)):
            counts[kind, outcome] += int((wrong & settled).sum())
            counts[kind, f"{outcome}_unsettled"] += int((wrong & ~settled).sum())
    score, points, still = read_score(frame), read_points(after), read_points(before) == read_points(after)
    if score == points:
        counts["score", "seen"] += 1
    else:
        suffix = "" if still else "_unsettled"
        counts["score", "missed" + suffix] += 1
        if score is not None:
            counts["score", "invented" + suffix] += 1
    _compare_ball(counts, find_ball(frame, seen), after)


def _compare_ball(counts: Counts, ball: tuple[float, float] | None, memory: Memory) -> None:
    x, y = (int(memory[99]) - 49 + 1) / COLUMN, (int(memory[101]) + 9 + 2) / ROW
    flies = memory[101] != 0 and BALL_ROWS.start + 1 < y < BALL_ROWS.stop - 1 and 12 / COLUMN < x < 148 / COLUMN
    near = ball is not None and abs(ball[0] - x) <= NEAR and abs(ball[1] - y) <= NEAR
    if near:
        counts["ball", "seen"] += 1
        return
    if flies:
        counts["ball", "missed"] += 1
    if ball is not None:
        counts["ball", "invented"] += 1
