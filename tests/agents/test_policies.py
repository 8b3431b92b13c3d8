"""How actions are chosen from a network's logits."""

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor

from diamond.agents.policies import ConstantPolicy, NetworkPolicy, Policy, RandomPolicy, RecurrentAgent
from diamond.errors import ConfigError

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.3, -1.0, 1.2, 0.0])


class FixedAgent:
    """Gives the same logits whatever it sees."""

    def __init__(self, logits: Tensor = LOGITS) -> None:
        self.logits = logits

    def initial_state(self, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch, 5), torch.zeros(batch, 5)

    def __call__(self, frames: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        logits = self.logits.expand(len(frames), -1)
        return logits, torch.zeros(len(frames)), (state[0] + 1, state[1] + 2)


def frames(count: int) -> np.ndarray:
    return np.zeros((count, 1, 1, 3), dtype=np.uint8)


def policy(count: int, logits: Tensor = LOGITS, seed: int = 0, **options: float | str) -> NetworkPolicy:
    agent, generator = FixedAgent(logits), torch.Generator().manual_seed(seed)
    return NetworkPolicy(agent, count, CPU, generator, **options)  # type: ignore[arg-type]


def shares(actions: np.ndarray) -> np.ndarray:
    return np.bincount(actions, minlength=len(LOGITS)) / len(actions)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_tempered_policy(temperature: float) -> None:
    actions = policy(20_000, temperature=temperature).act(frames(20_000))
    expected = (LOGITS / temperature).softmax(0).numpy()
    np.testing.assert_allclose(shares(actions), expected, atol=0.012)  # over three standard deviations


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-44])
@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_temperature_towards_zero_is_greedy(temperature: float, scale: float) -> None:
    """Also where the logits over the temperature are beyond float32."""
    logits = scale * torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    cold = policy(50, logits, temperature=temperature).act(frames(50))
    greedy = policy(50, logits, mode="greedy").act(frames(50))
    np.testing.assert_array_equal(cold, greedy)
    np.testing.assert_array_equal(greedy, logits.argmax(1).numpy())


def test_epsilon_mixes_in_uniform_actions() -> None:
    actions = policy(20_000, mode="greedy", epsilon=0.4).act(frames(20_000))
    expected = np.full(4, 0.1)
    expected[LOGITS.argmax()] += 0.6
    np.testing.assert_allclose(shares(actions), expected, atol=0.012)


def test_sampling_depends_on_the_generator_alone() -> None:
    first, again, other = (policy(100, seed=seed).act(frames(100)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_state_of_ended_games_is_zeroed_and_no_other() -> None:
    one = policy(3)
    one.act(frames(3))
    one.reset(np.array([False, True, False]))
    assert one.state[0][:, 0].tolist() == [1, 0, 1]
    assert one.state[1][:, 0].tolist() == [2, 0, 2]


def test_a_state_that_is_not_finite_does_not_survive_its_game() -> None:
    one = policy(2)
    one.state = (torch.full((2, 5), torch.nan), torch.full((2, 5), torch.inf))
    one.reset(np.array([True, False]))
    assert one.state[0][0].tolist() == one.state[1][0].tolist() == [0] * 5


def test_frames_that_may_not_be_written_are_read() -> None:
    still = frames(4)
    still.setflags(write=False)
    assert policy(4).act(still).shape == (4,)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": float("nan")}, {"epsilon": 1.5}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=name):
        policy(1, **options)


def test_an_unknown_mode_is_refused() -> None:
    """Even where types are not checked at run time, as they are in these tests."""
    unchecked = inspect.unwrap(NetworkPolicy.__init__)
    with pytest.raises(ConfigError, match="choose sampled or greedy"):
        unchecked(
            NetworkPolicy.__new__(NetworkPolicy),
            FixedAgent(),
            1,
            CPU,
            torch.Generator(),
            "lucky",  # type: ignore[arg-type]
        )


def test_the_other_policies() -> None:
    assert ConstantPolicy(2).act(frames(3)).tolist() == [2, 2, 2]
    actions = RandomPolicy(4, np.random.default_rng(0)).act(frames(20_000))
    np.testing.assert_allclose(shares(actions), 0.25, atol=0.012)


def test_every_policy_keeps_the_contract() -> None:
    for one in (policy(2), RandomPolicy(4, np.random.default_rng(0)), ConstantPolicy(1)):
        assert isinstance(one, Policy)
        one.reset(np.array([True, False]))
        actions = one.act(frames(2))
        assert actions.dtype == np.int64 and actions.shape == (2,)
        assert {"mode", "temperature", "epsilon"} <= set(one.describe())
    assert isinstance(FixedAgent(), RecurrentAgent)


def test_descriptions() -> None:
    assert policy(1, temperature=0.5).describe() == {"mode": "sampled", "temperature": 0.5, "epsilon": 0.0}
    assert policy(1, mode="greedy").describe()["temperature"] is None
    assert ConstantPolicy(3).describe()["action"] == 3
