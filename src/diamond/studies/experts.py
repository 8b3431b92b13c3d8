"""Scripted players who read the console's memory: they show more of a game than chance does.

Places of objects in memory are those of Anand et al. 2019 (AtariARI), each checked against the screen by the tests.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from diamond.envs.atari import AtariGame

Memory = UInt8[np.ndarray, "128"]
Player = Callable[[Memory], str]
"""(the console's memory) -> the meaning of an action."""

EXPLORATION = 0.05
"""Probability of a uniformly random action instead of the player's."""


def breakout(memory: Memory) -> str:
    """Keep the paddle under the ball; serve when there is none."""
    ball_x, ball_y, paddle_x = int(memory[99]), int(memory[101]), int(memory[72])
    if ball_y == 0:
        return "FIRE"
    offset = ball_x - paddle_x - 7  # from the paddle's middle
    return "NOOP" if abs(offset) < 6 else ("RIGHT" if offset > 0 else "LEFT")


def boxing(memory: Memory) -> str:
    """Walk up to the opponent, stand level with him and punch."""
    right, down = int(memory[33]) - int(memory[32]), int(memory[35]) - int(memory[34])
    vertical = "" if abs(down) < 4 else ("DOWN" if down > 0 else "UP")
    horizontal = "" if abs(right) < 30 else ("RIGHT" if right > 0 else "LEFT")
    return f"{vertical}{horizontal}FIRE"


PLAYERS: dict[str, Player] = {"Breakout": breakout, "Boxing": boxing}
"""Games with a scripted player; others are played by chance."""


class Expert:
    """Chooses the actions of one game: the script's, at times a random one.

    Args:
        game: its name; without a script all actions are random.
        action_meanings: of the environment.
        rng: source of the random actions.
    """

    def __init__(self, game: str, action_meanings: tuple[str, ...], rng: np.random.Generator) -> None:
        self._player = PLAYERS.get(game)
        self._numbers = {meaning: number for number, meaning in enumerate(action_meanings)}
        self._rng = rng

    def act(self, game: AtariGame) -> int:
        """The number of the action to take now."""
        if self._player is None or self._rng.random() < EXPLORATION:
            return int(self._rng.integers(len(self._numbers)))
        return self._numbers[self._player(game.memory())]
