"""The public names: a run in a few lines of Python.

agent = diamond.load("runs/my-run")                 # or weights of the published code, "Breakout.pt", "hf:..."
dreams = diamond.dream("runs/my-run", num_envs=4)   # a gymnasium.vector.VectorEnv
"""

from diamond.agents.agent import Agent
from diamond.agents.policies import policy
from diamond.config import Config
from diamond.config.presets import preset
from diamond.errors import DiamondError
from diamond.evaluation.scores import score
from diamond.imagination.world import WorldModel
from diamond.imagination.world_model_env import SingleWorldModelEnv, WorldModelEnv
from diamond.loading import dream, load, load_starts

__all__ = [
    "Agent",
    "Config",
    "DiamondError",
    "SingleWorldModelEnv",
    "WorldModel",
    "WorldModelEnv",
    "dream",
    "load",
    "load_starts",
    "policy",
    "preset",
    "score",
]
