"""How many frames a network looks at together."""

from collections.abc import Iterator

PIXELS = 64 * 64 * 64
"""Of all frames together: 64 frames of 64 x 64."""


def batches(count: int, pixels: int) -> Iterator[slice]:
    """Slices of `count` entries of so many pixels each, at least one entry a slice."""
    size = max(1, PIXELS // pixels)
    return (slice(start, start + size) for start in range(0, count, size))
