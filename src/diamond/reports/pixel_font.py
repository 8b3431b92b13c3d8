"""A small bitmap alphabet, so that captions need no font file.

Letters are five pixels high and as wide as they need to be. Small letters are drawn as capitals, unknown characters as
an empty box.

Axes   h w image
Units  masks are 1 where there is ink
"""

import numpy as np
from jaxtyping import UInt8

HEIGHT = 5

_ALPHABET = """
A .#. #.# ### #.# #.#
B ##. #.# ##. #.# ##.
C .## #.. #.. #.. .##
D ##. #.# #.# #.# ##.
E ### #.. ##. #.. ###
F ### #.. ##. #.. #..
G .### #... #.## #..# .###
H #.# #.# ### #.# #.#
I # # # # #
J ..# ..# ..# #.# .#.
K #.# #.# ##. #.# #.#
L #.. #.. #.. #.. ###
M #...# ##.## #.#.# #...# #...#
N #..# ##.# #.## #..# #..#
O .##. #..# #..# #..# .##.
P ##. #.# ##. #.. #..
Q .##. #..# #..# #.#. .#.#
R ##. #.# ##. #.# #.#
S .## #.. .#. ..# ##.
T ### .#. .#. .#. .#.
U #.# #.# #.# #.# ###
V #.# #.# #.# #.# .#.
W #...# #...# #.#.# ##.## #...#
X #.# #.# .#. #.# #.#
Y #.# #.# .#. .#. .#.
Z ### ..# .#. #.. ###
0 .#. #.# #.# #.# .#.
1 .# ## .# .# .#
2 ##. ..# .#. #.. ###
3 ##. ..# .#. ..# ##.
4 #.# #.# ### ..# ..#
5 ### #.. ##. ..# ##.
6 .## #.. ### #.# ###
7 ### ..# .#. .#. .#.
8 ### #.# ### #.# ###
9 ### #.# ### ..# ##.
. . . . . #
, .. .. .. .# #.
: . # . # .
- ... ... ### ... ...
+ ... .#. ### .#. ...
= ... ### ... ### ...
/ ..# ..# .#. #.. #..
( .# #. #. #. .#
) #. .# .# .# #.
% #.# ..# .#. #.. #.#
""".strip()


def _bitmap(rows: list[str]) -> UInt8[np.ndarray, "5 w"]:
    return np.array([[pixel == "#" for pixel in row] for row in rows], dtype=np.uint8)


_GLYPHS = {line[0]: _bitmap(line[1:].split()) for line in _ALPHABET.splitlines()}
_GLYPHS[" "] = np.zeros((HEIGHT, 2), dtype=np.uint8)
_UNKNOWN = _bitmap(["###", "#.#", "#.#", "#.#", "###"])


def text_mask(text: str, scale: int = 1) -> UInt8[np.ndarray, "h w"]:
    """One line of text as a mask, `5 * scale` pixels high, one (scaled) pixel between letters."""
    space = np.zeros((HEIGHT, 1), dtype=np.uint8)
    columns = [part for letter in text.upper() for part in (_GLYPHS.get(letter, _UNKNOWN), space)]
    mask = np.concatenate(columns[:-1], axis=1) if columns else space[:, :0]
    return mask.repeat(scale, axis=0).repeat(scale, axis=1)
