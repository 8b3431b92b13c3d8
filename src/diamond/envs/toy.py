"""Catch: a tiny image environment that can be solved exactly, for tests and tutorials."""

from typing import Any, SupportsInt

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from jaxtyping import UInt8

_CELLS = 16
_BALL = 2
_PADDLE_WIDTH = 4
_PADDLE_TOP = 14
_BACKGROUND, _BALL_COLOUR, _PADDLE_COLOUR = (16, 24, 64), (240, 200, 40), (60, 200, 120)


class Catch(gymnasium.Env[UInt8[np.ndarray, "h w 3"], np.int64]):
    """A ball falls straight down; the paddle below should be there when it lands.

    The world is 16 x 16 cells. The ball (2 x 2) starts at the top in one of 8 columns and falls one cell a step, so it
    lands after 12 steps. The paddle (4 x 2) starts in the middle and moves two cells left, stays, or moves two right
    (actions 0, 1, 2). Landing gives +1 if the ball is wholly above the paddle, else -1, and ends the episode or brings
    the next of `balls`. Moving towards the ball always wins; standing still catches 2 of 8 columns: -0.5 a ball on
    average.

    Args:
        balls: balls in an episode.
        size: height and width of the observation in pixels, a multiple of 16.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, balls: int = 1, size: int = _CELLS, render_mode: str | None = None) -> None:
        if balls < 1:
            raise ValueError(f"balls is {balls}: use at least 1")
        if size < _CELLS or size % _CELLS:
            raise ValueError(f"size is {size}: use a multiple of {_CELLS}")
        self.balls, self.scale, self.render_mode = balls, size // _CELLS, render_mode
        self.observation_space = Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = Discrete(3)
        self._ball_row = self._ball_column = self._paddle = self._landed = 0

    def get_action_meanings(self) -> list[str]:
        """The names of the actions."""
        return ["LEFT", "NOOP", "RIGHT"]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], dict[str, Any]]:
        """A new episode: the paddle in the middle, a ball at the top."""
        super().reset(seed=seed)
        self._paddle = (_CELLS - _PADDLE_WIDTH) // 2
        self._landed = 0
        self._drop()
        return self._draw(), {}

    def step(self, action: SupportsInt) -> tuple[UInt8[np.ndarray, "h w 3"], float, bool, bool, dict[str, Any]]:
        """Move the paddle, then let the ball fall by one cell."""
        self._paddle = int(np.clip(self._paddle + 2 * (int(action) - 1), 0, _CELLS - _PADDLE_WIDTH))
        self._ball_row += 1
        if self._ball_row + _BALL < _PADDLE_TOP:
            return self._draw(), 0.0, False, False, {}
        caught = self._paddle <= self._ball_column <= self._paddle + _PADDLE_WIDTH - _BALL
        self._landed += 1
        if self._landed < self.balls:
            self._drop()
        return self._draw(), 1.0 if caught else -1.0, self._landed == self.balls, False, {}

    def render(self) -> UInt8[np.ndarray, "h w 3"] | None:
        """The current frame, for `render_mode="rgb_array"`."""
        return self._draw() if self.render_mode == "rgb_array" else None

    def _drop(self) -> None:
        self._ball_row = 0
        self._ball_column = int(self.np_random.integers(_CELLS // _BALL)) * _BALL

    def _draw(self) -> UInt8[np.ndarray, "h w 3"]:
        cells = np.full((_CELLS, _CELLS, 3), _BACKGROUND, np.uint8)
        cells[_PADDLE_TOP:, self._paddle : self._paddle + _PADDLE_WIDTH] = _PADDLE_COLOUR
        cells[self._ball_row : self._ball_row + _BALL, self._ball_column : self._ball_column + _BALL] = _BALL_COLOUR
        return cells.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
