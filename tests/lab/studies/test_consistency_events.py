"""Hand-made sequences whose events are known."""

import json
from collections import Counter

import numpy as np
import pytest

from diamond.errors import DataError
from diamond.lab.studies.consistency.detectors import Object, Scene
from diamond.lab.studies.consistency.events import lane_events, measure, merge, unmix, wall_events
from diamond.lab.studies.consistency.wall import draw_digit, draw_wall

WALL = np.ones((6, 18), bool)
AT_THE_WALL = (32.0, 30.0)
FAR = (32.0, 50.0)


def scene(*objects: tuple[str, int, float], figure: tuple[int, float] | None = None) -> Scene:
    covered = np.zeros((8, 64), bool)
    if figure is not None:
        lane, x = figure
        covered[lane, int(x) - 2 : int(x) + 2] = True
    seen = tuple(Object(kind, lane, x, 1.0) for kind, lane, x in objects)
    return Scene(seen, covered, None if figure is None else figure[1])


@pytest.mark.parametrize(
    "before, after, events",
    [
        (scene(("enemy", 0, 30.0)), scene(("enemy", 0, 33.0)), {}),
        (scene(("enemy", 0, 30.0)), scene(("reward", 0, 31.0)), {"changed_class": 1}),
        (scene(("reward", 0, 30.0)), scene(("enemy", 0, 31.0)), {"changed_class": 1}),
        (scene(("reward", 0, 30.0)), scene(("points", 0, 30.0)), {"taken": 1}),
        (scene(("enemy", 0, 30.0)), scene(("points", 0, 30.0)), {"changed_class": 1}),
        (scene(("points", 0, 30.0)), scene(), {"faded": 1}),
        (scene(("enemy", 0, 30.0)), scene(), {"vanished": 1}),
        (scene(("enemy", 0, 2.0)), scene(), {"left": 1}),
        (scene(("enemy", 0, 30.0), figure=(0, 32.0)), scene(), {"hidden": 1}),
        (scene(("enemy", 0, 30.0), figure=(1, 32.0)), scene(), {"vanished": 1}),  # a figure on another lane
        (scene(), scene(("enemy", 0, 30.0)), {"appeared": 1}),
        (scene(), scene(("enemy", 0, 62.0)), {"entered": 1}),
        (scene(), scene(("seed", 0, 30.0), figure=(0, 27.0)), {"shown": 1}),
        (scene(("enemy", 0, 30.0)), scene(("enemy", 1, 30.0)), {"vanished": 1, "appeared": 1}),  # lanes are kept
        (scene(("enemy", 0, 30.0)), scene(("enemy", 0, 40.0)), {"vanished": 1, "appeared": 1}),  # too far for a step
        (scene(*[("enemy", lane, 30.0) for lane in range(3)]), scene(), {"scene_changed": 1}),
        (scene(*[("enemy", lane, 30.0) for lane in range(2)]), scene(), {"vanished": 2}),
    ],
)
def test_events_between_two_scenes(before, after, events):
    assert lane_events(before, after) == Counter(events)


def test_each_object_is_matched_once_and_to_its_own_class_first():
    before = scene(("enemy", 0, 30.0), ("reward", 0, 32.0))
    after = scene(("reward", 0, 31.0), ("enemy", 0, 32.0))
    assert lane_events(before, after) == Counter()


def test_seeds_go_with_a_lost_life_but_not_while_one_goes_on():
    gone, nothing = scene(("seed", 0, 30.0), figure=(2, 40.0)), scene(figure=(2, 40.0))
    assert lane_events(gone, nothing, restarted=True) == Counter(scene_changed=1)
    assert lane_events(gone, nothing) == Counter(vanished=1)


def test_a_blend_of_reward_and_points_is_no_enemy_but_a_lasting_change_is_one():
    reward, enemy, points = (scene((kind, 3, 30.0)) for kind in ("reward", "enemy", "points"))
    assert [s.objects[0].kind for s in unmix([reward, enemy, points])] == ["reward", "points", "points"]
    assert [s.objects[0].kind for s in unmix([reward, enemy, enemy, points])] == ["reward", "enemy", "enemy", "points"]
    assert [s.objects[0].kind for s in unmix([enemy, reward, enemy])] == ["enemy", "reward", "enemy"]


