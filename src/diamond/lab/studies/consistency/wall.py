"""Breakout from one frame: which bricks stand, what the score says, where the ball is.

Bricks of 8 x 6 screen pixels are 3.2 x 1.8 pixels of the frame, so most pixels mix two or four of them. As averaging is
linear, the frame of the wall is

    frame[i, c, j] = sum over r, k of  rows[i, r] colours[r, c] columns[j, k] wall[r, k]

in which only `wall`, 1 where a brick stands and 0 elsewhere, is unknown: least squares solves it in closed form, and a
brick is there from one half on. A ball of 2 x 4 screen pixels, twice because two screens are merged, fills at most a
third of a brick, so it cannot feign one. What the wall so found leaves unexplained is the ball. A digit is the nearest
of the ten as they would be resized.

The console colours the ball as it colours the row of bricks it flies past, so over a brick it cannot be seen at all.

Axes   h w frame rows and columns, 3 colours last | 6 rows of bricks from the top, 18 bricks a row
Units  frames are uint8 in 0..255; places are in pixels of the 64 x 64 frame
"""

import numpy as np
from jaxtyping import Bool, Float

from diamond.lab.studies.consistency.detectors import COLUMN, COLUMNS, ROW, ROWS, SIZE, Frame, check_frame

BRICK_ROWS, BRICK_COLUMNS = 6, 18
BRICK_POINTS = (7, 7, 4, 4, 1, 1)
"""What a brick of each row, from the top, is worth."""
WALL_POINTS = BRICK_COLUMNS * sum(BRICK_POINTS)
_GREY = 142  # frame and score
_TOP, _LEFT, _BRICK_HEIGHT, _BRICK_WIDTH = 57, 8, 6, 8
_COLOURS = np.array(
    [(200, 72, 72), (198, 108, 58), (180, 122, 48), (162, 162, 42), (72, 160, 72), (66, 72, 200)], float
)

_DIGIT_TOP, _DIGIT_LEFTS, _CELL_HEIGHT, _CELL_WIDTH = 5, (36, 52, 68), 2, 4
_DIGITS = (  # five rows of three cells
    ("###", "#.#", "#.#", "#.#", "###"),
    (".#.", ".#.", ".#.", ".#.", ".#."),
    ("###", "..#", "###", "#..", "###"),
    ("###", "..#", ".##", "..#", "###"),
    ("#.#", "#.#", "###", "..#", "..#"),
    ("###", "#..", "###", "..#", "###"),
    ("#..", "#..", "###", "#.#", "###"),
    ("###", "..#", "..#", "..#", "..#"),
    ("###", "#.#", "###", "#.#", "###"),
    ("###", "#.#", "###", "..#", "..#"),
)


def _stretch(start: int, length: int, count: int, axis: Float[np.ndarray, "64 n"]) -> Float[np.ndarray, "64 count"]:
    """How much of each frame pixel belongs to each of `count` stretches of `length` screen pixels."""
    return axis[:, start : start + count * length].reshape(SIZE, count, length).sum(axis=2)


_BRICK_IN_ROW = _stretch(_TOP, _BRICK_HEIGHT, BRICK_ROWS, ROWS)
_BRICK_IN_COLUMN = _stretch(_LEFT, _BRICK_WIDTH, BRICK_COLUMNS, COLUMNS)
_WALL_ROWS = np.flatnonzero(_BRICK_IN_ROW.sum(axis=1) > 1 - 1e-9)  # others mix with what flies above and below
_WALL_COLUMNS = np.flatnonzero(_BRICK_IN_COLUMN.sum(axis=1))
_SIDES = _GREY * (1 - _BRICK_IN_COLUMN[_WALL_COLUMNS].sum(axis=1))  # what the grey frame adds to the outermost columns
_INSIDE = np.flatnonzero(_BRICK_IN_COLUMN.sum(axis=1) > 1 - 1e-9)  # columns without any of it
_UP_DOWN = (_BRICK_IN_ROW[_WALL_ROWS, None, :] * _COLOURS.T).reshape(-1, BRICK_ROWS)
_SOLVE_ROWS, _SOLVE_COLUMNS = np.linalg.pinv(_UP_DOWN), np.linalg.pinv(_BRICK_IN_COLUMN[_WALL_COLUMNS])

BALL_ROWS = slice(10, 57)
"""Rows of the frame in which the ball is looked for: from below the grey frame to above the paddle."""
_BALL = 8 * float(_COLOURS.max(axis=1).min()) / (ROW * COLUMN)  # 2 x 4 screen pixels of the darkest colour it takes on


