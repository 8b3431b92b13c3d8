"""Figures over many runs of many games: what can be worked out by hand, and what the library rliable makes of them.

rliable works with neither pandas 3 nor arch 8, so it cannot be installed beside the other test packages. Its results
for the scores that this package ships are in `fixtures/rliable.json`, with its versions;
`tools/rliable_reference.py` wrote them in an environment of its own.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diamond.lab.atari100k.aggregates import (
    FIGURES,
    aggregate,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from diamond.lab.atari100k.methods import GAMES, published_methods

RLIABLE = json.loads((Path(__file__).parents[2] / "fixtures/rliable.json").read_text(encoding="utf-8"))
TAUS = np.array(RLIABLE["taus"])
every_method = pytest.mark.parametrize("name", RLIABLE["methods"])

scores = st.floats(-1, 9).map(lambda value: round(value, 3))
games_of_runs = st.lists(st.lists(scores, min_size=2, max_size=6).map(np.array), min_size=1, max_size=5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def values(runs: list[np.ndarray]) -> list[float]:
    """The four figures without their intervals."""
    return [interval.value for interval in aggregate(runs, rng(), 10).values()]


def alone(statistic: Callable[[np.ndarray], np.ndarray], *runs: float) -> float:
    """A statistic of a single set of runs."""
    return float(statistic(np.array([runs], dtype=float))[0])


def normalised(name: str) -> list[np.ndarray]:
    (method,) = published_methods([name])
    return method.normalised_runs(GAMES)


# By hand


def test_the_interquartile_mean_of_1_to_8_is_that_of_3_to_6() -> None:
    assert alone(interquartile_mean, 1, 2, 3, 4, 5, 6, 7, 8) == 4.5


def test_the_interquartile_mean_leaves_whole_runs_out() -> None:
    """A quarter of 7 runs is 1.75: one is left out at either end, as scipy's `trim_mean` does."""
    assert alone(interquartile_mean, -100, 1, 2, 3, 4, 5, 900) == 3


def test_the_interquartile_mean_of_few_runs_is_their_mean() -> None:
    assert alone(interquartile_mean, 1, 2, 6.0) == 3


def test_a_run_above_human_does_not_make_up_for_one_below() -> None:
    assert alone(optimality_gap, 0.5, 100) == 0.25
    assert alone(optimality_gap, 1.0, 100) == 0
    assert alone(optimality_gap, -1.0) == 2


def test_mean_and_median_are_over_games_and_the_rest_over_runs() -> None:
    runs = [np.array([0.0, 0.0]), np.array([0.0, 2.0]), np.array([4.0, 6.0])]
    assert values(runs) == pytest.approx([2, 1, 1.5, 0.5])  # (0 + 1 + 5) / 3; 1; (0 + 0 + 2 + 4) / 4; 3 of 6 lack 1


def test_games_count_alike_in_the_mean_whatever_their_number_of_runs() -> None:
    assert values([np.array([1.0] * 9), np.array([3.0, 3.0])])[0] == 2


def test_a_profile_is_the_share_of_runs_above_each_threshold_not_at_it() -> None:
    profile = performance_profile([np.array([0.0, 1.0]), np.array([1.0, 3.0])], np.array([-1.0, 0, 1, 2, 3]), rng(), 10)
    assert [point.value for point in profile] == [1, 0.75, 0.25, 0.25, 0]


def test_improvement_counts_pairs_and_ties_half() -> None:
    one_game = probability_of_improvement([np.array([1.0, 2.0])], [np.array([0.0, 2.0])], rng(), 10)
    assert one_game.value == (1 + 0 + 1 + 0.5) / 4
    twice = probability_of_improvement([np.array([9.0])] * 2, [np.array([0.0]), np.array([10.0])], rng(), 10)
    assert twice.value == 0.5


def test_a_certain_improvement_has_no_doubt() -> None:
    assert probability_of_improvement([np.arange(10.0, 15)], [np.arange(5.0)], rng(), 50) == pytest.approx((1, 1, 1))


# What always holds

few = settings(max_examples=30)  # each draws resamples


@few
@given(games_of_runs, st.randoms())
def test_the_order_of_seeds_and_of_games_does_not_matter(runs: list[np.ndarray], random: object) -> None:
    shuffled = [np.array(sorted(game, key=lambda _: random.random())) for game in runs]  # type: ignore[attr-defined]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert values(shuffled) == pytest.approx(values(runs), abs=1e-9)


@few
@given(games_of_runs)
def test_figures_lie_between_the_worst_and_the_best_run(runs: list[np.ndarray]) -> None:
    lowest, highest = min(map(np.min, runs)), max(map(np.max, runs))
    for value in values(runs)[:3]:
        assert lowest - 1e-9 <= value <= highest + 1e-9
    assert max(0, 1 - highest) - 1e-9 <= values(runs)[3] <= 1 - min(lowest, 1) + 1e-9


