"""Any Gymnasium environment with RGB uint8 image observations and discrete actions, by its id."""

import contextlib
import importlib
import re
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import error
from gymnasium.spaces import Box, Discrete

from diamond.config import EnvConfig
from diamond.envs import minatar
from diamond.envs.base import Frame, Game, Outcome, RealEnv
from diamond.envs.resize import AreaResize
from diamond.errors import EnvError

_PACKAGES = {
    "MiniGrid-": ("minigrid", "minigrid"),
    "BabyAI-": ("minigrid", "minigrid"),
    "ALE/": ("ale_py", "ale-py"),
    "Vizdoom": ("vizdoom.gymnasium_wrapper", "vizdoom"),
    "CarRacing-": ("Box2D", "gymnasium[box2d]"),
    minatar.PREFIX: ("minatar", "minatar"),
}
"""Id prefix -> module that registers or runs such environments, and what pip calls it."""


class GymnasiumGame(Game):
    """One Gymnasium environment; its frames are resized to (height, width) where they are of another size."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: tuple[int, int]) -> None:
        space, actions = env.observation_space, env.action_space
        assert isinstance(space, Box) and isinstance(actions, Discrete)
        self._env = env
        self._first_action = int(actions.start)
        self._resize = AreaResize((space.shape[0], space.shape[1]), size)
        self._newest = np.zeros(space.shape, np.uint8)
        self.action_meanings = action_meanings(env)

    def start(self, seed: int) -> None:
        """Reset with the seed."""
        self._newest, _ = self._env.reset(seed=seed)

    def advance(self, action: int) -> Outcome:
        """One step of the environment."""
        self._newest, reward, terminated, truncated, _ = self._env.step(self._first_action + action)
        return Outcome(float(reward), terminated=bool(terminated), truncated=bool(truncated))

    def frame(self) -> Frame:
        """The newest observation, resized."""
        return self._resize(self._newest)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def action_meanings(env: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    """The environment's own names for its actions if it has any, else "ACTION 0", "ACTION 1", ..."""
    assert isinstance(env.action_space, Discrete)
    count = int(env.action_space.n)
    names: list[str] = []
    if env.has_wrapper_attr("get_action_meanings"):
        names = [str(name) for name in env.get_wrapper_attr("get_action_meanings")()]
    elif hasattr(env.unwrapped, "actions"):  # MiniGrid: an enumeration
        names = [str(getattr(action, "name", action)).upper() for action in env.unwrapped.actions]
    return tuple(names) if len(names) == count else tuple(f"ACTION {i}" for i in range(count))


def make_gymnasium_env(cfg: EnvConfig, num_envs: int) -> RealEnv:
    """n environments of `cfg.id`.

    MiniGrid and BabyAI show their own partial view as an image (their `RGBImgPartialObsWrapper` and `ImgObsWrapper`),
    MinAtar each kind of object in a colour (`minatar`).

    Raises:
        EnvError: the id is unknown, a package is missing, observations are not images or actions are not discrete.
    """
    assert cfg.id is not None
    envs = [_make_one(cfg.id) for _ in range(num_envs)]
    return RealEnv(
        cfg.name,
        [GymnasiumGame(env, (cfg.height, cfg.width)) for env in envs],
        height=cfg.height,
        width=cfg.width,
        max_episode_steps=cfg.max_episode_steps,
    )


def require_id(name: str) -> None:
    """Refuse an id that does not exist, without making an environment; modules named in front are not imported.

    Raises:
        EnvError: the id is unknown, or a package is missing.
    """
    module, colon, rest = name.partition(":")
    if colon and (not module or not rest or ":" in rest):
        raise EnvError(
            f"env.id is {name!r}: give an id, or a module and an id with one colon between, 'my_module:my_id'"
        )
    _import_package_of(name)
    if not colon and re.search(r"-v[0-9]+$", name):  # without a version, Gymnasium takes the newest
        with _known_id(name):
            gymnasium.spec(name)


@contextlib.contextmanager
def _known_id(name: str) -> Iterator[None]:
    """What Gymnasium says of an id, with the remedy."""
    try:
        yield
    except (error.DependencyNotInstalled, ImportError) as reason:
        raise EnvError(f"env.id is {name!r}: a package is missing: {_one_line(reason)}") from reason
    except error.Error as reason:
        raise EnvError(
            f"env.id is {name!r}: {_one_line(reason)} "
            f"Ids of other packages need their module in front, as in 'module:{name}'"
        ) from reason


def _make_one(name: str) -> gymnasium.Env[Any, Any]:
    require_id(name)
    with _known_id(name):
        env: gymnasium.Env[Any, Any] = gymnasium.make(name, disable_env_checker=True)
    if name.startswith(("MiniGrid-", "BabyAI-")):
        from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper

        env = ImgObsWrapper(RGBImgPartialObsWrapper(env))
    if name.startswith(minatar.PREFIX):
        env = minatar.MinAtarPictures(env)
    _check_spaces(name, env)
    return env


def _import_package_of(name: str) -> None:
    for prefix, (module, package) in _PACKAGES.items():
        if name.startswith(prefix):
            try:
                importlib.import_module(module)
            except ImportError as reason:
                raise EnvError(
                    f"env.id is {name!r}: it needs the package {package}; run `pip install {package}`"
                ) from reason
    if name.startswith(minatar.PREFIX):
        minatar.register()


def _check_spaces(name: str, env: gymnasium.Env[Any, Any]) -> None:
    space, actions = env.observation_space, env.action_space
    register = "and register the result under an id of its own; 'my_module:my_id' imports my_module first"
    is_image = isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3 and space.shape[2] == 3
    if not is_image:
        env.close()
        raise EnvError(
            f"env.id is {name!r}: its observations are {_one_line(space)}, not RGB images (uint8, height x width x 3); "
            f"wrap it, for example in gymnasium.wrappers.AddRenderObservation to see what it renders, {register}"
        )
    if not isinstance(actions, Discrete):
        env.close()
        raise EnvError(
            f"env.id is {name!r}: its actions are {_one_line(actions)}, not Discrete; wrap it in a "
            f"gymnasium.ActionWrapper that offers a list of actions, {register}"
        )


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
