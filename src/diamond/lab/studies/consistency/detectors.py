"""Which objects a frame shows, told by their colours alone: Asterix (first wave) and Road Runner (first levels).

A frame is the screen of 210 x 160 pixels averaged over areas, and averaging is linear: what is true of sums of colours
on the screen is true of sums over the small frame, whatever the resizing mixed. Two steps follow from that.

1. What is not looked for is cancelled by a combination of channels in which it stands alone or is zero (Asterix: the
   yellow player, alone in having less blue than green; Road Runner: black asphalt and grey marks).
2. What is left is summed over the rows of a lane. Columns above a floor form blobs; a blob is an object if it weighs at
   least half of the lightest sprite, and its class is the one whose hue, G against R, its own is closest to.

All thresholds are simple fractions (1/2 to 1/16) of a sprite's weight, which follows from the console's palette and the
pixels counted below. The fractions were chosen on games other than those of the published proof; half or twice the
lesser ones changes next to nothing. `proof` compares the result with the console's memory; Breakout's wall is in
`wall`.

Axes   h w frame rows and columns, 3 colours last
Units  frames are uint8 in 0..255; places are in pixels of the 64 x 64 frame, weights in palette levels times pixels
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from diamond.envs.resize import overlaps
from diamond.errors import DataError

SIZE = 64
"""Height and width of the frames that the detectors read."""
SCREEN_HEIGHT, SCREEN_WIDTH = 210, 160
COLUMN, ROW = SCREEN_WIDTH / SIZE, SCREEN_HEIGHT / SIZE
"""Screen pixels in a frame's pixel: 2.5 columns, 3.28 rows."""

Frame = UInt8[np.ndarray, "h w 3"]
"""One frame; `check_frame` refuses sizes other than 64 x 64."""
Kind = Literal["enemy", "reward", "points", "seed"]
"""`points` is the number that Asterix shows for a while where a reward was taken."""


class Object(NamedTuple):
    """One object that moves sideways on a lane (0 is the topmost)."""

    kind: Kind
    lane: int
    x: float
    """Centre in columns of the frame: 0 is its left edge, 64 its right one."""
    weight: float
    """What its colours sum up to, as a share of the lightest whole sprite of its game."""


class Scene(NamedTuple):
    """What is seen in one frame."""

    objects: tuple[Object, ...]
    covered: Bool[np.ndarray, "lanes 64"]
    """Where a figure (the player, Road Runner's coyote and truck) stands on the lane and may hide an object."""
    player: float | None
    """Centre of the player in columns of the frame, None where it is not seen."""


def shares(length_in: int, length_out: int) -> Float[np.ndarray, "out in"]:
    """The matrix that averages areas along one axis: each row holds the weights of one output pixel and sums to 1."""
    block = overlaps(length_in, length_out)
    blocks = np.kron(np.eye(math.gcd(length_in, length_out)), block)
    return blocks / blocks.sum(axis=1, keepdims=True)


ROWS, COLUMNS = shares(SCREEN_HEIGHT, SIZE), shares(SCREEN_WIDTH, SIZE)


def check_frame(frame: np.ndarray) -> None:
    """Refuse what is not one frame of the size that the detectors read.

    Raises:
        DataError: another shape or type.
    """
    if frame.shape != (SIZE, SIZE, 3) or frame.dtype != np.uint8:
        raise DataError(
            f"a frame is {frame.dtype} of shape {frame.shape}: it must be uint8 RGB of {SIZE} x {SIZE} pixels, the"
            " whole Atari screen averaged over areas (`diamond.envs.resize.AreaResize`); others are not resized here"
        )


def lane_rows(top: int, height: int) -> slice:
    """The rows of the frame that show any of `height` screen rows from `top` on."""
    return slice(math.floor(top / ROW), math.ceil((top + height) / ROW))


# Asterix -------------------------------------------------------------------------------------------------------------

ASTERIX_LANES, ASTERIX_PITCH = 8, 16
"""Eight lanes; sprites of 11 screen rows from row 26 on, a lane every 16 rows."""
_LINE_TOP, _LINE_HEIGHT = 23, 2  # the blue lines between lanes
_YELLOW = (187, 187, 53)  # the player; of everything on a lane only it has less blue than green
SPRITES: dict[Kind, dict[tuple[int, int, int], int]] = {  # colours and how many screen pixels of each
    "enemy": {(228, 111, 111): 27, (184, 50, 50): 12},  # the narrower of its two pictures
    "reward": {(167, 26, 26): 24, (184, 50, 50): 35},
    "points": {(170, 170, 170): 19, (198, 89, 179): 12, (127, 92, 213): 8},
}


def clear_rows(lane: int) -> slice:
    """The frame's rows that show a lane's sprites and nothing of the lines above and below."""
    line_above = _LINE_TOP + ASTERIX_PITCH * lane + _LINE_HEIGHT
    line_below = _LINE_TOP + ASTERIX_PITCH * (lane + 1)
    return slice(math.ceil(line_above / ROW), math.floor(line_below / ROW))


def sprite(kind: Kind) -> Float[np.ndarray, "3"]:
    """The sum of a whole sprite's colours in a frame."""
    colours = np.array(list(SPRITES[kind]), float)
    return np.array(list(SPRITES[kind].values())) @ colours / (ROW * COLUMN)


def _hue(colour: Float[np.ndarray, "3"]) -> float:
    """The angle of (red, green) from the red axis: 0 is pure red, pi / 4 as much green."""
    return math.atan2(colour[1], colour[0])


