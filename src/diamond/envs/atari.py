"""Atari 2600 games under the Atari 100k protocol (paper appendix E; Mnih et al. 2015; Kaiser et al. 2020).

This is `<game>NoFrameskip-v4`: no sticky actions, the minimal action set, each action held for `frame_skip` emulator
frames whose rewards add up, the frame kept is the pixel-wise maximum of the last two, RGB, resized by area averaging.
Each game starts with 1 to `max_noops` no-ops of one emulator frame; nothing else about it is random.

Why not ALE's own vectorised environment (`ale_py.vector_env`): when a game ends or is truncated, it stops before it has
captured the last frames, so its `final_obs` shows the game one step earlier or a mixture of both moments (as does
Gymnasium's `AtariPreprocessing`), and the reward model would never see what ends a game. On all other steps the frames
here are equal to its frames, bit by bit.
"""

import difflib
import zlib
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from jaxtyping import UInt8

from diamond.config import EnvConfig
from diamond.envs.base import Frame, Game, Outcome, RealEnv
from diamond.envs.resize import AreaResize
from diamond.errors import EnvError

if TYPE_CHECKING:
    from ale_py import ALEInterface

_SUFFIX = "NoFrameskip-v4"


class AtariGame(Game):
    """One Atari game in the emulator."""

    def __init__(self, emulator: "ALEInterface", cfg: EnvConfig) -> None:
        """Takes over an emulator in which a game has just been loaded, and nothing else was done."""
        self._emulator = emulator
        self._switched_on = emulator.cloneState(include_rng=True)
        self._actions = emulator.getMinimalActionSet()
        self.action_meanings = tuple(action.name for action in self._actions)
        self._frame_skip, self._max_noops = cfg.frame_skip, cfg.max_noops
        height, width = emulator.getScreenDims()
        self._resize = AreaResize((height, width), (cfg.height, cfg.width))
        self._older, self._newer, self._pooled = np.zeros((3, height, width, 3), np.uint8)
        self._lives = 0

    def start(self, seed: int) -> None:
        """Start as if the console had just been switched on.

        The reset alone is not enough: in some games (Seaquest, Krull) what was played before shows in the next game.
        """
        self._emulator.restoreState(self._switched_on)
        self._emulator.reset_game()
        for _ in range(_draw_noops(seed, self._max_noops)):
            self._emulator.act(self._actions[0])
            if self._emulator.game_over():
                self._emulator.reset_game()
        self._lives = self._emulator.lives()
        self._emulator.getScreenRGB(self._newer)
        self._pooled[:] = self._newer

    def advance(self, action: int) -> Outcome:
        """Hold the action for `frame_skip` emulator frames, or until the game is over."""
        reward, life_lost, over = 0, False, False
        for _ in range(self._frame_skip):
            reward += self._emulator.act(self._actions[action])
            self._older, self._newer = self._newer, self._older
            self._emulator.getScreenRGB(self._newer)
            # Lives can also rise (bonus life), so each frame is compared with the one before.
            lives = self._emulator.lives()
            life_lost |= lives < self._lives
            self._lives = lives
            over = self._emulator.game_over()
            if over:
                break
        np.maximum(self._newer, self._older if self._frame_skip > 1 else self._newer, out=self._pooled)
        return Outcome(float(reward), terminated=over, life_lost=life_lost)

    def memory(self) -> UInt8[np.ndarray, "128"]:
        """The console's whole memory, in which every object of the game has its place."""
        return self._emulator.getRAM()

    def frame(self) -> Frame:
        """The maximum of the last two emulator frames, resized; right after the start, the one frame there is."""
        return self._resize(self._pooled)

    def save(self) -> tuple[object, int, bytes]:
        """The state of the console, the lives, and the screen, which is not part of that state."""
        screen = zlib.compress(self._newer.tobytes(), level=1)  # to about a hundredth
        return self._emulator.cloneState(include_rng=True), self._lives, screen

    def load(self, saved: tuple[Any, int, bytes]) -> None:
        """Put the console back."""
        state, self._lives, screen = saved
        self._emulator.restoreState(state)
        # Part of the next frame where the game ends in the first emulator frame of a step.
        self._newer[:] = np.frombuffer(zlib.decompress(screen), np.uint8).reshape(self._newer.shape)


def _draw_noops(seed: int, most: int) -> int:
    """1 to `most` no-ops, or none where `most` is 0."""
    return int(np.random.default_rng(seed).integers(1, most + 1)) if most else 0


def known_games() -> list[str]:
    """The games that the installed `ale-py` has, in the spelling of `EnvConfig.game`."""
    import ale_py  # noqa: F401  (registers them with Gymnasium)

    return sorted(name.removesuffix(_SUFFIX) for name in gymnasium.registry if name.endswith(_SUFFIX))


def make_atari_env(cfg: EnvConfig, num_envs: int, *, training: bool) -> RealEnv:
    """n games of `cfg.game`.

    Raises:
        EnvError: the game is unknown or `ale-py` is not installed.
    """
    return RealEnv(
        cfg.name,
        make_atari_games(cfg, num_envs),
        height=cfg.height,
        width=cfg.width,
        max_episode_steps=cfg.max_episode_steps,
        life_loss_ends_episode=training and cfg.life_loss_ends_episode,
    )


def make_atari_games(cfg: EnvConfig, num_games: int) -> list[AtariGame]:
    """Single games of `cfg.game`, for those who look into the console's memory.

    Raises:
        EnvError: see `make_atari_env`.
    """
    require_game(cfg.game)
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    rom = _rom_path(cfg.game)
    return [AtariGame(_load(rom), cfg) for _ in range(num_games)]


def _load(rom: str) -> "ALEInterface":
    from ale_py import ALEInterface

    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.setInt("random_seed", 0)  # of consequence only for repeated actions, but its default is the clock
    emulator.loadROM(rom)
    return emulator


def require_game(game: str) -> None:
    """Refuse a game that does not exist, without starting an emulator.

    Raises:
        EnvError: there is no such game, or the emulator's package is missing.
    """
    try:
        games = known_games()
    except ImportError as reason:
        raise EnvError(f"env.game is {game!r}: it needs the package ale-py; run `pip install ale-py`") from reason
    if game not in games:
        folded = {name.lower(): name for name in games}
        close = [folded[name] for name in difflib.get_close_matches(game.replace("_", "").lower(), folded)]
        remedy = f"did you mean {' or '.join(close)}?" if close else f"it must be one of {', '.join(games)}"
        raise EnvError(f"env.game is {game!r}: no such Atari game; {remedy}")


def _rom_path(game: str) -> str:
    from ale_py import roms

    spec = gymnasium.spec(game + _SUFFIX)
    return str(roms.get_rom_path(spec.kwargs["game"]))
