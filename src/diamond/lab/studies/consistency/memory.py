"""The same objects as the console's memory has them: the truth that the detectors are compared with.

Bricks, score, ball, the class and x of Asterix's objects, and Road Runner's seeds were verified by writing these bytes
in the emulator and watching the screen (`tests/studies/test_consistency_memory` repeats that); the others, which the
game itself rewrites, beside the screen during play. The numbers are addresses in the 128 bytes of `AtariGame.memory()`.

    Breakout     0-35   two bits a brick, 1 where it stands (six bytes a group of columns, from the lowest row up)
                 72     paddle's x + 47 | 76, 77 score, two decimal digits a byte | 99, 101 ball's x + 49, y - 9
    Asterix      29-36  class of the object on each lane from the topmost down: lowest bit 1 enemy, 0 reward
                 11-18  picture on each lane from the lowest up: 11 none, 12 points, 204 and 216 enemy, 108 cauldron
                 42-49  their x from the topmost lane down | 39, 41 player's lane and x | 54 wave
    RoadRunner   36-39  the seed on each lane from the lowest up: 31 there, 16 and 24 not | 80, 81 player's, coyote's x
                 42, 43 the truck's x and half of the road, 0 for none
                 89, 90 x of the pattern and which of eight patterns it is | 22 level

Where the addresses come from: AtariARI (Anand et al. 2019) and OCAtari (Delfosse et al. 2023) name them; the
order of Breakout's bits, the places of Road Runner's patterns and all offsets to the screen were measured here.

The memory is that of one moment, the frame the maximum of two: what was moved or taken between the two screens is
still on the frame. `proof` counts such moments apart.

Axes   6 rows of bricks from the top, 18 bricks a row
Units  places are in pixels of the 64 x 64 frame
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from diamond.lab.studies.consistency.detectors import ASTERIX_LANES, COLUMN, ROAD_LANES, Kind
from diamond.lab.studies.consistency.wall import BRICK_COLUMNS, BRICK_ROWS
from diamond.lab.studies.experts import Memory

# Byte group and bit of each brick's left half (8 screen pixels a brick, 4 a bit); the order of the bits alternates.
_BRICKS = (
    [(5, 6)]
    + [(4, bit) for bit in (7, 5, 3, 1)]
    + [(3, bit) for bit in (0, 2, 4, 6)]
    + [(2, bit) for bit in (4, 6)]
    + [(1, bit) for bit in (7, 5, 3, 1)]
    + [(0, bit) for bit in (0, 2, 4)]
)
_ASTERIX_KINDS: dict[int, Kind] = {12: "points", 108: "reward", 204: "enemy", 216: "enemy"}
_ASTERIX_NONE = 11
_SEED = 31
# Where the seed of each lane, from the topmost down, starts: screen columns from byte 89, for each pattern of byte 90.
_PATTERNS = tuple(
    tuple((first + step * lane) % 160 for lane in range(ROAD_LANES))
    for first, step in ((90, 95), (128, -30), (90, 95), (108, -47), (15, 20), (99, -56), (135, -20), (15, 20))
)
_LEFT_BORDER = 8  # screen columns that Road Runner blackens on the left


class Truth(NamedTuple):
    """An object as the memory has it."""

    kind: Kind
    lane: int
    x: float
    """Centre in columns of the frame."""
    whole: bool
    """All of it is on the screen and no figure stands on it: the detector must see it."""


def read_bricks(memory: Memory) -> Bool[np.ndarray, "6 18"]:
    """Which bricks stand in Breakout."""
    wall = np.zeros((BRICK_ROWS, BRICK_COLUMNS), bool)
    for column, (group, bit) in enumerate(_BRICKS):
        wall[:, column] = memory[6 * group : 6 * group + 6][::-1] >> bit & 1
    return wall


def read_points(memory: Memory) -> int:
    """Breakout's score."""
    hundreds, rest = int(memory[76]), int(memory[77])
    return 100 * (hundreds & 15) + 10 * (rest >> 4) + (rest & 15)


def readable(game: str, memory: Memory) -> bool:
    """Whether the game is in a part that the detectors know: Asterix's first wave, Road Runner's first level."""
    if game == "Asterix":
        lanes = memory[18 : 18 - ASTERIX_LANES : -1]
        return bool(memory[54] == 0) and set(map(int, lanes)) <= {_ASTERIX_NONE, *_ASTERIX_KINDS}
    return bool(memory[22] == 0 and memory[90] < len(_PATTERNS))


def read_objects(game: str, memory: Memory) -> list[Truth]:
    """The objects of Asterix or RoadRunner, for a moment that is `readable`."""
    return _asterix(memory) if game == "Asterix" else _road_runner(memory)


def _asterix(memory: Memory) -> list[Truth]:
    truths = []
    player_lane, player = int(memory[39]), int(memory[41])
    for lane in range(ASTERIX_LANES):
        picture, left = int(memory[18 - lane]), int(memory[42 + lane])
        if picture == _ASTERIX_NONE:
            continue
        # The player's picture is 8 columns, 16 when it loses a life.
        clear = lane != player_lane or not -18 <= player - left <= 10
        whole = 2 <= left <= 160 - 12 and clear
        truths.append(Truth(_ASTERIX_KINDS[picture], lane, (left + 4) / COLUMN, whole))
    return truths


def _road_runner(memory: Memory) -> list[Truth]:
    truths = []
    for lane in range(ROAD_LANES):
        if memory[39 - lane] != _SEED:
            continue
        left = (int(memory[89]) + _PATTERNS[int(memory[90])][lane]) % 160
        clear = all(not -12 <= int(memory[figure]) - left <= 10 for figure in (80, 81))
        if memory[43]:  # a truck, on the road's lower or upper half
            clear &= (memory[43] == 1) != (lane >= 2) or not -22 <= int(memory[42]) - left <= 10
        whole = _LEFT_BORDER + 4 <= left <= 160 - 8 and clear
        truths.append(Truth("seed", lane, (left + 2.5) / COLUMN, whole))
    return truths
