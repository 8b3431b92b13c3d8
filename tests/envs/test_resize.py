"""Area averaging against closed forms, without any tolerance."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.envs.resize import AreaResize, overlaps

lengths = st.integers(1, 48)


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def half_up(values: np.ndarray) -> np.ndarray:
    return np.floor(values + 0.5).astype(np.uint8)


@given(lengths, lengths)
def test_every_input_pixel_counts_the_same_and_every_output_pixel_is_full(length_in: int, length_out: int) -> None:
    weights = overlaps(length_in, length_out)
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == weights.shape[1]).all()
    assert (weights.sum(axis=0) == weights.shape[0]).all()


@given(lengths, lengths, lengths, lengths, st.integers(0, 255))
def test_a_constant_image_stays_constant(height: int, width: int, new_height: int, new_width: int, level: int) -> None:
    image = np.full((height, width, 3), level, np.uint8)
    assert (AreaResize((height, width), (new_height, new_width))(image) == level).all()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_an_integer_factor_gives_the_means_of_blocks(
    height: int, width: int, down: int, across: int, seed: int
) -> None:
    image = random_image(height * down, width * across, seed)
    means = image.reshape(height, down, width, across, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.array_equal(AreaResize(image.shape[:2], (height, width))(image), half_up(means))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_enlarging_by_an_integer_repeats_pixels_and_shrinking_undoes_it(
    height: int, width: int, factor: int, seed: int
) -> None:
    image = random_image(height, width, seed)
    large = AreaResize((height, width), (factor * height, factor * width))(image)
    assert np.array_equal(large, image.repeat(factor, axis=0).repeat(factor, axis=1))
    assert np.array_equal(AreaResize(large.shape[:2], (height, width))(large), image)


@given(st.integers(2, 120), st.integers(2, 60))
def test_a_linear_ramp_stays_linear(length_in: int, length_out: int) -> None:
    """Downscaling a ramp samples it at the output pixels' centres when these cover whole pixels; in general the mean of
    a staircase over [a, b] is (F(b) - F(a)) / (b - a) with F(x) = n (n - 1) / 2 + n (x - n), n = floor(x)."""
    image = np.broadcast_to(np.arange(length_in, dtype=np.uint8)[:, None, None], (length_in, 1, 3))

    def integral(x: Fraction) -> Fraction:
        whole = x.numerator // x.denominator
        return Fraction(whole * (whole - 1), 2) + whole * (x - whole)

    edges = [Fraction(i * length_in, length_out) for i in range(length_out + 1)]
    means = [(integral(b) - integral(a)) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]
    expected = [(2 * mean + 1).numerator // (2 * mean + 1).denominator // 2 for mean in means]
    assert AreaResize((length_in, 1), (length_out, 1))(np.ascontiguousarray(image))[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("size_in", "size_out"),
    [((210, 160), (64, 64)), ((210, 160), (84, 84)), ((211, 163), (64, 60)), ((96, 96), (64, 64)), ((7, 9), (30, 31))],
)
def test_rounding_is_exact_on_atari_and_other_sizes(size_in: tuple[int, int], size_out: tuple[int, int]) -> None:
    """The whole computation again in integers of unlimited range."""
    image = random_image(*size_in)
    (h, w), (new_h, new_w) = size_in, size_out

    def shares(old: int, new: int) -> np.ndarray:
        return np.array(
            [
                [max(0, min((i + 1) * old, (j + 1) * new) - max(i * old, j * new)) for j in range(old)]
                for i in range(new)
            ]
        )

    total = np.einsum("ij,jkc->ikc", shares(h, new_h), image.astype(np.int64))
    total = np.einsum("lk,ikc->ilc", shares(w, new_w), total)
    assert np.array_equal(AreaResize(size_in, size_out)(image), (2 * total + h * w) // (2 * h * w))


def test_colours_do_not_mix() -> None:
    image = np.zeros((10, 15, 3), np.uint8)
    image[..., 1] = random_image(10, 15)[..., 1]
    resized = AreaResize((10, 15), (4, 4))(image)
    assert not resized[..., [0, 2]].any()
    assert resized[..., 1].any()


def test_equal_sizes_change_nothing() -> None:
    image = random_image(5, 7)
    assert np.array_equal(AreaResize((5, 7), (5, 7))(image), image)
