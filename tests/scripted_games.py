"""Games with a known course, for tests of what counts them."""

from collections.abc import Callable

import numpy as np

from diamond.config import EnvConfig
from diamond.envs import Game, Outcome, RealEnv


class ScriptedGame(Game):
    """Lasts and pays as it is told; its frame is filled with the number of steps since the game began."""

    action_meanings = ("NOOP", "LEFT", "RIGHT")

    def __init__(self, length: Callable[[int], int], pay: Callable[[int], float], log: list[int] | None = None) -> None:
        self._length_of, self._pay = length, pay
        self._log = [] if log is None else log
        self._steps = self._length = 0

    def start(self, seed: int) -> None:
        self._log.append(seed)
        self._steps, self._length = 0, self._length_of(seed)

    def advance(self, action: int) -> Outcome:
        self._steps += 1
        return Outcome(self._pay(action), terminated=self._steps >= self._length)

    def frame(self) -> np.ndarray:
        return np.full((2, 3, 3), self._steps, np.uint8)


class ScriptedMaker:
    """Stands in for `make_env`, and remembers how it was called and what was closed."""

    def __init__(self, length: Callable[[int], int] = lambda seed: 5, pay: Callable[[int], float] = float) -> None:
        self._length, self._pay = length, pay
        self.calls: list[tuple[EnvConfig, int, bool]] = []
        self.started: list[int] = []
        self.closed = 0

    def __call__(self, cfg: EnvConfig, num_envs: int, *, training: bool) -> RealEnv:
        self.calls.append((cfg, num_envs, training))
        games = [ScriptedGame(self._length, self._pay, self.started) for _ in range(num_envs)]
        maker = self

        class Closing(RealEnv):
            def close_extras(self, **kwargs: object) -> None:
                maker.closed += 1

        return Closing("scripted", games, height=2, width=3, max_episode_steps=cfg.max_episode_steps)
