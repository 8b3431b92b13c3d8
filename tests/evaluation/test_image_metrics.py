"""What frames look like and how like they are, against what can be worked out by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_inputs import draw_frames
from hypothesis import given, settings
from hypothesis import strategies as st

from diamond.errors import DataError
from diamond.evaluation.image_metrics import (
    brightness,
    mean_error,
    most_psnr,
    nearest_distance,
    psnr,
    saturation,
    sharpness,
    ssim,
)

REFERENCE = json.loads((Path(__file__).parent.parent / "fixtures/image_metrics.json").read_text(encoding="utf-8"))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def grey(level: int, *shape: int) -> np.ndarray:
    return np.full((*shape, 3), level, np.uint8)


# Differences


@given(level=st.integers(0, 255), other=st.integers(0, 255))
def test_even_differences_are_what_they_are(level: int, other: int) -> None:
    """Also where bytes would wrap around."""
    a, b = grey(level, 2, 4, 5), grey(other, 2, 4, 5)
    difference = abs(level - other)
    assert mean_error(a, b).tolist() == [difference, difference]
    decibel = 20 * np.log10(255 / difference) if difference else most_psnr((4, 5, 3))
    assert psnr(a, b).tolist() == pytest.approx([decibel, decibel])


def test_each_frame_is_compared_with_its_own() -> None:
    a = np.concatenate((grey(0, 1, 4, 4), grey(100, 1, 4, 4)))
    b = np.concatenate((grey(10, 1, 4, 4), grey(101, 1, 4, 4)))
    assert mean_error(a, b).tolist() == [10, 1]
    assert psnr(a, b).tolist() == pytest.approx([20 * np.log10(25.5), 20 * np.log10(255)])


def test_psnr_stays_finite_and_the_least_difference_shows() -> None:
    a = noise(1, 64, 64)
    nearly = a.copy()
    nearly[0, 3, 4, 1] ^= 1
    assert psnr(a, a)[0] == most_psnr((64, 64, 3)) == pytest.approx(95.046, abs=1e-3)
    assert psnr(nearly, a)[0] == pytest.approx(psnr(a, a)[0] - 20 * np.log10(2))


# Structural similarity


@settings(max_examples=30)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_ssim_is_one_for_equal_frames_and_never_more(height: int, width: int, seed: int) -> None:
    """Of every size: the window shrinks to what fits."""
    a, b = noise(2, height, width, seed=seed), noise(2, height, width, seed=seed + 100)
    assert ssim(a, a).tolist() == pytest.approx([1, 1], abs=1e-12)
    assert (np.abs(ssim(a, b)) <= 1 + 1e-12).all()
    assert ssim(a, b).tolist() == pytest.approx(ssim(b, a).tolist(), abs=1e-12)


@pytest.mark.parametrize("size", [(10, 10), (16, 30), (64, 64)])
def test_ssim_of_even_frames(size: tuple[int, int]) -> None:
    """Without structure only brightness is compared: (2 x y + c1) / (x^2 + y^2 + c1), whatever the window."""
    c1 = 2.55**2
    expected = (2 * 100 * 50 + c1) / (100**2 + 50**2 + c1)
    assert ssim(grey(100, 2, *size), grey(50, 2, *size)).tolist() == pytest.approx([expected, expected])


@pytest.mark.parametrize(("height", "width", "window"), [(11, 11, 11), (13, 12, 11), (10, 10, 9), (4, 7, 3), (1, 5, 1)])
def test_ssim_is_its_definition(height: int, width: int, window: int) -> None:
    """Written out with weighted sums, place by place; the window is the largest odd one that fits, at most 11."""
    a, b = noise(1, height, width, seed=1), noise(1, height, width, seed=2)
    side = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * 1.5**2))
    weights = np.outer(side, side) / side.sum() ** 2
    c1, c2, expected = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for top, left, colour in np.ndindex(height - window + 1, width - window + 1, 3):
        x, y = (each[0, top : top + window, left : left + window, colour].astype(float) for each in (a, b))
        mx, my = (weights * x).sum(), (weights * y).sum()
        vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
        cov = (weights * (x - mx) * (y - my)).sum()
        expected.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(a, b)[0] == pytest.approx(np.mean(expected), rel=1e-9)


def test_ssim_forgives_brightness_rather_than_blur() -> None:
    """What it was made for: of two changes of about equal squared error, the one that keeps edges is nearer."""
    a = noise(1, 32, 32) // 8 * 4 + 60
    brighter = (a + 30).astype(np.uint8)
    flat = np.broadcast_to(a.mean(axis=(1, 2), keepdims=True).astype(np.uint8), a.shape)
    assert psnr(brighter, a)[0] < psnr(flat, a)[0] + 3
    assert ssim(brighter, a)[0] > 0.9
    assert ssim(flat, a)[0] < 0.3


def test_ssim_of_an_inverted_picture_is_negative() -> None:
    a = noise(1, 32, 32)
    assert ssim(255 - a, a)[0] < -0.5


def test_ssim_turns_with_the_frame() -> None:
    a, b = noise(2, 12, 20, seed=3), noise(2, 12, 20, seed=4)
    turned = ssim(a.transpose(0, 2, 1, 3), b.transpose(0, 2, 1, 3))
    assert turned.tolist() == pytest.approx(ssim(a, b).tolist(), rel=1e-12)


def test_ssim_is_the_same_in_blocks() -> None:
    """More frames than are held as floats at once."""
    a, b = noise(100, 64, 64, seed=5), noise(100, 64, 64, seed=6)
    alone = [ssim(a[i : i + 1], b[i : i + 1])[0] for i in (0, 50, 99)]
    assert ssim(a, b)[[0, 50, 99]].tolist() == pytest.approx(alone, rel=1e-12)
    assert ssim(a[:0], b[:0]).shape == (0,)


# What frames look like


def test_brightness_is_luma() -> None:
    colours = np.eye(3)[:, None, None] * 255 * np.ones((3, 4, 5, 3))
    assert brightness(colours.astype(np.uint8)).tolist() == pytest.approx([255 * 0.299, 255 * 0.587, 255 * 0.114])
    assert brightness(grey(77, 2, 4, 5)).tolist() == pytest.approx([77, 77])


def test_saturation() -> None:
    frames = np.concatenate((grey(77, 1, 2, 2), np.zeros((1, 2, 2, 3), np.uint8)))
    frames[1, 0, 0] = [200, 255, 5]
    assert saturation(frames).tolist() == [0, 250 / 4]


@given(across=st.integers(-8, 8), down=st.integers(-8, 8))
def test_sharpness_of_a_ramp_is_its_slope(across: int, down: int) -> None:
    y, x = np.mgrid[:8, :9]
    light = 128 + across * (x - 4) + down * (y - 4)
    frames = np.repeat(light[None, ..., None], 3, axis=-1).astype(np.uint8)
    assert sharpness(frames)[0] == pytest.approx(np.hypot(across, down), abs=1e-9)


def test_blur_lowers_sharpness() -> None:
    frames = noise(1, 16, 16)
    blurred = ((frames.astype(int) + np.roll(frames, 1, axis=2)) // 2).astype(np.uint8)
    assert sharpness(blurred)[0] < 0.8 * sharpness(frames)[0]


def test_no_sharpness_of_a_line() -> None:
    with pytest.raises(DataError, match=r"2 x 2 pixels, got 1 x 9"):
        sharpness(noise(1, 1, 9))


# Nearest frames


def test_nearest_distance_is_that_of_the_best_pair() -> None:
    frames, reference = noise(5, 6, 7, seed=7), noise(9, 6, 7, seed=8)
    expected = [mean_error(np.broadcast_to(frame, reference.shape), reference).min() for frame in frames]
    assert nearest_distance(frames, reference).tolist() == pytest.approx(expected, rel=1e-12)
    assert nearest_distance(reference[[3, 0]], reference).tolist() == [0, 0]


def test_nearest_distance_across_blocks() -> None:
    """Frames this large are compared a few at a time, and their sums are too large for float32."""
    frames = np.concatenate([grey(level, 1, 1000, 1000) for level in (0, 90, 200)])
    reference = np.concatenate([grey(level, 1, 1000, 1000) for level in (250, 8, 120, 99, 60)])
    assert nearest_distance(frames, reference).tolist() == [8, 9, 50]


def test_nothing_is_near_no_frame() -> None:
    with pytest.raises(DataError, match="reference holds no frame"):
        nearest_distance(noise(2, 4, 4), noise(0, 4, 4))


# Against torchmetrics


@pytest.mark.parametrize("of_size", REFERENCE["frames"])
def test_psnr_and_ssim_are_those_of_torchmetrics(of_size: dict[str, Any]) -> None:
    frames, truth = draw_frames(*of_size["size"])
    assert psnr(frames, truth).tolist() == pytest.approx(of_size["psnr"], rel=1e-6)
    assert ssim(frames, truth).tolist() == pytest.approx(of_size["ssim"], rel=1e-9)
