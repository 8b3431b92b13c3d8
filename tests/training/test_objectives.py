"""What is minimised: closed forms of the losses, and that padding never counts."""

import math

import pytest
import torch
from dreams import ACTIONS, random_agent, random_segment
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diamond.config import ActorCriticConfig
from diamond.experience.segments import Segment, reward_sign
from diamond.networks.reward_termination import RewardTerminationModel
from diamond.training.objectives import actor_critic_loss, reward_termination_loss

CFG = ActorCriticConfig(value_weight=2.0, entropy_weight=0.5)


class Saying(RewardTerminationModel):
    """Says the given logits, whatever it is shown, and remembers what it was shown."""

    def __init__(self, reward: Tensor, termination: Tensor) -> None:
        nn.Module.__init__(self)
        self.reward, self.termination = nn.Parameter(reward), nn.Parameter(termination)

    def initial_state(self, batch: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch, 1), torch.zeros(batch, 1)

    def forward(
        self, frames: Tensor, actions: Tensor, next_frames: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        self.shown = (frames, actions, next_frames, state)
        return self.reward, self.termination, state


def segment(rewards: list[list[float]], terminated: list[list[int]], valid: list[list[int]]) -> Segment:
    """Transitions with these outcomes; one more step follows, of which only the frame is shown."""
    count, length = len(rewards), len(rewards[0]) + 1
    random = random_segment(torch.Generator().manual_seed(0), count, length, size=4)

    def column(rows: list[list[int]] | list[list[float]], after: float) -> Tensor:
        return torch.tensor([[*row, after] for row in rows])

    return Segment(
        random.frames, random.actions, column(rewards, 7.0), column(terminated, 1).bool(), column(valid, 1).bool()
    )


def knowing(truth: Tensor, classes: int, sure: float) -> Tensor:
    return nn.functional.one_hot(truth, classes) * sure


# Reward and termination


def test_knowing_everything_costs_nothing() -> None:
    batch = segment([[1, 0, -1], [0, 0, 2.5]], [[0, 0, 1], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]])
    model = Saying(
        knowing(torch.tensor([[2, 1, 0], [1, 1, 2]]), 3, 100.0), knowing(batch.terminated[:, :-1].long(), 2, 100.0)
    )
    loss, metrics = reward_termination_loss(model, batch)
    assert loss.item() == 0
    assert {name: value.item() for name, value in metrics.items()} == {
        "loss": 0,
        "reward_loss": 0,
        "termination_loss": 0,
    }


