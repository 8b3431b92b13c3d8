"""Environments by Gymnasium id: what is shown, how it is resized, and what is refused with which remedy."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper

from diamond.config import EnvConfig
from diamond.envs import make_env
from diamond.envs.resize import AreaResize
from diamond.errors import EnvError

IMAGE = Box(0, 255, (16, 12, 3), np.uint8)


class Scene(gymnasium.Env[Any, Any]):
    """Shows noise; the first pixel is the last action."""

    def __init__(self, observations: gymnasium.Space[Any] = IMAGE, actions: gymnasium.Space[Any] | None = None) -> None:
        self.observation_space, self.action_space = observations, actions or Discrete(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.draw(0), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.draw(action), 0.25, False, False, {}

    def draw(self, action: int) -> np.ndarray:
        frame = self.np_random.integers(0, 256, IMAGE.shape, dtype=np.uint8)
        frame[0, 0] = action
        return frame


class Forgetful(Scene):
    """Ignores its seed."""

    def draw(self, action: int) -> np.ndarray:
        return np.random.default_rng().integers(0, 256, IMAGE.shape, dtype=np.uint8)


Register = Callable[..., str]


@pytest.fixture
def register() -> Iterator[Register]:
    """Registers environments for the time of a test."""
    names: list[str] = []

    def add(entry_point: Any, **arguments: Any) -> str:
        names.append(f"test/Env{len(names)}-v0")
        gymnasium.register(id=names[-1], entry_point=entry_point, **arguments)
        return names[-1]

    yield add
    for name in names:
        del gymnasium.registry[name]


def test_frames_of_the_same_size_are_passed_on(register: Register) -> None:
    env = make_env(EnvConfig(id=register(Scene), height=16, width=12), 1, training=True)
    obs, _ = env.reset(seed=0)
    assert (obs[0, 0, 0] == 0).all()
    obs, rewards, *_ = env.step(np.array([2]))
    assert (obs[0, 0, 0] == 2).all()
    assert rewards.tolist() == [0.25]


def test_frames_of_another_size_are_averaged_over_areas(register: Register) -> None:
    name = register(Scene)
    native = make_env(EnvConfig(id=name, height=16, width=12), 2, training=True).reset(seed=0)[0]
    halved = make_env(EnvConfig(id=name, height=8, width=12), 2, training=True).reset(seed=0)[0]
    means = native.reshape(2, 8, 2, 12, 3).astype(float).mean(axis=2)
    assert np.array_equal(halved, np.floor(means + 0.5))


def test_actions_begin_at_zero_whatever_the_environment_counts_from(register: Register) -> None:
    name = register(Scene, kwargs={"actions": Discrete(3, start=5)})
    env = make_env(EnvConfig(id=name, height=16, width=12), 1, training=True)
    env.reset(seed=0)
    obs, *_ = env.step(np.array([2]))
    assert (obs[0, 0, 0] == 7).all()
    assert env.action_meanings == ("ACTION 0", "ACTION 1", "ACTION 2")


def test_minigrid_shows_its_own_image_of_what_the_agent_sees() -> None:
    name = "MiniGrid-Empty-5x5-v0"
    own = ImgObsWrapper(RGBImgPartialObsWrapper(gymnasium.make(name)))
    expected, _ = own.reset(seed=0)
    assert expected.shape == (56, 56, 3)
    obs, _ = make_env(EnvConfig(id=name, height=56, width=56), 1, training=True).reset(seed=0)
    assert np.array_equal(obs[0], expected)
    env = make_env(EnvConfig(id=name, height=32, width=40), 1, training=True)
    assert np.array_equal(env.reset(seed=0)[0][0], AreaResize((56, 56), (32, 40))(expected))
    assert env.action_meanings[:3] == ("LEFT", "RIGHT", "FORWARD")


def test_minigrid_can_be_solved_through_the_contract() -> None:
    env = make_env(EnvConfig(id="MiniGrid-Empty-5x5-v0", height=16, width=16), 2, training=True)
    env.reset(seed=0)
    left, right, forward = 0, 1, 2
    for action in (forward, forward, right, forward, forward):
        _, rewards, terminated, _, info = env.step(np.array([action, left]))
    assert terminated.tolist() == [True, False]
    assert info["game_over"].tolist() == [True, False]
    assert rewards[0] > 0.9


def test_ales_own_ids_work_too_and_repeat_their_random_actions_on_resume() -> None:
    """Version 5 repeats an action with probability 0.25, drawn from the seed."""
    cfg = EnvConfig(id="ALE/Pong-v5", height=21, width=16)
    env, resumed = make_env(cfg, 1, training=True), make_env(cfg, 1, training=True)
    assert env.action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
    env.reset(seed=0)
    for step in range(40):
        obs, *_ = env.step(np.array([step % 6]))
    assert np.array_equal(resumed.restore(env.snapshot()), obs)
    for step in range(40):
        assert np.array_equal(env.step(np.array([step % 6]))[0], resumed.step(np.array([step % 6]))[0])


def test_an_environments_own_time_limit_truncates(register: Register) -> None:
    name = register(Scene, max_episode_steps=3)
    env = make_env(EnvConfig(id=name, height=16, width=12), 1, training=True)
    env.reset(seed=0)
    ends = [bool(env.step(np.array([0]))[3][0]) for _ in range(6)]
    assert ends == [False, False, True] * 2


def test_an_environment_that_ignores_its_seed_cannot_be_resumed(register: Register) -> None:
    env = make_env(EnvConfig(id=register(Forgetful), height=16, width=12), 1, training=True)
    env.reset(seed=0)
    with pytest.raises(EnvError, match="the environment is not deterministic"):
        env.restore(env.snapshot())


@pytest.mark.parametrize(
    "observations",
    [
        Box(0, 1, (16, 12, 3), np.float32),
        Box(0, 255, (3, 16, 12), np.uint8),
        Box(0, 255, (16, 12), np.uint8),
        Discrete(4),
        Dict({"image": IMAGE}),
    ],
    ids=["floats", "channels first", "grey", "no image", "dictionary"],
)
def test_without_image_observations_the_error_names_a_wrapper(
    register: Register, observations: gymnasium.Space[Any]
) -> None:
    name = register(Scene, kwargs={"observations": observations})
    with pytest.raises(EnvError, match=rf"env.id is '{name}': its observations are .*AddRenderObservation") as caught:
        make_env(EnvConfig(id=name), 1, training=True)
    assert "\n" not in str(caught.value)


def test_a_game_that_only_renders_is_refused_and_works_once_wrapped(register: Register) -> None:
    """The remedy of the error, followed."""

    class Lamp(gymnasium.Env[Any, Any]):
        observation_space, action_space, render_mode = Discrete(2), Discrete(2), "rgb_array"
        metadata = {"render_modes": ["rgb_array"]}

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[int, dict[str, Any]]:
            self.light = 0
            return 0, {}

        def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
            self.light = int(action)
            return self.light, 0.0, False, False, {}

        def render(self) -> np.ndarray:
            return np.full((10, 10, 3), 255 * self.light, np.uint8)

    with pytest.raises(EnvError, match="AddRenderObservation"):
        make_env(EnvConfig(id=register(Lamp)), 1, training=True)
    wrapped = register(lambda: gymnasium.wrappers.AddRenderObservation(Lamp()))
    env = make_env(EnvConfig(id=wrapped, height=8, width=8), 1, training=True)
    assert not env.reset(seed=0)[0].any()
    assert (env.step(np.array([1]))[0] == 255).all()


def test_without_discrete_actions_the_error_names_a_wrapper(register: Register) -> None:
    name = register(Scene, kwargs={"actions": MultiDiscrete([2, 2])})
    with pytest.raises(EnvError, match=rf"env.id is '{name}': its actions are MultiDiscrete.* gymnasium.ActionWrapper"):
        make_env(EnvConfig(id=name), 1, training=True)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("MiniGrid-Empty-5x5-v0", "minigrid", "minigrid"),
        ("BabyAI-GoToRedBall-v0", "minigrid", "minigrid"),
        ("CarRacing-v3", "Box2D", r"gymnasium\[box2d\]"),
        ("VizdoomBasic-v1", "vizdoom", "vizdoom"),
        ("MinAtar/Breakout-v1", "minatar", "minatar"),
    ],
)
def test_a_missing_package_gives_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        EnvError, match=rf"env.id is '{name}': it needs the package {package}; run `pip install {package}`"
    ):
        make_env(EnvConfig(id=name), 1, training=True)


@pytest.mark.parametrize(
    "name", ["CartPoole-v1", "nowhere/Env-v0", "no_such_module:Env-v0", "CartPole-v77", "not an id"]
)
def test_an_unknown_id_is_named(name: str) -> None:
    with pytest.raises(EnvError, match=f"env.id is '{name}'") as caught:
        make_env(EnvConfig(id=name), 1, training=True)
    assert "\n" not in str(caught.value)


def test_an_id_without_a_version_is_the_newest() -> None:
    """As `gymnasium.make` takes it; CartPole itself is refused because it shows numbers, not pictures."""
    refused = pytest.raises(EnvError, match="env.id is 'CartPole': its observations are")
    with refused, pytest.warns(UserWarning, match="latest versioned environment"):
        make_env(EnvConfig(id="CartPole"), 1, training=True)
