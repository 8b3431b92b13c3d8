"""Pixels survive every way through the program: 256 levels in, the same 256 levels out."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from diamond.experience.frames import PADDING_VALUE, slide, to_network, to_pixel_grid, to_stored

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
"""An image that holds every grey level once."""


def level(value: float) -> int:
    """The grey level that a network value is stored as."""
    return int(to_stored(torch.full((1, 1, 1), value)))


def test_black_is_minus_one_and_white_is_one() -> None:
    frames = to_network(LEVELS)
    assert frames.min() == -1
    assert frames.max() == 1
    assert frames.shape == (1, 1, 16, 16)


def test_all_levels_survive_the_round_trip() -> None:
    assert torch.equal(to_stored(to_network(LEVELS)), LEVELS)


def test_channels_and_leading_axes_move_together(generator: torch.Generator) -> None:
    stored = torch.randint(0, 256, (2, 5, 4, 6, 3), dtype=torch.uint8, generator=generator)
    frames = to_network(stored)
    assert frames.shape == (2, 5, 3, 4, 6)
    assert frames[1, 2, 0, 3, 4] == stored[1, 2, 3, 4, 0] / 127.5 - 1
    assert torch.equal(to_stored(frames), stored)


@given(st.floats(-1, 1, width=32))
def test_a_value_is_stored_as_the_nearest_level(value: float) -> None:
    assert abs(level(value) - (value + 1) * 127.5) <= 0.5 + 1e-4


@given(st.floats(-10, 10, width=32))
def test_values_beyond_black_and_white_are_clamped_not_wrapped(value: float) -> None:
    """A resize may overshoot: 1.05 is white, not level 5."""
    assert level(value) == level(min(1.0, max(-1.0, value)))


def test_padding_is_mid_grey() -> None:
    assert level(PADDING_VALUE) in (127, 128)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=20), st.booleans())
def test_the_grid_holds_storable_levels_only(values: list[float], truncate: bool) -> None:
    grid = to_pixel_grid(torch.tensor(values).reshape(1, 1, -1), truncate)
    assert grid.min() >= -1
    assert grid.max() <= 1
    assert torch.allclose(to_network(to_stored(grid)), grid, atol=1e-6)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=20))
def test_the_grid_is_idempotent(values: list[float]) -> None:
    grid = to_pixel_grid(torch.tensor(values).reshape(1, 1, -1))
    assert torch.equal(to_pixel_grid(grid), grid)


def test_stored_frames_lie_on_the_grid() -> None:
    frames = to_network(LEVELS)
    assert torch.allclose(to_pixel_grid(frames), frames, atol=1e-6)


@given(st.floats(-1, 1, width=32))
def test_truncation_takes_the_level_below(value: float) -> None:
    """As the published code does: never brighter than rounding, darker by at most one level."""
    frame = torch.full((1, 1, 1), value)
    rounded, truncated = level(float(to_pixel_grid(frame))), level(float(to_pixel_grid(frame, truncate=True)))
    assert truncated <= (value + 1) * 127.5 + 1e-4
    assert rounded - truncated in (0, 1)


def test_truncation_darkens_by_half_a_level_on_average() -> None:
    frames = torch.linspace(-1, 1, 100_001).reshape(1, 1, -1)
    darker = (frames - to_pixel_grid(frames, truncate=True)).mean() * 127.5
    assert abs(darker - 0.5) < 0.01
    brighter = (frames - to_pixel_grid(frames)).mean() * 127.5
    assert abs(brighter) < 0.01


def test_truncation_is_not_even_idempotent() -> None:
    """63 of the 256 levels lose one each time the published code saves and loads an episode: float error drops them
    below their own level. Repeated saves go on from there, which is why this package stores uint8 and rounds."""
    once = LEVELS.float().div(255).mul(2).sub(1)  # a stored frame as the published code loads it
    twice = to_pixel_grid(once, truncate=True)
    lost = ((once - twice) * 127.5).round()
    assert int((lost == 1).sum()) == 63
    assert int((lost == 0).sum()) == 256 - 63
    assert torch.equal(to_pixel_grid(once), once)


def test_sliding_drops_the_oldest_frame() -> None:
    past = torch.arange(3.0).reshape(1, 3, 1, 1, 1).expand(2, 3, 3, 4, 5)
    newest = torch.full((2, 3, 4, 5), 3.0)
    assert slide(past, newest)[:, :, 0, 0, 0].tolist() == [[1, 2, 3], [1, 2, 3]]
