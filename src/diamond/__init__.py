"""DIAMOND: reinforcement learning inside a diffusion world model (Alonso et al. 2024, arXiv 2405.12399)."""

from diamond.agent import Agent
from diamond.api import dream, load, load_starts, policy, score
from diamond.config import Config
from diamond.errors import DiamondError
from diamond.imagination.dream import WorldModel
from diamond.imagination.world_model_env import SingleWorldModelEnv, WorldModelEnv
from diamond.presets import preset
from diamond.version import __version__

__all__ = [
    "Agent",
    "Config",
    "DiamondError",
    "SingleWorldModelEnv",
    "WorldModel",
    "WorldModelEnv",
    "__version__",
    "dream",
    "load",
    "load_starts",
    "policy",
    "preset",
    "score",
]