def wall_shares(frame: Frame) -> Float[np.ndarray, "6 18"]:
    """How much of each brick is there, by least squares: 1 for a brick, 0 for none.

    Raises:
        DataError: the frame has another size.
    """
    check_frame(frame)
    seen = frame[np.ix_(_WALL_ROWS, _WALL_COLUMNS)].transpose(0, 2, 1) - _SIDES
    return _SOLVE_ROWS @ seen.reshape(-1, len(_WALL_COLUMNS)) @ _SOLVE_COLUMNS.T


def read_wall(frame: Frame) -> Bool[np.ndarray, "6 18"]:
    """Which bricks stand.

    Raises:
        DataError: the frame has another size.
    """
    return wall_shares(frame) >= 0.5


def draw_wall(wall: Bool[np.ndarray, "6 18"]) -> Float[np.ndarray, "64 64 3"]:
    """The frame of these bricks and nothing else."""
    rows = wall @ _BRICK_IN_COLUMN.T
    return (_BRICK_IN_ROW @ (rows[:, :, None] * _COLOURS[:, None, :]).reshape(BRICK_ROWS, -1)).reshape(SIZE, SIZE, 3)


def find_ball(frame: Frame, wall: Bool[np.ndarray, "6 18"]) -> tuple[float, float] | None:
    """The ball's (x, y): the heaviest spot that the wall does not explain, if it weighs at least half a ball.

    It is looked for between the outermost columns, which mix with the grey frame.
    """
    check_frame(frame)
    rest = (frame - draw_wall(wall))[BALL_ROWS, _INSIDE[0] : _INSIDE[-1] + 1].max(axis=2)
    rest[rest < _BALL / 16] = 0
    boxes = np.lib.stride_tricks.sliding_window_view(np.pad(rest, 1), (3, 3))
    weights = boxes.sum(axis=(2, 3))
    row, column = np.unravel_index(int(weights.argmax()), weights.shape)
    weight = weights[row, column]
    if weight < _BALL / 2:
        return None
    box = boxes[row, column] / weight
    offsets = np.array([-0.5, 0.5, 1.5])  # centres of the box's pixels from the middle pixel's edge
    x = column + _INSIDE[0] + float(box.sum(axis=0) @ offsets)
    y = row + BALL_ROWS.start + float(box.sum(axis=1) @ offsets)
    return float(x), float(y)


def read_score(frame: Frame) -> int | None:
    """The score of the first three digits, None where one is not clear.

    Digits are compared by direction (their pixels as a vector of length 1), so that a paler or darker score is read
    too. One is clear if it is at least as bright as half the faintest digit and twice as near to the best of the ten as
    to the second best.
    """
    check_frame(frame)
    score = 0
    for rows, columns, digits in _TEMPLATES:
        seen = frame[rows, columns].astype(np.float64).mean(axis=2).ravel()
        brightness, brightnesses = np.linalg.norm(seen), np.linalg.norm(digits, axis=1)
        if brightness < brightnesses.min() / 2:
            return None
        distances = np.linalg.norm(digits / brightnesses[:, None] - seen / brightness, axis=1)
        best, second = np.sort(distances)[:2]
        if best > second / 2:
            return None
        score = 10 * score + int(distances.argmin())
    return score


def draw_digit(digit: int, place: int) -> Float[np.ndarray, "64 64"]:
    """The grey frame of one digit of the score; place 0 is the hundreds."""
    cells = np.array([[cell == "#" for cell in row] for row in _DIGITS[digit]], float)
    up_down = _stretch(_DIGIT_TOP, _CELL_HEIGHT, 5, ROWS)
    across = _stretch(_DIGIT_LEFTS[place], _CELL_WIDTH, 3, COLUMNS)
    return _GREY * up_down @ cells @ across.T


def _templates() -> list[tuple[slice, slice, Float[np.ndarray, "10 pixels"]]]:
    rows = np.flatnonzero(_stretch(_DIGIT_TOP, _CELL_HEIGHT, 5, ROWS).sum(axis=1))
    templates = []
    for place, left in enumerate(_DIGIT_LEFTS):
        columns = np.flatnonzero(_stretch(left, _CELL_WIDTH, 3, COLUMNS).sum(axis=1))
        box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        templates.append((*box, np.stack([draw_digit(digit, place)[box].ravel() for digit in range(10)])))
    return templates


_TEMPLATES = _templates()