def without(*bricks: tuple[int, int]) -> np.ndarray:
    wall = WALL.copy()
    for brick in bricks:
        wall[brick] = False
    return wall


@pytest.mark.parametrize(
    "before, after, balls, events",
    [
        (WALL, WALL, [], {}),
        (WALL, without((5, 9)), [AT_THE_WALL], {"hit": 1}),
        (WALL, without((5, 9)), [None, AT_THE_WALL, None], {"hit": 1}),
        (WALL, without((5, 9)), [FAR], {"vanished": 1}),
        (WALL, without((5, 9)), [None], {"vanished": 1}),
        (WALL, without((5, 9), (5, 10)), [AT_THE_WALL], {"hit": 1, "vanished": 1}),
        (without((5, 9), (5, 3)), without((5, 3)), [AT_THE_WALL], {"returned": 1}),
        (without((5, 9)), WALL, [AT_THE_WALL], {"returned": 1}),
    ],
)
def test_events_between_two_walls(before, after, balls, events):
    assert wall_events(before, after, balls) == Counter(events)


def breakout_frame(wall: np.ndarray, score: int) -> np.ndarray:
    frame = draw_wall(wall)
    for place in range(3):
        frame += draw_digit(score // 10 ** (2 - place) % 10, place)[..., None]
    return frame.round().astype(np.uint8)


def test_a_clip_of_breakout_is_measured():
    """A brick of the lowest row (1 point) goes without a ball; then the score stays one too high."""
    walls = [WALL, WALL, without((5, 9)), without((5, 9)), without((5, 9))]
    frames = np.stack([breakout_frame(w, s) for w, s in zip(walls, (0, 0, 1, 2, 2), strict=True)])
    result = measure("Breakout", frames)
    assert result["unexplained"] == {"vanished": 1, "returned": 0, "score_wrong": 1}
    assert result["explained"] == {"score_right": 2, "score_unclear": 1}  # the first 2 could be two merged numbers
    assert result["object_frames"] == 5 * 108 - 3
    assert result["unexplained_per_1000_object_frames"]["vanished"] == pytest.approx(1000 / 537)
    json.dumps(result)


def test_a_new_wall_comes_brick_by_brick_when_none_is_left():
    half = WALL.copy()
    half[:3] = False
    frames = np.stack([breakout_frame(wall, 432) for wall in (~WALL, half, WALL)])
    assert measure("Breakout", frames)["unexplained"]["returned"] == 0
    assert measure("Breakout", frames)["explained"]["rebuilt"] == 108
    assert measure("Breakout", frames[1:])["unexplained"]["returned"] == 54


def test_a_score_may_hold_whole_walls_that_were_cleared():
    frames = np.stack([breakout_frame(WALL, 432)] * 2)
    assert measure("Breakout", frames)["explained"] == {"score_right": 1}


def test_merged_results_add_up():
    frames = np.stack([breakout_frame(wall, 0) for wall in (WALL, WALL, without((0, 0)))])
    one = measure("Breakout", frames)
    both = merge([one, one])
    assert both["frames"] == 6 and both["unexplained"]["vanished"] == 2
    assert both["unexplained_per_1000_object_frames"] == one["unexplained_per_1000_object_frames"]
    with pytest.raises(ValueError, match="one game"):
        merge([one, {**one, "game": "Asterix"}])


def test_games_and_clips_that_cannot_be_measured_are_refused():
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="'Pong'.*Asterix, Breakout, RoadRunner"):
        measure("Pong", frames)
    with pytest.raises(DataError, match="1 frames.*at least 2"):
        measure("Asterix", frames[:1])
    with pytest.raises(DataError, match="64 x 64"):
        measure("Asterix", np.zeros((2, 84, 84, 3), np.uint8))


def test_a_clip_without_objects_has_no_rate():
    result = measure("Asterix", np.zeros((3, 64, 64, 3), np.uint8))
    assert result["unexplained_per_1000_object_frames"]["vanished"] is None
