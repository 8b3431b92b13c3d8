"""The dream as an environment: Gymnasium's contract, and the same numbers as the dream that the agent trains in."""

import dataclasses
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from dreams import ACTIONS, drawn_world, keep_frame, random_agent, random_segment, random_world, uneventful
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from torch import Tensor

from diamond.errors import ConfigError
from diamond.experience.frames import to_stored
from diamond.experience.segments import Segment
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.rollout import Carry, draw_window_noise, imagine
from diamond.imagination.world import WorldModel, draw_noise, restart_where
from diamond.imagination.world_model_env import SingleWorldModelEnv, WorldModelEnv

Step = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def starts(count: int, generator: torch.Generator) -> Segment:
    return random_segment(generator, count)


def random_dreams(num_envs: int = 2, horizon: int | None = 50, seed: int = 0) -> WorldModelEnv:
    """Dreams of a random agent."""
    return WorldModelEnv(random_world(), starts, ACTIONS, num_envs, horizon, seed)


def told(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Actions 0, 1, 2 give -1, 0, +1, and 2 ends the dream."""
    return action - 1, action == 2


def still_dreams(num_envs: int = 2, horizon: int | None = 50) -> WorldModelEnv:
    """Nothing moves, and action 2 ends a dream."""
    return WorldModelEnv(drawn_world(keep_frame, told), starts, ACTIONS, num_envs, horizon)


def play(env: WorldModelEnv, actions: list[list[int]]) -> list[Step]:
    return [env.step(np.array(row)) for row in actions]


ACTED = [[0, 1], [1, 1], [2, 0], [0, 2], [1, 0], [2, 2]]


# The contract


def test_spaces() -> None:
    env = random_dreams(num_envs=3)
    assert isinstance(env, gymnasium.vector.VectorEnv)
    assert env.num_envs == 3
    assert env.single_observation_space == Box(0, 255, (16, 16, 3), np.uint8)
    assert env.single_action_space == Discrete(ACTIONS)
    assert env.observation_space.shape == (3, 16, 16, 3)
    assert env.action_space.shape == (3,)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.close()


def test_what_comes_back() -> None:
    env = random_dreams(horizon=2)
    obs, info = env.reset(seed=0)
    assert obs in env.observation_space
    assert info == {}
    for obs, rewards, terminated, truncated, info in play(env, ACTED):
        assert obs in env.observation_space
        assert rewards.dtype == np.float32
        assert set(rewards.tolist()) <= {-1.0, 0.0, 1.0}
        assert terminated.dtype == truncated.dtype == info["_final_obs"].dtype == bool
        assert terminated.shape == truncated.shape == rewards.shape == (2,)
        assert not (terminated & truncated).any()
        assert (info["_final_obs"] == (terminated | truncated)).all()
        assert info["final_obs"] in env.observation_space
        assert info["termination_probability"].shape == (2,)
        assert ((info["termination_probability"] >= 0) & (info["termination_probability"] <= 1)).all()
        assert info["reward_probabilities"].shape == (2, 3)
        assert info["reward_probabilities"].sum(axis=1) == pytest.approx([1, 1])


def test_rewards_and_ends_are_the_worlds() -> None:
    env = still_dreams()
    env.reset(seed=0)
    for (_, rewards, terminated, truncated, info), actions in zip(play(env, ACTED), ACTED, strict=True):
        assert rewards.tolist() == [action - 1 for action in actions]
        assert terminated.tolist() == [action == 2 for action in actions]
        assert not truncated.any()
        assert info["termination_probability"].tolist() == [float(action == 2) for action in actions]
        assert info["reward_probabilities"].argmax(axis=1).tolist() == actions


def test_an_ended_dream_restarts_in_the_same_step() -> None:
    """`final_obs` is its true last frame, `obs` the newest frame of another start; the others go on."""
    env = still_dreams()
    before, _ = env.reset(seed=0)
    for obs, _, terminated, _, info in play(env, ACTED):
        assert np.array_equal(info["final_obs"], before), "nothing moves in this world"
        for i, ended in enumerate(terminated):
            assert np.array_equal(obs[i], before[i]) != ended
        before = obs


def test_the_horizon_truncates_and_counts_anew() -> None:
    env = still_dreams(num_envs=3, horizon=3)
    env.reset(seed=0)
    steps = play(env, [[0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    truncated = [step[3].astype(int).tolist() for step in steps]
    assert truncated == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1]]
    ended = [step[-1]["_final_obs"].astype(int).tolist() for step in steps]
    assert ended == [[0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 1]], "ends of either kind"
    env.reset()
    assert not env.step(np.zeros(3, int))[3].any(), "a reset starts the count, too"


def test_without_horizon_dreams_go_on() -> None:
    env = WorldModelEnv(drawn_world(keep_frame, uneventful), starts, ACTIONS, num_envs=1, horizon=None)
    env.reset(seed=0)
    assert not any(truncated.any() or terminated.any() for _, _, terminated, truncated, _ in play(env, [[0]] * 60))


def test_returned_arrays_belong_to_the_caller() -> None:
    """Writing into them does not change the dream."""
    runs = []
    for spoil in (False, True):
        env, seen = random_dreams(), []
        env.reset(seed=0)
        for actions in ACTED:
            obs, *_, info = env.step(np.array(actions))
            seen.append((obs.copy(), info["final_obs"].copy()))
            if spoil:
                obs[:] = info["final_obs"][:] = 0
        runs.append(np.array(seen))
    assert np.array_equal(*runs)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_integers_of_any_width_are_actions(dtype: type) -> None:
    env = random_dreams()
    env.reset(seed=0)
    expected = env.step(np.array([1, 2]))[0]
    env.reset(seed=0)
    assert np.array_equal(env.step(np.array([1, 2], dtype))[0], expected)


@pytest.mark.parametrize(
    "actions",
    [[0], [0, 0, 0], [[0, 0]], 0, [0, 3], [-1, 0], [0.0, 1.0], [float("nan"), 0.0], [True, False], ["up", "down"]],
    ids=str,
)
def test_other_actions_are_refused(actions: object) -> None:
    env = random_dreams()
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="give 2 integers from 0 to 2"):
        env.step(np.array(actions))


def test_the_first_reset_is_needed() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        random_dreams().step(np.array([0, 0]))


@pytest.mark.parametrize(("field", "value"), [("num_envs", 0), ("horizon", 0), ("horizon", -1)])
def test_numbers_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}"):
        WorldModelEnv(random_world(), starts, ACTIONS, **{field: value})


def test_standard_wrappers_fit() -> None:
    """Here the one that adds up rewards."""
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(still_dreams(num_envs=2, horizon=4))
    env.reset(seed=0)
    infos = [env.step(np.array([0, 1]))[-1] for _ in range(4)]
    assert infos[-1]["episode"]["r"].tolist() == [-4, 0]
    assert infos[-1]["episode"]["l"].tolist() == [4, 4]


# Repeatability


def observations(env: WorldModelEnv, first: np.ndarray) -> np.ndarray:
    return np.stack([first, *(step[0] for step in play(env, ACTED))])


def test_a_seed_decides_all() -> None:
    env = random_dreams(horizon=3)
    runs = [observations(env, env.reset(seed=seed)[0]) for seed in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[2][0])
    other = random_dreams(horizon=3, seed=3)
    assert np.array_equal(observations(other, other.reset()[0]), runs[0]), "the constructor's seed does the same"


def test_a_reset_without_seed_goes_on() -> None:
    """Other starts, other noise; as a whole still a function of the first seed."""
    env, again = random_dreams(), random_dreams()
    runs = []
    for each in (env, again):
        first = observations(each, each.reset(seed=3)[0])
        runs.append(np.stack([first, observations(each, each.reset()[0])]))
    assert np.array_equal(*runs)
    assert not np.array_equal(runs[0][0][0], runs[0][1][0])


def test_dreams_do_not_disturb_each_other() -> None:
    env = random_dreams(num_envs=3)
    seen = []
    for middle in (0, 2):
        env.reset(seed=0)
        seen.append(env.step(np.array([1, middle, 2]))[-1]["final_obs"])
    one, two = seen
    assert np.array_equal(one[[0, 2]], two[[0, 2]])
    assert not np.array_equal(one[1], two[1])


# The same dream as in training


@torch.no_grad()
def test_a_step_is_the_pure_step() -> None:
    """By hand: the same noise, `dream_step`, and fresh starts for those that ended."""
    seed, horizon, world = 5, 3, random_world()
    env = WorldModelEnv(world, starts, ACTIONS, num_envs=2, horizon=horizon)
    obs, _ = env.reset(seed=seed)
    noise, chance = (torch.Generator().manual_seed(seed) for _ in range(2))
    state = begin(world, starts(2, chance))
    assert np.array_equal(obs, to_stored(state.frames[:, -1]).numpy())
    restarts = 0
    for row in ACTED:
        state, step = dream_step(
            world, state, torch.tensor(row), draw_noise(state.frames[:, -1].shape, world.sampler_cfg, noise)
        )
        truncated = (state.steps == horizon) & ~step.terminated
        done = step.terminated | truncated
        if done.any():
            state = restart_where(done, state, begin(world, starts(2, chance)), torch.arange(2))
            restarts += 1
        obs, rewards, *ends, info = env.step(np.array(row))
        assert np.array_equal(info["final_obs"], to_stored(step.frame).numpy())
        assert np.array_equal(obs, to_stored(state.frames[:, -1]).numpy())
        assert rewards.tolist() == step.reward.tolist()
        assert [end.tolist() for end in ends] == [step.terminated.tolist(), truncated.tolist()]
        probabilities = step.termination_logits.softmax(dim=-1)[:, 1]
        assert info["termination_probability"].tolist() == probabilities.tolist()
        assert info["reward_probabilities"].tolist() == step.reward_logits.softmax(dim=-1).tolist()
    assert 0 < restarts < len(ACTED)


def test_the_agent_trains_in_the_same_dream() -> None:
    """With the same seed, the environment shows what the training rollout saw, until the first dream ends."""
    seed, window, agent = 11, 5, random_agent()
    world = no_ends(random_world(agent))
    state = begin(world, starts(3, torch.Generator().manual_seed(seed)))
    noise = draw_window_noise(state.frames[:, 0].shape, window, world, torch.Generator().manual_seed(seed))
    carry = Carry(state, agent.actor_critic.initial_state(3, "cpu"))
    following, trajectory = imagine(world, agent.actor_critic, carry, state, noise, horizon=window)
    env = WorldModelEnv(world, starts, ACTIONS, num_envs=3, horizon=window)
    obs, _ = env.reset(seed=seed)
    for t in range(window):
        assert np.array_equal(obs, to_stored(trajectory.frames[t]).numpy())
        obs, rewards, terminated, truncated, _ = env.step(trajectory.actions[t].numpy())
        assert rewards.tolist() == trajectory.rewards[t].tolist()
        assert terminated.tolist() == trajectory.terminated[t].tolist()
        assert truncated.tolist() == trajectory.truncated[t].tolist()
    assert truncated.all()


def no_ends(world: WorldModel) -> WorldModel:
    """The same world with a still reward model that never ends a dream."""
    return dataclasses.replace(world, reward_model=drawn_world(keep_frame, uneventful).reward_model)


# One dream


def single(horizon: int | None = 4, render_mode: str | None = None) -> SingleWorldModelEnv:
    return SingleWorldModelEnv(random_dreams(num_envs=1, horizon=horizon), render_mode)


def test_gymnasium_s_own_check_passes() -> None:
    """With all warnings as errors, made by `gymnasium.make` so that the check can make others of it."""
    gymnasium.register("diamond-test/Dream-v0", entry_point=single)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gymnasium.make("diamond-test/Dream-v0").unwrapped)
    finally:
        del gymnasium.registry["diamond-test/Dream-v0"]


def test_a_single_dream_ends_with_its_last_frame() -> None:
    """Not with the first of the next, as side by side."""
    env, dreams = single(horizon=3), random_dreams(num_envs=1, horizon=3)
    obs, _ = env.reset(seed=0)
    expected, _ = dreams.reset(seed=0)
    assert np.array_equal(obs, expected[0])
    for _ in range(3):
        obs, reward, terminated, truncated, info = env.step(1)
        _, rewards, ends, cuts, infos = dreams.step(np.array([1]))
        assert np.array_equal(obs, infos["final_obs"][0])
        assert (reward, terminated, truncated) == (rewards[0], ends[0], cuts[0])
        assert isinstance(reward, float)
        assert isinstance(terminated, bool)
        assert isinstance(truncated, bool)
        if terminated or truncated:
            break
    assert terminated or truncated


def test_a_single_dream_shows_itself() -> None:
    env = single(render_mode="rgb_array")
    obs, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), obs)
    obs, *_ = env.step(0)
    assert np.array_equal(env.render(), obs)
    hidden = single()
    hidden.reset(seed=0)
    assert hidden.render() is None


def test_one_is_not_two() -> None:
    with pytest.raises(ConfigError, match="num_envs is 2"):
        SingleWorldModelEnv(random_dreams(num_envs=2))
