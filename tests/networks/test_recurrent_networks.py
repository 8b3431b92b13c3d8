"""The networks with memory: a sequence at once or step by step is the same, and the past never sees the future."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_weights import randomised
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.config import ActorCriticConfig, Config, RewardModelConfig
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.reward_termination import RewardTerminationModel

REWARD = RewardModelConfig(
    channels=(4, 8), depths=(1, 2), attention=(False, True), condition_channels=5, lstm_size=6, segment_length=4
)
POLICY = ActorCriticConfig(channels=(4, 8, 8), downsample=(True, False, True), lstm_size=6)


def transitions(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, actions and next frames of two segments of five transitions."""
    frames = torch.randn(2, 6, 3, 8, 8, generator=generator)
    return frames[:, :-1], torch.randint(0, 4, (2, 5), generator=generator), frames[:, 1:]


# Reward and termination model


@torch.no_grad()
def test_reward_model_step_by_step(generator: torch.Generator) -> None:
    model = randomised(RewardTerminationModel(4, 8, 8, REWARD))
    frames, actions, next_frames = transitions(generator)
    zeros = model.initial_state(2, "cpu")
    reward, termination, end_state = model(frames, actions, next_frames, zeros)
    assert reward.shape == (2, 5, 3)
    assert termination.shape == (2, 5, 2)
    state = zeros
    for t in range(5):
        now = slice(t, t + 1)
        step_reward, step_termination, state = model(frames[:, now], actions[:, now], next_frames[:, now], state)
        assert torch.allclose(step_reward, reward[:, now], atol=1e-5)
        assert torch.allclose(step_termination, termination[:, now], atol=1e-5)
    assert all(torch.allclose(ours, end, atol=1e-5) for ours, end in zip(state, end_state, strict=True))


@pytest.mark.parametrize("changed", ["frames", "actions", "next_frames"])
@torch.no_grad()
def test_reward_model_sees_the_present_and_the_past(changed: str, generator: torch.Generator) -> None:
    model = randomised(RewardTerminationModel(4, 8, 8, REWARD))
    before = dict(zip(("frames", "actions", "next_frames"), transitions(generator), strict=True))
    after = {name: tensor.clone() for name, tensor in before.items()}
    after[changed][:, 2] = (after[changed][:, 2] + 1) % 4
    zeros = model.initial_state(2, "cpu")
    for first, second in zip(model(**before, state=zeros)[:2], model(**after, state=zeros)[:2], strict=True):
        assert torch.allclose(first[:, :2], second[:, :2], atol=1e-6)
        assert not torch.allclose(first[:, 2], second[:, 2], atol=1e-4)
        assert not torch.allclose(first[:, 3], second[:, 3], atol=1e-5), "memory"


@settings(max_examples=15)
@given(st.integers(1, 13), st.integers(1, 13))
@torch.no_grad()
def test_reward_model_takes_any_height_and_width(height: int, width: int) -> None:
    model = RewardTerminationModel(4, height, width, REWARD)
    frames = torch.zeros(1, 2, 3, height, width)
    reward, _, _ = model(frames, torch.zeros(1, 2, dtype=torch.long), frames, model.initial_state(1, "cpu"))
    assert reward.shape == (1, 2, 3)


# Actor-critic


@torch.no_grad()
def test_fresh_policy_is_uniform_and_values_nothing(generator: torch.Generator) -> None:
    """Exactly: the agent starts without preference, and returns are not estimated before there are any."""
    policy = ActorCritic(5, 9, 7, POLICY)
    logits, value, _ = policy(torch.randn(3, 3, 9, 7, generator=generator), policy.initial_state(3, "cpu"))
    assert torch.equal(logits, torch.zeros(3, 5))
    assert torch.equal(value, torch.zeros(3))


@torch.no_grad()
def test_policy_remembers(generator: torch.Generator) -> None:
    policy = randomised(ActorCritic(5, 8, 8, POLICY))
    frames = torch.randn(2, 3, 8, 8, generator=generator)
    first, _, state = policy(frames, policy.initial_state(2, "cpu"))
    second, _, _ = policy(frames, state)
    assert not torch.allclose(first, second, atol=1e-4)


@torch.no_grad()
def test_policy_encodes_a_window_at_once(generator: torch.Generator) -> None:
    """The part without memory may run on all steps as one batch."""
    policy = randomised(ActorCritic(5, 8, 8, POLICY))
    window = torch.randn(4, 2, 3, 8, 8, generator=generator)
    features = policy.encode(window.flatten(0, 1)).unflatten(0, (4, 2))
    stepwise = together = policy.initial_state(2, "cpu")
    for t in range(4):
        logits, value, stepwise = policy(window[t], stepwise)
        same_logits, same_value, together = policy.from_features(features[t], together)
        assert torch.allclose(logits, same_logits, atol=1e-5)
        assert torch.allclose(value, same_value, atol=1e-5)


@settings(max_examples=15)
@given(st.integers(4, 13), st.integers(4, 13))
@torch.no_grad()
def test_policy_takes_any_height_and_width(height: int, width: int) -> None:
    policy = ActorCritic(5, height, width, POLICY)
    logits, value, _ = policy(torch.zeros(1, 3, height, width), policy.initial_state(1, "cpu"))
    assert logits.shape == (1, 5)
    assert value.shape == (1,)


@pytest.mark.parametrize("network", ["reward_model", "actor_critic"])
def test_every_weight_learns(network: str, generator: torch.Generator) -> None:
    """Once nothing is zero any more, the gradient reaches every parameter."""
    if network == "reward_model":
        model = randomised(RewardTerminationModel(4, 8, 8, REWARD))
        reward, termination, _ = model(*transitions(generator), model.initial_state(2, "cpu"))
        total = reward.square().mean() + termination.square().mean()
    else:
        model = randomised(ActorCritic(5, 8, 8, POLICY))
        remembered = torch.randn(2, 6, generator=generator)
        logits, value, _ = model(torch.randn(2, 3, 8, 8, generator=generator), (remembered, remembered))
        total = logits.square().mean() + value.square().mean()
    total.backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert dead == []


# All networks of an agent


def test_the_seed_decides_all_weights_and_touches_nothing_else(debug_config: Config) -> None:
    global_stream = torch.get_rng_state()
    first, again, other = (Agent.create(debug_config, 3, seed).state_dict() for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), global_stream)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_weights_move_between_agents(debug_config: Config) -> None:
    one, two = Agent.create(debug_config, 3, seed=1), Agent.create(debug_config, 3, seed=2).to("cpu")
    two.load_state_dict(one.state_dict())
    ours, theirs = one.state_dict(), two.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_incomplete_weights_are_refused(debug_config: Config) -> None:
    agent = Agent.create(debug_config, 3, seed=1)
    state = agent.state_dict()
    del state["actor_critic.lstm.bias_hh"]
    with pytest.raises(RuntimeError, match="lstm.bias_hh"):
        agent.load_state_dict(state)
