"""How weights change: closed forms of warm-up, clipping, decay and averaging, and the watch on what is not finite."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.config import Config, UpdateConfig
from diamond.errors import TrainingError
from diamond.interop.published import load_published
from diamond.training.learner import Learner, decayed_parameters

FIXTURES = Path(__file__).parent.parent / "fixtures" / "parity"
PLAIN = UpdateConfig(learning_rate=0.1, weight_decay=0.0, warmup_updates=0, max_gradient_norm=1e9)


class Point(nn.Module):
    """One weight vector, of the kind that does not decay."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values))


def small_network() -> nn.Module:
    """Convolution, normalisation, linear layer and memory, in the memory order that training uses."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.ModuleDict(
            {"conv": nn.Conv2d(3, 8, 3), "norm": nn.GroupNorm(1, 8), "lstm": nn.LSTMCell(8, 4), "head": nn.Linear(4, 1)}
        )
    return network.to(memory_format=torch.channels_last)


def small_loss(network: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    features = network["norm"](network["conv"](torch.randn(2, 3, 5, 5, generator=generator))).mean((2, 3))
    return network["head"](network["lstm"](features)[0]).square().mean()


# Step size


def test_the_first_update_of_a_warm_up_changes_nothing() -> None:
    learner = Learner("denoiser", small_network(), UpdateConfig(warmup_updates=3))
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    learner.step(small_loss(learner.network, 0))
    assert all(torch.equal(before[name], value) for name, value in learner.network.state_dict().items())
    learner.step(small_loss(learner.network, 1))
    assert not any(torch.equal(before[name], value) for name, value in learner.network.named_parameters())


@pytest.mark.parametrize(
    ("warmup", "rates"), [(4, [0, 0.025, 0.05, 0.075, 0.1, 0.1]), (1, [0, 0.1, 0.1]), (0, [0.1, 0.1])]
)
def test_the_step_size_grows_linearly_then_stays(warmup: int, rates: list[float]) -> None:
    """Adam moves a weight under a constant gradient by exactly its step size."""
    point = Point(5.0)
    learner, steps = Learner("denoiser", point, dataclasses.replace(PLAIN, warmup_updates=warmup)), []
    for _ in rates:
        before = point.x.item()
        learner.step(point.x.sum())
        steps.append(before - point.x.item())
    assert steps == pytest.approx(rates, abs=1e-6)
    assert learner.updates == len(rates)


# Clipping


def test_long_gradients_are_cut_to_the_limit_and_their_true_length_is_told() -> None:
    point = Point(0.0, 0.0)
    learner = Learner("denoiser", point, dataclasses.replace(PLAIN, max_gradient_norm=1.0))
    norm = learner.step((point.x * torch.tensor([3.0, 4.0])).sum())
    assert norm.item() == pytest.approx(5.0)
    assert point.x.grad is not None
    assert point.x.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


def test_short_gradients_are_left_alone() -> None:
    point = Point(0.0, 0.0)
    learner = Learner("denoiser", point, dataclasses.replace(PLAIN, max_gradient_norm=10.0))
    assert learner.step((point.x * torch.tensor([3.0, 4.0])).sum()).item() == pytest.approx(5.0)
    assert point.x.grad is not None
    assert point.x.grad.tolist() == [3.0, 4.0]


# Weight decay


def test_without_a_gradient_decaying_weights_shrink_and_the_others_stay() -> None:
    cfg = dataclasses.replace(PLAIN, weight_decay=0.5)
    learner = Learner("denoiser", small_network(), cfg)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    learner.step(sum(0 * value.sum() for value in learner.network.parameters()))
    for name, value in learner.network.named_parameters():
        shrinks = name in ("conv.weight", "lstm.weight_ih", "lstm.weight_hh", "head.weight")
        torch.testing.assert_close(value.data, before[name] * (1 - 0.1 * 0.5 if shrinks else 1.0))


def test_the_same_parameters_decay_as_in_the_published_code() -> None:
    agent = load_published(FIXTURES / "atari_agent.pt")
    facts = json.loads((FIXTURES / "atari_config.json").read_text(encoding="utf-8"))
    published = facts["optimizer_param_counts_decay_nodecay"]
    for name, theirs in (("denoiser", "denoiser"), ("reward_model", "rew_end_model"), ("actor_critic", "actor_critic")):
        learner = Learner(name, getattr(agent, name), UpdateConfig(weight_decay=0.01))
        decayed, others = learner.optimizer.param_groups
        assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
        assert [len(decayed["params"]), len(others["params"])] == published[theirs]


def test_biases_normalisations_and_embeddings_never_decay(debug_config: Config) -> None:
    for network in Agent.create(debug_config, num_actions=3, seed=0).networks.values():
        modules = dict(network.named_modules())
        for name in decayed_parameters(network):
            module, _, parameter = name.rpartition(".")
            assert isinstance(modules[module], (nn.Linear, nn.Conv2d, nn.LSTM, nn.LSTMCell)), name
            assert parameter.startswith("weight"), name


# Averaged weights


def test_averaged_weights_follow_their_recursion() -> None:
    """Decay min(d, n / (n + 10)) after the n-th update: a short memory at first, then an exponential one."""
    point = Point(1.0)
    learner = Learner("actor_critic", point, dataclasses.replace(PLAIN, ema_decay=0.3))
    expected = 1.0
    for n in range(1, 9):
        learner.step(point.x.sum())
        decay = min(0.3, n / (n + 10))
        expected = decay * expected + (1 - decay) * point.x.item()
        assert learner.averaged.x.item() == pytest.approx(expected, rel=1e-6)
    assert not learner.averaged.x.requires_grad


def test_without_averaging_the_weights_themselves_are_used() -> None:
    learner = Learner("actor_critic", Point(1.0), PLAIN)
    assert learner.averaged is learner.network
    assert not any(name.startswith("averaged") for name in learner.state_dict())


# What is not finite


@pytest.mark.parametrize("name", ["denoiser", "reward_model", "actor_critic"])
@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda x: (x * float("nan")).sum(), id="the loss is NaN"),
        pytest.param(lambda x: (x / 0).sum(), id="the loss is infinite"),
        pytest.param(lambda x: (x - 1).sqrt().sum(), id="only the gradient is infinite"),
    ],
)
def test_what_is_not_finite_stops_training_and_names_the_network(name: str, loss: Callable[[Tensor], Tensor]) -> None:
    point = Point(1.0)
    learner = Learner(name, point, PLAIN)
    learner.step(point.x.sum())
    learner.check_finite()
    with torch.no_grad():
        point.x.fill_(1.0)
    learner.step(loss(point.x))
    with torch.no_grad():
        point.x.fill_(1.0)
    learner.step(point.x.sum())  # a finite loss afterwards does not make it good
    remedy = f"at update 3: lower updates.{name}.learning_rate or max_gradient_norm"
    with pytest.raises(TrainingError, match=f"the {name}'s loss or gradient is nan or infinite {remedy}"):
        learner.check_finite()


# Saving and loading


@pytest.mark.parametrize("decay", [0.0, 0.9])
@pytest.mark.parametrize("updates", [0, 1, 4])
def test_a_restored_learner_goes_on_bit_equal(decay: float, updates: int) -> None:
    cfg = UpdateConfig(warmup_updates=3, ema_decay=decay)
    learner = Learner("denoiser", small_network(), cfg)
    for step in range(updates):
        learner.step(small_loss(learner.network, step))
    weights, state = (
        safetensors.torch.load(safetensors.torch.save({k: v.contiguous() for k, v in part.items()}))
        for part in (learner.network.state_dict(), learner.state_dict())
    )
    restored = Learner("denoiser", small_network(), cfg)
    restored.network.load_state_dict(weights)
    restored.load_state_dict(state)
    for step in range(updates, updates + 4):
        losses = [one.step(small_loss(one.network, step)) for one in (learner, restored)]
        assert torch.equal(*losses)
    for ours, theirs in zip(learner.state_dict().values(), restored.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for part in ("network", "averaged"):
        pairs = zip(getattr(learner, part).parameters(), getattr(restored, part).parameters(), strict=True)
        assert all(torch.equal(ours, theirs) and ours.stride() == theirs.stride() for ours, theirs in pairs)
