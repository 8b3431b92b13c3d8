"""Atari 2600 games under the Atari 100k protocol (paper appendix E; Mnih et al. 2015; Kaiser et al. 2020).

This is `<game>NoFrameskip-v4`: no sticky actions, the minimal action set, each action held for `frame_skip` emulator
frames whose rewards add up, the frame kept is the pixel-wise maximum of the last two, RGB, resized by area averaging.
Each game starts with 1 to `max_noops` no-ops of one emulator frame.

Why not ALE's own vectorised environment (`ale_py.vector_env`): when a game ends or is truncated it stops before it has
captured the last frame, so its `final_obs` mixes frames from before the end (as does Gymnasium's `AtariPreprocessing`);
and the frames of its no-ops come from a generator that differs between platforms. In all other steps the frames here
are equal to its frames, bit by bit.
"""

import difflib
from typing import TYPE_CHECKING

import gymnasium
import numpy as np

from diamond.config import EnvConfig
from diamond.envs.base import Frame, Game, Outcome, RealEnv
from diamond.envs.resize import AreaResize
from diamond.errors import EnvError

if TYPE_CHECKING:
    from ale_py import ALEInterface

_SUFFIX = "NoFrameskip-v4"


class AtariGame(Game):
    """One Atari game in the emulator."""

    def __init__(self, emulator: "ALEInterface", rom: str, cfg: EnvConfig) -> None:
        """Takes over an emulator in which the game `rom` (a path) is already loaded."""
        self._emulator, self._rom = emulator, rom
        self._frame_skip, self._max_noops = cfg.frame_skip, cfg.max_noops
        self._action_set = emulator.getMinimalActionSet()
        self.action_meanings = tuple(action.name for action in self._action_set)
        height, width = emulator.getScreenDims()
        self._screens = np.zeros((2, height, width, 3), np.uint8)
        """The last two emulator frames, the older one first."""
        self._newest = np.zeros((height, width, 3), np.uint8)
        self._resize = AreaResize((height, width), (cfg.height, cfg.width))
        self._lives = 0

    def start(self, seed: int) -> None:
        """Load the game afresh: only this forgets what earlier games left in the emulator's random streams."""
        self._emulator.setInt("random_seed", seed)
        self._emulator.loadROM(self._rom)
        self._emulator.reset_game()
        for _ in range(int(np.random.default_rng(seed).integers(1, self._max_noops + 1)) if self._max_noops else 0):
            self._emulator.act(self._action_set[0])
            if self._emulator.game_over():
                self._emulator.reset_game()
        self._lives = self._emulator.lives()
        self._emulator.getScreenRGB(self._screens[1])
        self._newest[:] = self._screens[1]

    def advance(self, action: int) -> Outcome:
        """Hold the action for `frame_skip` emulator frames, or until the game is over."""
        reward, life_lost, over = 0, False, False
        for _ in range(self._frame_skip):
            reward += self._emulator.act(self._action_set[action])
            self._screens[0] = self._screens[1]
            self._emulator.getScreenRGB(self._screens[1])
            # Lives can also rise (bonus life), so each frame is compared with the one before.
            lives = self._emulator.lives()
            life_lost |= lives < self._lives
            self._lives = lives
            over = self._emulator.game_over()
            if over:
                break
        pooled = self._screens if self._frame_skip > 1 else self._screens[1:]
        pooled.max(axis=0, out=self._newest)
        return Outcome(float(reward), terminated=over, life_lost=life_lost)

    def frame(self) -> Frame:
        """The maximum of the last two emulator frames, resized; right after the start, the one frame there is."""
        return self._resize(self._newest)


def known_games() -> list[str]:
    """The games that the installed `ale-py` has, in the spelling of `EnvConfig.game`."""
    return sorted(name.removesuffix(_SUFFIX) for name in gymnasium.registry if name.endswith(_SUFFIX) and "-ram" not in name)


def make_atari_env(cfg: EnvConfig, num_envs: int, *, training: bool) -> RealEnv:
    """n games of `cfg.game`.

    Raises:
        EnvError: the game is unknown or `ale-py` is not installed.
    """
    try:
        import ale_py  # registers the games with Gymnasium
        from ale_py import roms
    except ImportError as reason:
        raise EnvError(f"env.game is {cfg.game!r}: Atari needs the package ale-py; run `pip install ale-py`") from reason
    games = known_games()
    if cfg.game not in games:
        close = difflib.get_close_matches(cfg.game.replace("_", "").lower(), [game.lower() for game in games])
        hint = "".join(f"did you mean {game}? " for game in games if game.lower() in close[:1])
        raise EnvError(f"env.game is {cfg.game!r}: no such Atari game; {hint}Choose one of {', '.join(games)}")
    rom = str(roms.get_rom_path(gymnasium.spec(cfg.game + _SUFFIX).kwargs["game"]))
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

    def new_game() -> AtariGame:
        emulator = ale_py.ALEInterface()
        emulator.setFloat("repeat_action_probability", 0.0)
        emulator.setInt("random_seed", 0)
        emulator.loadROM(rom)
        return AtariGame(emulator, rom, cfg)

    return RealEnv(
        cfg.name,
        [new_game() for _ in range(num_envs)],
        height=cfg.height,
        width=cfg.width,
        max_episode_steps=cfg.max_episode_steps,
        life_loss_ends_episode=training and cfg.life_loss_ends_episode,
    )
