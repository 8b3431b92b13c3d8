"""How like frames are to others, and what they look like on their own: one number a frame.

Axes   n frames | m reference frames | h w 3 image
Units  frames are uint8; differences, brightness, saturation and sharpness are in grey levels, 0 to 255; PSNR is in dB
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from diamond.errors import DataError

PEAK = 255
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
"""Size and standard deviation, in pixels, of the Gaussian window in which SSIM compares."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
MOVED = 8
"""A pixel has moved if a colour of it changed by more than this many grey levels."""
_STABLE = ((0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2)  # c1 and c2 of Wang et al., from their K1 and K2
_CHUNK = 1 << 20  # values held as floats at once, 8 MiB for each temporary array


def mean_error(frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Mean absolute difference in grey levels."""
    return np.array([np.abs(a.astype(np.int16) - b).mean() for a, b in zip(frames, truth, strict=True)], dtype=float)


def psnr(frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Peak signal-to-noise ratio, 10 log10(255^2 / mean squared error) in dB; see `most_psnr` for equal frames."""
    squared = [np.square(a.astype(float) - b).mean() for a, b in zip(frames, truth, strict=True)]
    infinite_above = most_psnr(frames.shape[1:])
    with np.errstate(divide="ignore"):
        return np.minimum(infinite_above, 10 * np.log10(PEAK**2 / np.array(squared, dtype=float)))


def most_psnr(shape: tuple[int, ...]) -> float:
    """What `psnr` gives equal frames of a shape (h, w, 3), instead of infinity, so that means over frames stay finite.

    It is the PSNR of frames of which a single value is off by half a grey level: 6 dB above the best that unequal
    frames can have, 95.0 dB at 64 x 64.
    """
    return float(10 * np.log10(PEAK**2 * np.prod(shape) / 0.25))


def ssim(frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Structural similarity (Wang et al. 2004, equation 13), mean over the three colours: 1 for equal frames, >= -1.

    Means, variances and the covariance are those under a Gaussian window of 11 x 11 pixels and standard deviation 1.5,
    at every place where the window lies within the frame; K1 = .01, K2 = .03. In frames smaller than the window it
    shrinks to the largest odd size that fits: such values do not compare with those of larger frames.
    """
    rows, columns = (torch.from_numpy(_windows(size, min(frames.shape[1:3]))) for size in frames.shape[1:3])

    def smooth(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 x y"]:
        return (images @ columns.T).mT.contiguous() @ rows.T

    def centred(images: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        # Which changes no variance, and keeps differences of squares precise.
        return torch.from_numpy(images.transpose(0, 3, 1, 2) - PEAK / 2).contiguous()

    c1, c2 = _STABLE
    found = []
    step = max(1, _CHUNK // max(1, int(np.prod(frames.shape[1:]))))
    for start in range(0, len(frames), step):
        x, y = centred(frames[start : start + step]), centred(truth[start : start + step])
        mean_x, mean_y = smooth(x), smooth(y)
        variances = smooth(x.square() + y.square()) - mean_x.square() - mean_y.square()
        covariance = smooth(x * y) - mean_x * mean_y
        mean_x, mean_y = mean_x + PEAK / 2, mean_y + PEAK / 2
        likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        likeness /= (mean_x.square() + mean_y.square() + c1) * (variances + c2)
        found.append(likeness.mean(dim=(1, 2, 3)).numpy())
    return np.concatenate(found) if found else np.zeros(0)


def _windows(size: int, shortest: int) -> Float64[np.ndarray, "places size"]:
    """The Gaussian window at each place along a side: smoothing is a product with this matrix."""
    width = min(SSIM_WINDOW, shortest - 1 + shortest % 2)
    weights = np.exp(-np.square(np.arange(width) - width // 2) / (2 * SSIM_SIGMA**2))
    windows = np.zeros((size - width + 1, size))
    for place, window in enumerate(windows):
        window[place : place + width] = weights / weights.sum()
    return windows


def luma(frames: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n h w"]:
    """Brightness of each pixel as a television shows it in black and white, in grey levels."""
    return frames @ np.array(LUMA)


def brightness(frames: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Mean luma in grey levels: a dream that fades or darkens shows itself here."""
    return frames.mean(axis=(1, 2)) @ np.array(LUMA)


def saturation(frames: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Mean difference of the strongest and the weakest colour of a pixel, in grey levels: 0 where all is grey."""
    red, green, blue = np.moveaxis(frames, -1, 0)
    strongest, weakest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return (strongest - weakest).mean(axis=(1, 2))


def sharpness(frames: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n"]:
    """Mean length of the luma's gradient, in grey levels a pixel: it falls where a dream blurs.

    The gradient of a pixel holds the differences to its neighbours on the right and below; the last row and column,
    which lack one, are left out.

    Raises:
        DataError: frames are less than 2 pixels wide or high.
    """
    if min(frames.shape[1:3]) < 2:
        raise DataError(f"sharpness needs frames of at least 2 x 2 pixels, got {frames.shape[1]} x {frames.shape[2]}")
    found = []
    for frame in frames:
        light = luma(frame[None])[0]
        across, down = light[:-1, 1:] - light[:-1, :-1], light[1:, :-1] - light[:-1, :-1]
        found.append(np.hypot(across, down).mean())
    return np.array(found, dtype=float)


def nearest_distance(
    frames: UInt8[np.ndarray, "n h w 3"], reference: UInt8[np.ndarray, "m h w 3"]
) -> Float64[np.ndarray, "n"]:
    """Mean absolute difference to the nearest reference frame, in grey levels: 0 for a frame that is among them.

    Frames are compared block by block, so that memory does not grow with their number.

    Raises:
        DataError: there is no reference frame.
    """
    if len(reference) == 0:
        raise DataError("reference holds no frame to compare with: give at least one")
    values = int(np.prod(frames.shape[1:]))
    exact = np.float32 if PEAK * values < 1 << 24 else np.float64  # holds every sum as it is; the smaller is faster

    def rows(images: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n values"]:
        return torch.from_numpy(images.reshape(len(images), values).astype(exact))

    step = max(1, 8 * _CHUNK // values)
    nearest = np.full(len(frames), np.inf)
    for start in range(0, len(reference), step):
        block = rows(reference[start : start + step])
        for low in range(0, len(frames), step):
            sums = torch.cdist(rows(frames[low : low + step]), block, p=1).amin(dim=1).double().numpy()
            nearest[low : low + step] = np.minimum(nearest[low : low + step], sums / values)
    return nearest


def differs(frames: UInt8[np.ndarray, "*n h w 3"], others: UInt8[np.ndarray, "*n h w 3"]) -> Bool[np.ndarray, "*n h w"]:
    """Where a colour differs by more than `MOVED` grey levels."""
    # Of unsigned numbers the larger less the smaller: no wider type is needed.
    return (np.maximum(frames, others) - np.minimum(frames, others) > MOVED).any(axis=-1)


def moved_error(
    frames: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"], moved: np.ndarray
) -> Float[np.ndarray, "n"]:
    """Mean absolute difference over the pixels of `moved` (n, h, w)."""
    difference = np.abs(frames.astype(float) - truth).mean(axis=-1)
    return (difference * moved).sum(axis=(1, 2)) / moved.sum(axis=(1, 2))
