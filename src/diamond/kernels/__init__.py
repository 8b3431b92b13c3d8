"""Kernels of our own for dreaming and acting on a CPU: optional, and above the networks, which know nothing of them."""

from diamond.kernels.accelerate import FUSED, Copies, accelerate, for_inference, in_use

__all__ = ["FUSED", "Copies", "accelerate", "for_inference", "in_use"]
