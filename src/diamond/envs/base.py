"""The contract of real environments, written once for every kind of game.

A `Game` is one emulator or Gymnasium environment: it starts from a seed, advances by an action and shows its frame.
`RealEnv` plays n of them side by side as a `gymnasium.vector.VectorEnv`, restarts them, cuts them off after a number of
steps, and can put open games away and bring them back.

Axes   n environments | h w image, 3 colours last | g actions of all open games together
Units  frames are uint8 in 0..255; rewards are as the game gave them; steps are agent steps
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import error
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Int64, UInt8

from diamond.errors import EnvError

Frame = UInt8[np.ndarray, "h w 3"]
Frames = UInt8[np.ndarray, "n h w 3"]


class Outcome(NamedTuple):
    """What one action led to, besides the frame."""

    reward: float
    terminated: bool = False
    """The game is over."""
    truncated: bool = False
    """The game was cut off by a limit of its own."""
    life_lost: bool = False
    """The player lost a life in this step, whether or not a bonus life followed."""


class Game(ABC):
    """One game: everything that happens follows from the seed it was started with and the actions since."""

    action_meanings: tuple[str, ...]

    @abstractmethod
    def start(self, seed: int) -> None:
        """Begin a new game from a seed in 0..2^31 - 1, whatever happened before."""

    @abstractmethod
    def advance(self, action: int) -> Outcome:
        """Take one action in 0..len(action_meanings) - 1."""

    @abstractmethod
    def frame(self) -> Frame:
        """The newest frame, at the end the game's true last moment; valid until the next `start` or `advance`."""

    def save(self) -> Any | None:
        """The present moment, for `load`; None for a kind of game that can only be replayed from its start."""
        return None

    def load(self, saved: Any) -> None:
        """Go on from a moment of `save`; `frame` is undefined until the next `advance`."""
        raise NotImplementedError(f"{type(self).__name__} does not save moments")

    def close(self) -> None:  # noqa: B027  (most games hold nothing)
        """Free what the game holds."""


@dataclass(frozen=True)
class EnvState:
    """Where all games of a `RealEnv` stood, to go back to within the same process."""

    game_numbers: Int64[np.ndarray, "n"]
    actions: tuple[list[int], ...]
    """The lists that grow while the games go on; only the first `lengths` of each belong to the state."""
    lengths: tuple[int, ...]
    frames: Frames
    saved: tuple[Any | None, ...]


class RealEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """n real games side by side, under one contract for Atari and every other environment.

    Spaces: `single_observation_space` is Box uint8 (height, width, 3), `single_action_space` is Discrete;
    `action_meanings` names the actions.

    `reset(seed=s)` starts all games afresh; the k-th game of environment i is a function of (s, i, k) and its actions,
    so environments neither share nor disturb each other's randomness. `reset()` starts every environment's next game.

    `step(actions)` takes int (n,) and returns obs uint8 (n, h, w, 3), rewards float32 (n,), terminated and truncated
    bool (n,), never both true for one environment, and info. A game that is over restarts in the same step (SAME_STEP):
    obs is then the new game's first frame. All returned arrays are new at each call.

        info["final_obs"]    uint8 (n, h, w, 3), the frame after the action and before any restart: the episode's true
                             last frame where terminated or truncated, equal to obs elsewhere. Always present.
        info["_final_obs"]   bool (n,), terminated or truncated
        info["game_over"]    bool (n,), the game itself was over and restarted

    With `life_loss_ends_episode`, a lost life gives terminated with final_obs = obs = the frame after the step; the
    game goes on, game_over is False. A game that reaches `max_episode_steps` (counted since its start, over all lives)
    is truncated.

    `snapshot()` and `restore()` carry open games over to a freshly made env by replaying their actions; all that
    follows is bit-equal to an uninterrupted run. `state()` and `return_to()` do the same within one env, faster where
    the kind of game allows it.

    Raises:
        gymnasium.error.ResetNeeded: `step`, `snapshot` or `state` before the first `reset` or `restore`.
        gymnasium.error.InvalidAction: actions of another shape or type, or out of range.
        EnvError: see `restore`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        name: str,
        games: Sequence[Game],
        *,
        height: int,
        width: int,
        max_episode_steps: int,
        life_loss_ends_episode: bool = False,
    ) -> None:
        self.name = name
        self.num_envs = len(games)
        self.action_meanings = games[0].action_meanings
        self.single_observation_space = Box(0, 255, (height, width, 3), np.uint8)
        self.single_action_space = Discrete(len(self.action_meanings))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.num_actions = len(self.action_meanings)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.max_episode_steps = max_episode_steps
        self.life_loss_ends_episode = life_loss_ends_episode
        self._games = tuple(games)
        self._seed: int | None = None
        self._game_numbers = np.zeros(self.num_envs, np.int64)
        self._actions: list[list[int]] = [[] for _ in games]
        self._obs = np.zeros((self.num_envs, height, width, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frames, dict[str, Any]]:
        """Start all games afresh from `seed`, or every environment's next game without one."""
        if seed is not None or self._seed is None:
            self._seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
            self._game_numbers[:] = -1
        for i in range(self.num_envs):
            self._start_next(i)
        return self._obs.copy(), {}

    def step(self, actions: np.ndarray) -> tuple[Frames, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one action in every game; see the class for what comes back."""
        self._require_reset()
        actions = self._checked(actions)
        final_obs = np.empty_like(self._obs)
        rewards = np.zeros(self.num_envs, np.float32)
        terminated, truncated, game_over = np.zeros((3, self.num_envs), bool)
        for i, (game, action) in enumerate(zip(self._games, actions.tolist(), strict=True)):
            outcome = game.advance(action)
            self._actions[i].append(action)
            final_obs[i] = self._obs[i] = game.frame()
            rewards[i] = outcome.reward
            out_of_time = outcome.truncated or len(self._actions[i]) >= self.max_episode_steps
            terminated[i] = outcome.terminated or (self.life_loss_ends_episode and outcome.life_lost)
            truncated[i] = out_of_time and not terminated[i]
            game_over[i] = outcome.terminated or out_of_time
            if game_over[i]:
                self._start_next(i)
        info = {"final_obs": final_obs, "_final_obs": terminated | truncated, "game_over": game_over}
        return self._obs.copy(), rewards, terminated, truncated, info

    def snapshot(self) -> dict[str, np.ndarray]:
        """The open games as plain arrays: seeds, game numbers, actions since each start, and the frames they led to."""
        self._require_reset()
        return {
            "seed": np.array(self._seed, np.int64),
            "game_numbers": self._game_numbers.copy(),
            "lengths": np.array([len(actions) for actions in self._actions], np.int64),
            "actions": np.array([action for actions in self._actions for action in actions], np.int64),
            "frames": self._obs.copy(),
        }

    def restore(self, snapshot: dict[str, np.ndarray]) -> Frames:
        """Bring open games back by replaying them, and return their newest frames.

        Raises:
            EnvError: the snapshot is of another number or size of frames, or the replay does not lead to the same
                frames, because the environment is not deterministic or not the same version.
        """
        if snapshot["frames"].shape != self._obs.shape:
            raise EnvError(
                f"{self.name}: the saved games have frames of shape {snapshot['frames'].shape}, this environment has "
                f"{self._obs.shape}; use the same number of environments and frame size"
            )
        self._seed = int(snapshot["seed"])
        self._game_numbers = snapshot["game_numbers"].copy()
        ends = np.cumsum(snapshot["lengths"])[:-1]
        self._actions = [part.tolist() for part in np.split(snapshot["actions"], ends)]
        for i, game in enumerate(self._games):
            game.start(self._game_seed(i))
            outcomes = [game.advance(action) for action in self._actions[i]]
            self._obs[i] = game.frame()
            over = any(outcome.terminated or outcome.truncated for outcome in outcomes)
            if over or not np.array_equal(self._obs[i], snapshot["frames"][i]):
                raise EnvError(
                    f"{self.name}: replaying the {len(outcomes)} actions of open game {i} does not lead to the saved "
                    "frame, so the run cannot be resumed; the environment is not deterministic given its seed, or its "
                    "package is of another version than the run's"
                )
        return self._obs.copy()

    def state(self) -> EnvState:
        """Where all games stand now. It holds little, so that thousands can be kept."""
        self._require_reset()
        lengths = tuple(len(actions) for actions in self._actions)
        saved = tuple(game.save() for game in self._games)
        return EnvState(self._game_numbers.copy(), tuple(self._actions), lengths, self._obs.copy(), saved)

    def return_to(self, state: EnvState) -> Frames:
        """Go on from a state of this env since its last seeded reset, and return the frames of then."""
        self._game_numbers = state.game_numbers.copy()
        self._obs = state.frames.copy()
        # Copied, so that what happens from here on leaves the states after this one intact.
        pairs = zip(state.actions, state.lengths, strict=True)
        self._actions = [actions[:length] for actions, length in pairs]
        for i, (game, saved) in enumerate(zip(self._games, state.saved, strict=True)):
            if saved is not None:
                game.load(saved)
                continue
            game.start(self._game_seed(i))
            for action in self._actions[i]:
                game.advance(action)
        return self._obs.copy()

    def close_extras(self, **kwargs: Any) -> None:
        """Close every game."""
        for game in self._games:
            game.close()

    def _start_next(self, i: int) -> None:
        self._game_numbers[i] += 1
        self._actions[i] = []
        self._games[i].start(self._game_seed(i))
        self._obs[i] = self._games[i].frame()

    def _game_seed(self, i: int) -> int:
        assert self._seed is not None
        sequence = np.random.SeedSequence((self._seed, i, int(self._game_numbers[i])))
        return int(sequence.generate_state(1)[0]) & 0x7FFF_FFFF

    def _require_reset(self) -> None:
        if self._seed is None:
            raise error.ResetNeeded(f"{self.name}: call reset() or restore() first")

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        actions = np.asarray(actions)
        count = len(self.action_meanings)
        if (
            actions.shape != (self.num_envs,)
            or not np.issubdtype(actions.dtype, np.integer)
            or not ((actions >= 0) & (actions < count)).all()
        ):
            raise error.InvalidAction(
                f"{self.name}: actions are {actions.dtype} {actions.tolist()}: "
                f"give {self.num_envs} integers from 0 to {count - 1}"
            )
        return actions
