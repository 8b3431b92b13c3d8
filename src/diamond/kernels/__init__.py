"""Kernels of our own for dreaming on a CPU."""

from diamond.kernels.operations import (
    Normalisation,
    Weights,
    attention,
    convolution,
    disabled,
    enable,
    in_use,
    ready,
    residual_block,
    usable,
)

__all__ = [
    "Normalisation",
    "Weights",
    "attention",
    "convolution",
    "disabled",
    "enable",
    "in_use",
    "ready",
    "residual_block",
    "usable",
]
