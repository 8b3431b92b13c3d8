"""DIAMOND: reinforcement learning inside a diffusion world model (Alonso et al. 2024, arXiv 2405.12399)."""

__version__ = "0.1.0"
