"""Area averaging of images, exact to the last bit.

Every output pixel is the mean of the input under it, pixels that it covers in part counted in part. As matrices:
`rows @ image @ columns.T`, rounded half up. The weights are kept as integers and divided once at the end, so nothing is
rounded before the last step and the result does not depend on the machine, the matrix library or its threads.

Axes   h w image rows and columns, 3 colours last
Units  frames are uint8 in 0..255
"""

import math

import numpy as np
from jaxtyping import Int64, UInt8

_COLOURS = 3


def overlaps(length_in: int, length_out: int) -> Int64[np.ndarray, "out in"]:
    """How much of each input pixel lies under each output pixel, for the shortest block that repeats.

    With g = gcd(length_in, length_out) a block maps length_in / g pixels to length_out / g. An entry of 1 stands for
    the share g / length_out of an input pixel, so that all are integers; each row sums to length_in / g.
    """
    divisor = math.gcd(length_in, length_out)
    pixels_in, pixels_out = length_in // divisor, length_out // divisor
    start_in = np.arange(pixels_in, dtype=np.int64) * pixels_out
    start_out = np.arange(pixels_out, dtype=np.int64)[:, None] * pixels_in
    return (np.minimum(start_in + pixels_out, start_out + pixels_in) - np.maximum(start_in, start_out)).clip(min=0)


class AreaResize:
    """Resizes RGB images from one fixed size to another; sizes are (height, width) in pixels."""

    def __init__(self, size_in: tuple[int, int], size_out: tuple[int, int]) -> None:
        self.size_in, self.size_out = size_in, size_out
        rows, columns = overlaps(size_in[0], size_out[0]), overlaps(size_in[1], size_out[1])
        area = rows.shape[1] * columns.shape[1]
        # Numerators stay below 256 * area. In float32 they, halves included, are exact below 2^23, and the quotient is
        # then fine enough that it cannot round up across an integer.
        dtype = np.float32 if area < 2**15 else np.float64
        self._area = dtype(area)
        self._rows = rows.astype(dtype)
        self._columns = np.kron(columns.T, np.eye(_COLOURS)).astype(dtype)

    def __call__(self, image: UInt8[np.ndarray, "h_in w_in 3"]) -> UInt8[np.ndarray, "h_out w_out 3"]:
        """The resized image; the image itself where the sizes are equal."""
        if self.size_in == self.size_out:
            return image
        height, width = self.size_out
        narrow = image.reshape(-1, len(self._columns)).astype(self._columns.dtype) @ self._columns
        small = self._rows @ narrow.reshape(-1, self._rows.shape[1], width * _COLOURS)
        rounded = (small + self._area / 2) / self._area  # the cast below cuts off the fraction: round half up
        return rounded.astype(np.uint8).reshape(height, width, _COLOURS)