_HUES = {kind: _hue(sprite(kind)) for kind in SPRITES}
_LIGHTEST = min(float(sprite(kind)[0]) for kind in SPRITES)  # weights are sums of red, of which all have most
_FLOOR = _LIGHTEST / 16  # a column with less shows nothing


def _asterix(frame: Frame) -> Scene:
    found: list[Object] = []
    covered = np.zeros((ASTERIX_LANES, SIZE), bool)
    player = np.zeros(SIZE)
    for lane in range(ASTERIX_LANES):
        seen = frame[clear_rows(lane)].astype(np.float64)
        yellow = ((seen[..., 1] - seen[..., 2]) / (_YELLOW[1] - _YELLOW[2])).clip(min=0)
        shows = yellow.sum(axis=0) * _YELLOW[0] > _FLOOR
        covered[lane] = _widen(shows)
        player += yellow.sum(axis=0) * shows
        rest = (seen - yellow[..., None] * _YELLOW).clip(min=0).sum(axis=0)
        for blob in blobs(rest[:, 0] > _FLOOR):
            colour = rest[blob].sum(axis=0)
            weight = float(colour[0]) / _LIGHTEST
            if weight >= 0.5:
                hue = _hue(colour)
                kind = min(_HUES, key=lambda kind: abs(_HUES[kind] - hue))
                found.append(Object(kind, lane, _centre(rest[:, 0], blob), weight))
    return Scene(tuple(found), covered, _middle(player))


def _middle(values: Float[np.ndarray, "w"]) -> float | None:
    return _centre(values, slice(0, len(values))) if values.any() else None


def blobs(columns: Bool[np.ndarray, "w"]) -> list[slice]:
    """The unbroken runs of true columns."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], columns.astype(np.int8), [0]))))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _centre(values: Float[np.ndarray, "w"], blob: slice) -> float:
    columns = np.arange(blob.start, blob.stop) + 0.5
    return float(np.average(columns, weights=values[blob].clip(min=1e-9)))


# Road Runner ---------------------------------------------------------------------------------------------------------

ROAD_LANES, ROAD_TOPS, ROAD_HEIGHT = 4, (123, 137, 151, 165), 3
"""Four rows of seeds on the road, each of three screen rows."""
_ROAD = slice(120, 184)  # screen rows of the asphalt that any seed or figure's body is seen on
_SEED_COLOUR, _SEED_PIXELS = (84, 92, 214), 6
_COYOTE_COLOUR = (198, 108, 58)


def _blue(colours: np.ndarray) -> np.ndarray:
    """How much bluer than grey: zero on asphalt and marks, below zero on the coyote and the truck."""
    colours = np.asarray(colours, dtype=np.float64)
    return colours[..., 2] - (colours[..., 0] + colours[..., 1]) / 2


_SEED = float(_blue(np.array([_SEED_COLOUR]))[0]) * _SEED_PIXELS / (ROW * COLUMN)
_FIGURE = _SEED / 4
_DIM = _SEED / 8  # a column with less shows nothing
_ORANGE = -float(_blue(np.array([_COYOTE_COLOUR]))[0]) / (ROW * COLUMN)  # one screen pixel of the coyote


def road_rows(lane: int) -> slice:
    """The frame's rows that show any of a lane's seeds."""
    return lane_rows(ROAD_TOPS[lane], ROAD_HEIGHT)


def _road_runner(frame: Frame) -> Scene:
    blue = _blue(frame)
    lanes = [road_rows(lane) for lane in range(ROAD_LANES)]
    between = np.ones(SIZE, bool)  # rows of the road in which no seed can be
    between[[row for rows in lanes for row in range(rows.start, rows.stop)]] = False
    road = lane_rows(_ROAD.start, _ROAD.stop - _ROAD.start)
    found: list[Object] = []
    covered = np.zeros((ROAD_LANES, SIZE), bool)
    player = blue[road][between[road]].sum(axis=0)
    player[player < _FIGURE] = 0
    for lane, rows in enumerate(lanes):
        near = np.zeros(SIZE, bool)
        near[max(rows.start - 3, road.start) : min(rows.stop + 3, road.stop)] = True
        # A figure is taller than a seed: it shows above or below the lane too. The coyote is told by colour.
        figure = blue[near & between].max(axis=0) > _FIGURE
        figure |= (-blue[rows]).clip(min=0).sum(axis=0) > 2 * _ORANGE
        covered[lane] = _widen(figure)
        profile = blue[rows].sum(axis=0) * ~covered[lane]
        for blob in blobs(profile > _DIM):
            weight = float(profile[blob].sum()) / _SEED
            if weight >= 0.5:
                found.append(Object("seed", lane, _centre(profile, blob), weight))
    return Scene(tuple(found), covered, _middle(player))


def _widen(columns: Bool[np.ndarray, "w"]) -> Bool[np.ndarray, "w"]:
    """The columns and their neighbours, which show part of what stands there."""
    padded = np.pad(columns, 1)
    return padded[:-2] | columns | padded[2:]


def detect(game: str, frame: Frame) -> Scene:
    """The objects of one frame of Asterix or RoadRunner.

    Raises:
        DataError: the frame has another size, or there is no detector for the game.
    """
    check_frame(frame)
    if game == "Asterix":
        return _asterix(frame)
    if game == "RoadRunner":
        return _road_runner(frame)
    raise DataError(f"game is {game!r}: objects are detected in Asterix and RoadRunner, bricks in Breakout")
