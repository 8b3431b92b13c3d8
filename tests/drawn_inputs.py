"""Frames, features and weights that both the tests and tools/image_metrics_reference.py draw."""

import numpy as np
import torch
from torch import nn

COUNT = 3
SAMPLES, FEATURES = (200, 150), 6
SEED = 0


def draw_frames(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Squares of colour with noise that grows from frame to frame, and without."""
    rng = np.random.default_rng(SEED)
    squares = rng.integers(0, 256, (COUNT, -(-height // 8), -(-width // 8), 3))
    truth = squares.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    strength = np.array([1, 4, 16])[:, None, None, None]
    frames = (truth + strength * rng.integers(-8, 9, truth.shape)).clip(0, 255)
    return frames.astype(np.uint8), truth.astype(np.uint8)


def draw_features() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of samples, each with correlations of its own."""
    rng = np.random.default_rng(SEED)
    mixing = rng.integers(-2, 3, (2, FEATURES, FEATURES))
    a, b = (rng.integers(0, 256, (n, FEATURES)) / 64 @ mix for n, mix in zip(SAMPLES, mixing, strict=True))
    return a, b


def draw_weights(network: nn.Module) -> None:
    """Fill in a network, such as LPIPS, ours or the library's: kernels and biases from the input on, then the heads."""
    rng = np.random.default_rng(SEED)
    for name, parameter in network.named_parameters():
        shape = tuple(parameter.shape)
        if name.startswith(("lin", "heads")):
            values = rng.random(shape)
        elif len(shape) == 4:
            values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:
            values = 0.1 * rng.standard_normal(shape)
        parameter.data = torch.from_numpy(values.astype(np.float32))
