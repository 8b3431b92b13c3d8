"""One seed gives many streams: the same on every machine, apart from each other, and able to go on where they were."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diamond.errors import RunError
from diamond.runs.streams import RandomStreams, derive_seed

CPU = torch.device("cpu")
NAMES = (*RandomStreams.CPU, *RandomStreams.DEVICE)


def draws(streams: RandomStreams, names: tuple[str, ...] = NAMES) -> dict[str, list[float]]:
    return {name: torch.rand(3, generator=streams[name]).tolist() for name in names}


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    """These numbers may never change: they decide which run a seed stands for."""
    assert derive_seed(0, "weights") == 3_699_729_803_252_847_382
    assert derive_seed(1, "weights") == 139_911_415_592_349_810
    assert derive_seed(0, "evaluation", 10) == 227_096_395_551_817_565


@given(st.integers(0, 2**32 - 1), st.lists(st.text(max_size=8) | st.integers(0, 10**6), max_size=3))
def test_derived_seeds_fit_into_63_bits(seed: int, names: list[str | int]) -> None:
    assert 0 <= derive_seed(seed, *names) < 2**63


def test_every_use_and_every_seed_has_a_seed_of_its_own() -> None:
    uses = [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ("a", 1), ("a", 2), ("a", 1, 2)]
    seeds = [derive_seed(seed, *use) for seed in range(50) for use in uses]
    assert len(set(seeds)) == len(seeds)


def test_streams_differ_from_each_other_and_between_seeds() -> None:
    values = [tuple(value) for seed in range(3) for value in draws(RandomStreams(seed, CPU)).values()]
    assert len(set(values)) == len(values) == 3 * len(NAMES)


@pytest.mark.parametrize("greedy", NAMES)
def test_drawing_more_from_one_stream_leaves_the_others_as_they_were(greedy: str) -> None:
    streams, others = RandomStreams(0, CPU), tuple(name for name in NAMES if name != greedy)
    torch.rand(1_000, generator=streams[greedy])
    assert draws(streams, others) == draws(RandomStreams(0, CPU), others)


def test_the_global_streams_neither_matter_nor_move() -> None:
    before = torch.random.get_rng_state()
    numpy_before = np.random.get_state()[1]
    first = draws(RandomStreams(0, CPU))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    with torch.random.fork_rng():
        torch.rand(5)
        assert draws(RandomStreams(0, CPU)) == first


def test_saved_streams_go_on_where_they_were() -> None:
    streams = RandomStreams(0, CPU)
    draws(streams)
    saved = {name: state.clone() for name, state in streams.state_dict().items()}
    following = draws(streams)
    other = RandomStreams(1, CPU)
    other.load_state_dict(saved)
    assert draws(other) == following


def test_streams_of_another_kind_of_device_are_refused() -> None:
    state = RandomStreams(0, CPU).state_dict() | {"dream_noise": torch.zeros(16, dtype=torch.uint8)}
    with pytest.raises(RunError, match="dream_noise was saved on another kind of device than cpu: resume on"):
        RandomStreams(0, CPU).load_state_dict(state)
