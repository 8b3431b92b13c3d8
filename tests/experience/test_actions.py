"""One way to draw from logits: closed forms of the inverse distribution, of temperature and of exploration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diamond.experience.actions import explore, sample_categorical


def test_class_boundaries() -> None:
    """Four equal classes: each takes [k/4, (k+1)/4)."""
    uniform = torch.tensor([0, 0.2499999, 0.25, 0.4999999, 0.5, 0.7499999, 0.75, 1 - 2**-24])
    assert sample_categorical(torch.zeros(8, 4), uniform).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_is_impossible_never_happens() -> None:
    """Not at the edges of the uniform draw either."""
    uniform = torch.tensor([0.0, 0.5, 1 - 2**-24])
    for certain in range(3):
        logits = torch.full((3, 3), -float("inf"))
        logits[:, certain] = 0
        assert sample_categorical(logits, uniform).tolist() == [certain] * 3


@given(st.lists(st.floats(-6, 6), min_size=2, max_size=7))
def test_frequencies_are_the_probabilities(logits: list[float]) -> None:
    """A thousand evenly spaced draws fall into each class in proportion, to within the one on each edge."""
    draws = 1000
    uniform = (torch.arange(draws) + 0.5) / draws
    classes = sample_categorical(torch.tensor(logits).expand(draws, -1), uniform)
    counts = classes.bincount(minlength=len(logits))
    expected = draws * torch.tensor(logits, dtype=torch.float64).softmax(dim=0)
    assert (counts - expected).abs().max() <= 1.01
    assert (classes.diff() >= 0).all(), "larger draws, later classes"


def test_classes_of_any_batch_shape() -> None:
    assert sample_categorical(torch.zeros(5, 2, 3), torch.full((5, 2), 0.5)).tolist() == [[1, 1]] * 5


def test_temperature_divides_the_logits() -> None:
    """Two classes at odds 3 to 1: at temperature 1/2 the odds are squared, at 2 they are the square root."""
    logits = torch.tensor([3.0, 1.0]).log().expand(3, -1)
    for temperature, odds in ((0.5, 9.0), (1.0, 3.0), (2.0, 3**0.5)):
        edge = odds / (odds + 1)
        around = torch.tensor([edge - 1e-5, edge + 1e-5, 0.0])
        assert sample_categorical(logits, around, temperature).tolist() == [0, 1, 0]


@pytest.mark.parametrize("temperature", [1e-3, 1e-30])
def test_without_temperature_the_largest_logit_wins(temperature: float) -> None:
    """Also if the logits over the temperature are beyond float32."""
    logits = 1e30 * torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    uniform = torch.rand(50, generator=torch.Generator().manual_seed(2))
    assert torch.equal(sample_categorical(logits, uniform, temperature), logits.argmax(dim=1))


def test_exploration_by_hand() -> None:
    """The second number decides whether, the first one which: [k/3, (k+1)/3) is action k."""
    actions = torch.tensor([2, 2, 2, 2])
    uniform = torch.tensor([[0.0, 0.34, 0.67, 0.0], [0.1, 0.1, 0.1, 0.3]])
    assert explore(actions, 3, 0.3, uniform).tolist() == [0, 1, 2, 2]
    assert explore(actions, 3, 0.0, uniform).tolist() == [2] * 4
    largest = torch.full((2, 1), 1 - 2**-24)
    assert explore(actions[:1], 3, 1.0, largest).tolist() == [2], "no draw is beyond the last action"