@few
@given(st.floats(-1, 9), st.integers(1, 5), st.integers(2, 6))
def test_constant_scores_have_intervals_of_no_width(score: float, num_games: int, num_runs: int) -> None:
    runs = [np.full(num_runs, score)] * num_games
    for interval in aggregate(runs, rng(), 20).values():
        assert interval == pytest.approx([interval.value] * 3)


@few
@given(games_of_runs)
def test_a_profile_falls_and_its_band_is_around_it_at_the_ends(runs: list[np.ndarray]) -> None:
    profile = performance_profile(runs, np.array([-2.0, 0, 1, 2, 4, 9]), rng(), 50)
    for part in ("value", "low", "high"):
        shares = [getattr(point, part) for point in profile]
        assert (shares[0], shares[-1]) == pytest.approx((1, 0))
        assert shares == sorted(shares, reverse=True)


@few
@given(games_of_runs, st.data())
def test_improvements_either_way_add_up_to_one(ours: list[np.ndarray], data: st.DataObject) -> None:
    theirs = [data.draw(st.lists(scores, min_size=1, max_size=4).map(np.array)) for _ in ours]
    there = probability_of_improvement(ours, theirs, rng(), 5).value
    back = probability_of_improvement(theirs, ours, rng(), 5).value
    assert there + back == pytest.approx(1)
    assert probability_of_improvement(ours, ours, rng(), 5).value == pytest.approx(0.5)


def test_intervals_depend_on_the_generator_alone() -> None:
    runs = normalised("DIAMOND")
    assert aggregate(runs, rng(1), 50) == aggregate(runs, rng(1), 50)
    assert aggregate(runs, rng(1), 50) != aggregate(runs, rng(2), 50)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    """Stratified: only the spread within games counts, not that between them."""
    spread = rng(3).normal(size=(20, 200))
    runs = [1_000 * place + game for place, game in enumerate(spread)]
    mean = aggregate(runs, rng(), 2_000)["mean"]
    half_width = 1.96 * spread.std(axis=1).mean() / np.sqrt(spread.size)
    assert mean.low == pytest.approx(mean.value - half_width, abs=0.08 * half_width)
    assert mean.high == pytest.approx(mean.value + half_width, abs=0.08 * half_width)


def test_more_runs_than_fit_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = normalised("IRIS")
    at_once = aggregate(runs, rng(), 40)
    monkeypatch.setattr("diamond.evaluation.statistics._CHUNK", 130 * 7)
    assert aggregate(runs, rng(), 40) == at_once


@pytest.mark.parametrize("runs", [[], [[]], [[1.0], []], [[1.0, float("nan")]], [[float("inf")]]])
def test_no_figure_without_finite_scores_of_every_game(runs: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"finite|needs a run"):
        aggregate([np.array(game) for game in runs], rng(), 10)


def test_only_equal_games_are_compared() -> None:
    with pytest.raises(ValueError, match="only equal games"):
        probability_of_improvement([np.ones(2)], [np.ones(2)] * 2, rng(), 10)


# Against rliable


@every_method
def test_figures_equal_those_of_rliable(name: str) -> None:
    assert RLIABLE["figures"] == list(FIGURES)
    assert values(normalised(name)) == pytest.approx(RLIABLE["methods"][name]["aggregates"], rel=1e-12)


@every_method
def test_intervals_agree_with_those_of_rliable(name: str) -> None:
    """Both are random: within a twentieth of their width."""
    ours = np.array(list(aggregate(normalised(name), rng(), 10_000).values()))
    low, high = np.array(RLIABLE["methods"][name]["intervals"])
    assert (np.abs(ours[:, 1:] - np.stack([low, high], axis=1)) < 0.05 * (high - low)[:, None]).all()


@every_method
def test_profiles_equal_those_of_rliable_and_bands_agree(name: str) -> None:
    share, *band = np.array(performance_profile(normalised(name), TAUS, rng(), 2_000)).T
    theirs = RLIABLE["methods"][name]
    one_run = 1 / sum(len(game) for game in normalised(name))
    assert share == pytest.approx(theirs["profile"], rel=1e-12)
    for ours, other in zip(band, theirs["band"], strict=True):
        assert ours == pytest.approx(other, abs=1.01 * one_run)


@every_method
def test_improvements_equal_those_of_rliable_and_intervals_agree(name: str) -> None:
    theirs = RLIABLE["methods"][name]
    found = probability_of_improvement(normalised("DIAMOND"), normalised(name), rng(), 2_000)
    assert found.value == pytest.approx(theirs["probability that DIAMOND improves"], rel=1e-12)
    assert (found.low, found.high) == pytest.approx(theirs["its interval"], abs=0.01)
