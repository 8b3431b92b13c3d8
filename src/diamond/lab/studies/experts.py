"""Scripted players, who show more of a game than chance does; some read the console's memory.

Places of objects in memory are those of Anand et al. 2019 (AtariARI), each checked against the screen by the tests.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import UInt8

from diamond.envs import Outcome
from diamond.envs.atari import AtariGame

Memory = UInt8[np.ndarray, "128"]
Player = Callable[[int], int]
"""(the game's step, counted from 0) -> the number of an action."""

EXPLORATION = 0.05
"""Probability of a uniformly random action instead of one that follows from the memory."""


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


READERS: dict[str, Callable[[Memory], str]] = {"Breakout": breakout, "Boxing": boxing}
"""Players who choose by what the memory says: (memory) -> the meaning of an action."""
WANDERERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "Asterix": (3, ()),
    "RoadRunner": (6, ("LEFT", "LEFT", "LEFT", "UPLEFT", "DOWNLEFT")),  # where the seeds are
}
"""Players who hold an action for some steps, so that it leads somewhere: one of these, or any, all equally probable."""


def play_script(game: str, console: AtariGame, seed: int, steps: int) -> Iterator[tuple[int, Outcome]]:
    """Start a game and let its scripted player act, until it is over or for `steps` steps.

    The console shows the first frame at once, then the frame after each action and outcome that is yielded.
    """
    act = player(game, console, np.random.default_rng(seed))
    console.start(seed)
    return _moves(act, console, steps)


def _moves(act: Player, console: AtariGame, steps: int) -> Iterator[tuple[int, Outcome]]:
    for step in range(steps):
        action = act(step)
        outcome = console.advance(action)
        yield action, outcome
        if outcome.terminated:
            break


def player(game: str, console: AtariGame, rng: np.random.Generator) -> Player:
    """The player of a game: its script's, or one who acts by chance at every step.

    Args:
        game: its name.
        console: the game to play.
        rng: source of all that is random.
    """
    if game in READERS:
        return _reader(READERS[game], console, rng)
    steps, favourites = WANDERERS.get(game, (1, ()))
    return _wanderer(steps, favourites, console, rng)


def _reader(choose: Callable[[Memory], str], console: AtariGame, rng: np.random.Generator) -> Player:
    numbers = {meaning: number for number, meaning in enumerate(console.action_meanings)}

    def act(step: int) -> int:
        if rng.random() < EXPLORATION:
            return int(rng.integers(len(numbers)))
        return numbers[choose(console.memory())]

    return act


def _wanderer(steps: int, favourites: tuple[str, ...], console: AtariGame, rng: np.random.Generator) -> Player:
    numbers = [console.action_meanings.index(meaning) for meaning in favourites]
    action = 0

    def act(step: int) -> int:
        nonlocal action
        if step % steps == 0:
            anything = int(rng.integers(len(console.action_meanings)))
            action = int(rng.choice([*numbers, anything]))
        return action

    return act
