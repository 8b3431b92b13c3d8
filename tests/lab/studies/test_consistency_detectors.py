"""Objects drawn on a whole Atari screen and resized like real ones must be found where they were drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diamond.envs.resize import AreaResize
from diamond.errors import DataError
from diamond.lab.studies.consistency.detectors import (
    ASTERIX_LANES,
    COLUMN,
    ROAD_TOPS,
    ROW,
    SPRITES,
    check_frame,
    detect,
    shares,
)
from diamond.lab.studies.consistency.wall import draw_digit, draw_wall, find_ball, read_score, read_wall, wall_shares

RESIZE = AreaResize((210, 160), (64, 64))
BRICKS = [(200, 72, 72), (198, 108, 58), (180, 122, 48), (162, 162, 42), (72, 160, 72), (66, 72, 200)]


def asterix_screen() -> np.ndarray:
    screen = np.zeros((210, 160, 3), np.uint8)
    for top in range(23, 137, 16):
        screen[top : top + 2, 24:136] = (84, 92, 214)
    return screen


def put_sprite(screen: np.ndarray, kind: str, lane: int, left: int) -> None:
    """A sprite's pixels, spread over a box 8 columns wide and 11 rows high."""
    colours = [colour for colour, count in SPRITES[kind].items() for _ in range(count)]
    order = np.random.default_rng(0).permutation(88)[: len(colours)]
    for place, colour in zip(order, colours, strict=True):
        screen[26 + 16 * lane + place // 8, left + place % 8] = colour


@settings(max_examples=40)
@given(st.sampled_from(sorted(SPRITES)), st.integers(0, ASTERIX_LANES - 1), st.integers(8, 144))
def test_an_asterix_object_is_found_with_its_class_lane_and_place(kind, lane, left):
    screen = asterix_screen()
    put_sprite(screen, kind, lane, left)
    (seen,) = detect("Asterix", RESIZE(screen)).objects
    assert (seen.kind, seen.lane) == (kind, lane)
    assert abs(seen.x - (left + 4) / COLUMN) < 0.6


@settings(max_examples=40)
@given(st.sampled_from(sorted(SPRITES)), st.integers(10, 40), st.integers(-3, 3))
def test_the_player_beside_an_asterix_object_changes_nothing(kind, left, shift):
    """Where two pixels of the frame mix the player and the object, the player's share is taken away."""
    alone, together = asterix_screen(), asterix_screen()
    put_sprite(together, "enemy", 2, 100)
    for screen in (alone, together):
        put_sprite(screen, kind, 5, left)
    put_sprite(alone, "enemy", 2, 100)
    together[26 + 16 * 5 : 37 + 16 * 5, left + 12 + shift : left + 20 + shift] = (187, 187, 53)
    scene = detect("Asterix", RESIZE(together))
    assert [(o.kind, o.lane) for o in scene.objects] == [("enemy", 2), (kind, 5)]
    assert scene.covered[5].any() and not scene.covered[[0, 1, 2, 3, 4, 6, 7]].any()
    assert scene.player == pytest.approx((left + 16 + shift) / COLUMN, abs=1)


def test_an_empty_asterix_screen_has_no_objects():
    scene = detect("Asterix", RESIZE(asterix_screen()))
    assert scene.objects == () and scene.player is None


def road_screen() -> np.ndarray:
    screen = np.zeros((210, 160, 3), np.uint8)
    screen[35:120, 8:] = (240, 170, 103)
    for top in (134, 148, 162):
        for left in range(16, 150, 16):
            screen[top : top + 1, left : left + 4] = 236
    screen[185:195, 8:] = (240, 170, 103)
    return screen


@settings(max_examples=40)
@given(st.integers(0, 3), st.integers(12, 150))
def test_a_seed_is_found_with_its_lane_and_place(lane, left):
    screen = road_screen()
    for row, columns in enumerate(((2, 4), (0, 2), (2, 4))):
        screen[ROAD_TOPS[lane] + row, left + columns[0] : left + columns[1]] = (84, 92, 214)
    (seen,) = detect("RoadRunner", RESIZE(screen)).objects
    assert (seen.kind, seen.lane) == ("seed", lane)
    assert abs(seen.x - (left + 2) / COLUMN) < 0.8


def test_figures_on_the_road_are_no_seeds():
    screen = road_screen()
    screen[125:157, 60:68] = (66, 72, 200)  # the player is as blue as the seeds
    screen[130:160, 120:128] = (198, 108, 58)
    scene = detect("RoadRunner", RESIZE(screen))
    assert scene.objects == ()
    assert scene.covered[1, 25:27].all() and scene.covered[2, 49:51].all()
    assert scene.player == pytest.approx(64 / COLUMN, abs=0.5)


def breakout_screen(wall: np.ndarray) -> np.ndarray:
    screen = np.zeros((210, 160, 3), np.uint8)
    screen[17:32] = screen[17:196, :8] = screen[17:196, 152:] = 142
    for row, column in np.argwhere(wall):
        screen[57 + 6 * row : 63 + 6 * row, 8 + 8 * column : 16 + 8 * column] = BRICKS[row]
    return screen


walls = arrays(bool, (6, 18))


@settings(max_examples=40)
@given(walls, st.integers(8, 150), st.integers(57, 88))
def test_every_wall_is_read_exactly_even_with_a_ball_in_it(wall, x, y):
    screen = breakout_screen(wall)
    assert np.abs(wall_shares(RESIZE(screen)) - wall).max() < 0.05  # rounding to 256 levels
    for top, left in ((y, x), (min(y + 4, 92), min(x + 2, 150))):  # two screens are merged
        for row in range(top, top + 4):
            screen[row, left : left + 2] = BRICKS[min(5, max(0, (row - 57) // 6))]
    np.testing.assert_array_equal(read_wall(RESIZE(screen)), wall)


@settings(max_examples=40)
@given(walls, st.integers(14, 144), st.integers(100, 176))
def test_the_ball_is_found_where_it_flies(wall, x, y):
    screen = breakout_screen(wall)
    screen[y : y + 4, x : x + 2] = BRICKS[0]
    frame = RESIZE(screen)
    ball = find_ball(frame, read_wall(frame))
    assert ball == pytest.approx(((x + 1) / COLUMN, (y + 2) / ROW), abs=0.6)


def test_without_a_ball_none_is_found():
    wall = np.random.default_rng(0).random((6, 18)) < 0.5
    assert find_ball(RESIZE(breakout_screen(wall)), wall) is None


def test_a_drawn_wall_is_what_resizing_gives():
    wall = np.random.default_rng(1).random((6, 18)) < 0.5
    screen = breakout_screen(wall)
    screen[17:32] = screen[17:196, :8] = screen[17:196, 152:] = 0
    np.testing.assert_allclose(draw_wall(wall), RESIZE(screen), atol=0.5 + 1e-9)


@pytest.mark.parametrize("score", [0, 7, 86, 431, 999])
def test_a_drawn_score_is_read(score):
    frame = np.zeros((64, 64, 3), np.uint8)
    for place in range(3):
        frame += draw_digit(score // 10 ** (2 - place) % 10, place).round().astype(np.uint8)[..., None]
    assert read_score(frame) == score


def test_a_score_that_is_no_digit_is_not_read():
    frame = np.full((64, 64, 3), 142, np.uint8)
    assert read_score(frame) is None


def test_the_averaging_matrix_is_the_resizing():
    screen = np.random.default_rng(0).integers(0, 256, (210, 160, 3), dtype=np.uint8)
    averaged = np.einsum("ih,hwc,jw->ijc", shares(210, 64), screen, shares(160, 64), optimize=True)
    np.testing.assert_allclose(averaged, RESIZE(screen), atol=0.5 + 1e-6)


@pytest.mark.parametrize("frame", [np.zeros((84, 84, 3), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_frames_of_another_size_or_type_are_refused(frame):
    with pytest.raises(DataError, match=r"64 x 64.*not resized here"):
        check_frame(frame)


def test_a_game_without_a_detector_is_refused():
    with pytest.raises(DataError, match="'Pong'.*Asterix and RoadRunner"):
        detect("Pong", np.zeros((64, 64, 3), np.uint8))