def test_knowing_nothing_costs_the_logarithm_of_the_classes() -> None:
    batch = segment([[1, 0, -1], [0, 0, 0]], [[0, 0, 1], [0, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    loss, metrics = reward_termination_loss(Saying(torch.zeros(2, 3, 3), torch.zeros(2, 3, 2)), batch)
    assert metrics["reward_loss"].item() == pytest.approx(math.log(3))
    assert metrics["termination_loss"].item() == pytest.approx(math.log(2))
    assert loss.item() == pytest.approx(math.log(6))
    assert not any(value.requires_grad for value in metrics.values())


def test_the_model_sees_transitions_from_a_blank_memory() -> None:
    """(frame, action, next frame); the last step is only a next frame."""
    batch = segment([[0, 0, 0]], [[0, 0, 0]], [[1, 1, 1]])
    model = Saying(torch.zeros(1, 3, 3), torch.zeros(1, 3, 2))
    reward_termination_loss(model, batch)
    frames, actions, next_frames, state = model.shown
    assert torch.equal(frames, batch.frames[:, :3])
    assert torch.equal(actions, batch.actions[:, :3])
    assert torch.equal(next_frames, batch.frames[:, 1:])
    assert not state[0].any()


@pytest.mark.parametrize(("reward", "sign"), [(-40.0, 0), (-0.25, 0), (0.0, 1), (1e-3, 2), (400.0, 2)])
def test_only_the_sign_of_a_reward_is_learned(reward: float, sign: int) -> None:
    """Of rewards as the environment gives them: class 0 is negative, 1 zero, 2 positive."""
    batch = segment([[reward]], [[0]], [[1]])
    model = Saying(torch.zeros(1, 1, 3), torch.zeros(1, 1, 2))
    reward_termination_loss(model, batch)[0].backward()
    assert model.reward.grad is not None
    assert model.reward.grad[0, 0].argmin().item() == sign, "descent raises the logit of the class"
    assert reward_sign(torch.tensor(reward)).item() + 1 == sign


def test_padding_does_not_count() -> None:
    """Transitions whose first frame is padding have no loss and no gradient; the mean is over the others."""
    batch = segment([[1, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]], [[0, 1, 1], [1, 0, 0]])
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    model = Saying(*logits.split((3, 2), dim=-1))
    loss, _ = reward_termination_loss(model, batch)
    chances = model.reward.log_softmax(-1), model.termination.log_softmax(-1)
    inside = [(0, 1, 1, 0), (0, 2, 0, 1), (1, 0, 1, 0)]
    expected = -sum(chances[0][b, t, reward] + chances[1][b, t, end] for b, t, reward, end in inside) / 3
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    for parameter in (model.reward, model.termination):
        assert parameter.grad is not None
        counted = parameter.grad.abs().sum(dim=-1) > 0
        assert counted.tolist() == [[False, True, True], [True, False, False]]


def test_nothing_but_padding_gives_zero_and_zero_gradient() -> None:
    """Not NaN, which would destroy the weights."""
    model = random_agent().reward_model
    batch = random_segment(torch.Generator().manual_seed(0), 2)
    nothing = Segment(batch.frames, batch.actions, batch.rewards, batch.terminated, torch.zeros(2, 4).bool())
    loss, _ = reward_termination_loss(model, nothing)
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


# Actor-critic


def window(time: int, dreams: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random logits, values, actions and returns."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(time, dreams, ACTIONS, generator=generator, requires_grad=True)
    values = torch.randn(time, dreams, generator=generator, requires_grad=True)
    actions = torch.randint(ACTIONS, (time, dreams), generator=generator)
    return logits, values, actions, torch.randn(time, dreams, generator=generator)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32))
def test_the_parts_of_the_loss(time: int, dreams: int, seed: int) -> None:
    """Equations 15 and 16, one step of one dream at a time."""
    logits, values, actions, returns = window(time, dreams, seed)
    loss, metrics = actor_critic_loss(logits, values, actions, returns, CFG)
    policy = value = entropy = 0.0
    for t in range(time):
        for b in range(dreams):
            chance = logits[t, b].detach().double().softmax(dim=0)
            error = float(returns[t, b] - values[t, b].detach())
            policy -= float(chance[actions[t, b]].log()) * error / (time * dreams)
            value += error**2 / (time * dreams)
            entropy -= float((chance * chance.log()).sum()) / (time * dreams)
    assert metrics["policy_loss"].item() == pytest.approx(policy, abs=1e-5)
    assert metrics["value_loss"].item() == pytest.approx(value, rel=1e-5)
    assert metrics["entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert metrics["return_mean"].item() == pytest.approx(returns.mean().item(), abs=1e-6)
    assert loss.item() == pytest.approx(policy + 2 * value - 0.5 * entropy, abs=1e-4)
    assert metrics["loss"].item() == loss.item()
    assert not any(metric.requires_grad for metric in metrics.values())


def test_entropy_of_a_uniform_policy() -> None:
    """The logarithm of the number of actions; a sure policy has none."""
    _, values, actions, returns = window(2, 3)
    for logits, entropy in ((torch.ones(2, 3, 4), math.log(4)), (torch.tensor([0.0, 0, 0, 1e4]).expand(2, 3, 4), 0.0)):
        assert actor_critic_loss(logits, values, actions, returns, CFG)[1]["entropy"].item() == pytest.approx(entropy)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_what_went_better_than_expected_becomes_more_likely(advantage: float) -> None:
    """And what went worse, less; the gradient is that of REINFORCE: (probability - taken) * advantage."""
    cfg = ActorCriticConfig(entropy_weight=0.0, value_weight=0.0)
    logits = torch.zeros(1, 1, ACTIONS, requires_grad=True)
    values = torch.tensor([[0.5]])
    loss, _ = actor_critic_loss(logits, values, torch.tensor([[1]]), values + advantage, cfg)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([advantage / 3, -2 * advantage / 3, advantage / 3])


def test_the_baseline_does_not_learn_from_the_policy_s_loss() -> None:
    """Values follow the returns by their own squared error alone."""
    logits, values, actions, returns = window(4, 3)
    loss, _ = actor_critic_loss(logits, values, actions, returns, ActorCriticConfig(value_weight=0.0))
    (gradient,) = torch.autograd.grad(loss, values, allow_unused=True, retain_graph=True, materialize_grads=True)
    assert not gradient.any()
    loss, _ = actor_critic_loss(logits, values, actions, returns, CFG)
    (gradient,) = torch.autograd.grad(loss, values)
    assert torch.allclose(gradient, 2 * CFG.value_weight * (values - returns) / 12, atol=1e-6)


def test_entropy_is_wanted() -> None:
    """Without an advantage, descent makes the policy more even."""
    logits = torch.tensor([[[1.0, 0.0, 0.0]]], requires_grad=True)
    values = torch.zeros(1, 1)
    loss, _ = actor_critic_loss(logits, values, torch.tensor([[0]]), values, CFG)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 0] > 0
    assert (logits.grad[0, 0, 1:] < 0).all()
