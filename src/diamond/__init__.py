"""DIAMOND: reinforcement learning inside a diffusion world model (Alonso et al. 2024, arXiv 2405.12399)."""

from typing import TYPE_CHECKING, Any

from diamond.version import __version__

if TYPE_CHECKING:
    from diamond.api import (
        Agent,
        Config,
        DiamondError,
        SingleWorldModelEnv,
        WorldModel,
        WorldModelEnv,
        dream,
        load,
        load_starts,
        policy,
        preset,
        score,
    )

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


def __getattr__(name: str) -> Any:
    """Import what `diamond.api` offers when it is first used: PyTorch alone takes a second."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diamond import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
