"""Returns: closed forms, and the recursion as it is written in the paper, one dream at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.imagination.returns import lambda_returns

REWARDS, VALUES = [1.0, -1.0, 0.0, 1.0], [0.5, 2.0, -3.0, 4.0]
NEVER = [False] * 4
DISCOUNT = 0.9


def returns(
    lambda_: float,
    terminated: list[bool] = NEVER,
    truncated: list[bool] = NEVER,
    rewards: list[float] = REWARDS,
    values: list[float] = VALUES,
) -> list[float]:
    """The returns of a single dream of four steps."""
    columns = [torch.tensor(row)[:, None] for row in (rewards, values, terminated, truncated)]
    return lambda_returns(*columns, DISCOUNT, lambda_)[:, 0].tolist()


def at(step: int) -> list[bool]:
    return [t == step for t in range(4)]


def test_without_trust_in_rewards_one_step_is_bootstrapped() -> None:
    """lambda = 0: r + discount * V(s'), the temporal difference target."""
    assert returns(0.0) == pytest.approx([r + DISCOUNT * v for r, v in zip(REWARDS, VALUES, strict=True)])


def test_without_trust_in_values_rewards_are_summed() -> None:
    """lambda = 1: the discounted rewards, and the value of the last frame in place of all that follows."""
    expected = [
        sum(DISCOUNT ** (k - t) * REWARDS[k] for k in range(t, 4)) + DISCOUNT ** (4 - t) * VALUES[-1] for t in range(4)
    ]
    assert returns(1.0) == pytest.approx(expected)


def test_two_steps_by_hand() -> None:
    """The last return bootstraps whatever lambda is; the one before it mixes."""
    last = 1 + DISCOUNT * 4
    before = 0 + DISCOUNT * (0.25 * -3 + 0.75 * last)
    assert returns(0.75)[2:] == pytest.approx([before, last])


@pytest.mark.parametrize("lambda_", [0.0, 0.95, 1.0])
def test_nothing_follows_a_termination(lambda_: float) -> None:
    """Neither the value of the final frame nor the next dream counts."""
    cut = returns(lambda_, terminated=at(1))
    assert cut[1] == REWARDS[1]
    assert cut[2:] == returns(lambda_)[2:], "the next dream knows nothing of the last"
    other = returns(lambda_, terminated=at(1), rewards=[1.0, -1.0, 5.0, -5.0], values=[0.5, 77.0, 8.0, 9.0])
    assert other[:2] == cut[:2]


@pytest.mark.parametrize("lambda_", [0.0, 0.95, 1.0])
def test_a_truncation_is_bootstrapped(lambda_: float) -> None:
    """The game would have gone on: the value of the true successor stands for the rest, whatever lambda is."""
    cut = returns(lambda_, truncated=at(1))
    assert cut[1] == pytest.approx(REWARDS[1] + DISCOUNT * VALUES[1])
    other = returns(lambda_, truncated=at(1), rewards=[1.0, -1.0, 5.0, -5.0], values=[0.5, 2.0, 8.0, 9.0])
    assert other[:2] == cut[:2]


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 1.0])
def test_true_values_give_themselves(lambda_: float) -> None:
    """A reward of 1 a step for ever is worth 1 / (1 - discount); where values are right, lambda does not matter."""
    value = 1 / (1 - DISCOUNT)
    assert returns(lambda_, rewards=[1.0] * 4, values=[value] * 4) == pytest.approx([value] * 4)


def test_the_end_of_the_window_is_like_a_truncation() -> None:
    assert returns(0.95, truncated=at(3)) == returns(0.95)


def test_targets_have_no_gradient() -> None:
    value = torch.ones(4, 2, requires_grad=True)
    never = torch.zeros(4, 2, dtype=torch.bool)
    assert not lambda_returns(torch.ones(4, 2), value, never, never, 0.9, 0.95).requires_grad


def recursion(t: int, rewards: Tensor, values: Tensor, ends: Tensor, cuts: Tensor, gamma: float, lam: float) -> float:
    """Equation 14 for one dream, from the first step on."""
    reward, value = float(rewards[t]), float(values[t])
    if ends[t]:
        return reward
    if cuts[t] or t == len(rewards) - 1:
        return reward + gamma * value
    following = recursion(t + 1, rewards, values, ends, cuts, gamma, lam)
    return reward + gamma * ((1 - lam) * value + lam * following)


@given(st.integers(1, 7), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_the_recursion_of_the_paper(time: int, dreams: int, gamma: float, lam: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randint(-1, 2, (time, dreams), generator=generator).float()
    values = torch.randn(time, dreams, generator=generator) * 3
    fate = torch.rand(time, dreams, generator=generator)
    ends, cuts = fate < 0.2, fate > 0.8
    ours = lambda_returns(rewards, values, ends, cuts, gamma, lam)
    for b in range(dreams):
        columns = (rewards[:, b], values[:, b], ends[:, b], cuts[:, b])
        expected = [recursion(t, *columns, gamma, lam) for t in range(time)]
        assert ours[:, b].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)
