"""MinAtar's small games as pictures (Young and Tian 2019, arXiv 1903.03176).

MinAtar shows a game as 10 x 10 cells in one boolean plane per kind of object. Here each kind gets a colour, so that the
same networks, reports and players serve these games and any other.

Axes   h w cells | p planes
"""

from typing import Any, SupportsInt

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import Bool, UInt8

PREFIX = "MinAtar/"
"""What the Gymnasium ids of these games begin with; `-v1` has only the actions that matter in the game."""

_ACTION_NAMES = {"n": "NOOP", "l": "LEFT", "u": "UP", "r": "RIGHT", "d": "DOWN", "f": "FIRE"}
_COLOURS = (
    (235, 235, 235),
    (250, 190, 60),
    (150, 85, 25),
    (60, 130, 225),
    (225, 70, 70),
    (80, 190, 110),
    (170, 95, 210),
    (80, 200, 220),
    (240, 130, 180),
    (150, 150, 70),
)
"""One for each plane, in the game's order; no game has more."""


def register() -> None:
    """Make the ids known to Gymnasium.

    Raises:
        ImportError: the package `minatar` is not installed.
    """
    from minatar.gym import register_envs

    if not any(name.startswith(PREFIX) for name in gymnasium.registry):
        register_envs()


class MinAtarPictures(gymnasium.Wrapper[UInt8[np.ndarray, "h w 3"], np.int64, Any, np.int64]):
    """A MinAtar game that shows RGB frames of one pixel a cell: black where nothing is, mixed where objects overlap."""

    def __init__(self, env: gymnasium.Env[Any, np.int64]) -> None:
        super().__init__(env)
        height, width, planes = env.unwrapped.game.state_shape()  # type: ignore[attr-defined]
        self.observation_space = Box(0, 255, (height, width, 3), np.uint8)
        self._palette = np.array(_COLOURS[:planes], float)

    def get_action_meanings(self) -> list[str]:
        """The names of the actions."""
        game = self.unwrapped.game.env  # type: ignore[attr-defined]
        return [_ACTION_NAMES[game.action_map[action]] for action in self.unwrapped.action_set]  # type: ignore[attr-defined]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, Any]]:
        """A new game. MinAtar would carry the last game's last action over to the first repeated one of this game."""
        self.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
        planes, info = self.env.reset(seed=seed, options=options)
        return self._picture(planes), info

    def step(self, action: SupportsInt) -> tuple[UInt8[np.ndarray, "h w 3"], float, bool, bool, dict[str, Any]]:
        """One step of the game."""
        planes, reward, terminated, truncated, info = self.env.step(int(action))  # type: ignore[arg-type]
        return self._picture(planes), float(reward), bool(terminated), bool(truncated), info

    def _picture(self, planes: Bool[np.ndarray, "h w p"]) -> UInt8[np.ndarray, "h w 3"]:
        objects = planes.sum(axis=-1, keepdims=True).clip(min=1)
        return (planes @ self._palette / objects).astype(np.uint8)
