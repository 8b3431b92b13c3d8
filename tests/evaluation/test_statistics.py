"""Intervals and the human scale, against what can be worked out by hand."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.evaluation.human_scores import REFERENCE_SCORES
from diamond.evaluation.statistics import bootstrap_mean, bootstrap_seeds, human_normalised, reference_scores

PAPER = {
    "Alien": 744.1, "Amidar": 225.8, "Assault": 1526.4, "Asterix": 3698.5, "BankHeist": 19.7, "BattleZone": 4702.0,
    "Boxing": 86.9, "Breakout": 132.5, "ChopperCommand": 1369.8, "CrazyClimber": 99167.8, "DemonAttack": 288.1,
    "Freeway": 33.3, "Frostbite": 274.1, "Gopher": 5897.9, "Hero": 5621.8, "Jamesbond": 427.4, "Kangaroo": 5382.2,
    "Krull": 8610.1, "KungFuMaster": 18713.7, "MsPacman": 1958.2, "Pong": 20.4, "PrivateEye": 114.3, "Qbert": 4499.3,
    "RoadRunner": 20673.2, "Seaquest": 551.2, "UpNDown": 3856.3,
}  # fmt: skip
"""DIAMOND's own column of table 1."""


@given(value=st.floats(-1e6, 1e6), n=st.integers(1, 50))
def test_a_constant_has_an_interval_of_no_width(value: float, n: int) -> None:
    estimate = bootstrap_mean(np.full(n, value), np.random.default_rng(0), resamples=100)
    assert estimate == pytest.approx((value, value, value, n))


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    """By the central limit theorem it tends to mean +- 1.96 s / sqrt(n)."""
    values = np.random.default_rng(1).exponential(size=2_000)
    estimate = bootstrap_mean(values, np.random.default_rng(2))
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    assert estimate.low == pytest.approx(values.mean() - half_width, abs=0.05 * half_width)
    assert estimate.high == pytest.approx(values.mean() + half_width, abs=0.05 * half_width)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    trials = 300
    intervals = [bootstrap_mean(rng.normal(5.0, 2.0, size=40), rng, resamples=1_000) for _ in range(trials)]
    covered = sum(interval.low <= 5.0 <= interval.high for interval in intervals) / trials
    assert 0.91 <= covered <= 0.98  # 0.95, less a little for 40 values, give or take 2.5 standard deviations


def test_a_narrower_confidence_gives_a_narrower_interval_inside() -> None:
    values = np.random.default_rng(4).normal(size=30)
    wide = bootstrap_mean(values, np.random.default_rng(0))
    narrow = bootstrap_mean(values, np.random.default_rng(0), confidence=0.5)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


@given(scale=st.floats(0.1, 100), shift=st.floats(-100, 100))
def test_the_interval_moves_and_stretches_with_the_values(scale: float, shift: float) -> None:
    values = np.arange(10.0)
    before = bootstrap_mean(values, np.random.default_rng(0), resamples=200)
    after = bootstrap_mean(scale * values + shift, np.random.default_rng(0), resamples=200)
    for old, new in zip(before[:3], after[:3], strict=True):
        assert new == pytest.approx(scale * old + shift, abs=1e-6)


def test_the_interval_depends_on_the_generator_alone() -> None:
    values = np.arange(25.0)
    assert bootstrap_mean(values, np.random.default_rng(7)) == bootstrap_mean(values, np.random.default_rng(7))
    assert bootstrap_mean(values, np.random.default_rng(7)) != bootstrap_mean(values, np.random.default_rng(8))


def test_more_values_than_fit_a_chunk() -> None:
    values = np.random.default_rng(5).normal(size=100_000)
    estimate = bootstrap_mean(values, np.random.default_rng(0), resamples=100)
    assert estimate.low < values.mean() < estimate.high


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_no_mean_without_finite_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(np.array(values), np.random.default_rng(0))


@pytest.mark.parametrize("game", REFERENCE_SCORES)
def test_random_is_zero_and_human_is_one(game: str) -> None:
    reference = reference_scores(game)
    assert reference is not None
    assert human_normalised(game, reference.random) == 0
    assert human_normalised(game, reference.human) == 1


def test_other_environments_have_no_human_scale() -> None:
    assert human_normalised("MiniGrid-Empty-8x8-v0", 1.0) is None
    assert reference_scores("ALE/Breakout-v5") is None  # sticky actions: another protocol


def test_the_paper_mean_follows_from_its_table() -> None:
    """The mean human-normalised score that the paper reports, 1.459, holds all 52 reference scores to account."""
    assert set(PAPER) == set(REFERENCE_SCORES)
    scores = [human_normalised(game, score) for game, score in PAPER.items()]
    assert statistics.fmean(score for score in scores if score is not None) == pytest.approx(1.459, abs=5e-4)
    assert sum(score is not None and score > 1 for score in scores) == 11


# Seeds of training


def test_games_of_their_own_count_for_every_seed() -> None:
    """As many values as there are, seed or not, where every seed measured the same on games of its own."""
    row = np.random.default_rng(0).normal(size=40)
    nested = bootstrap_seeds(np.stack([row] * 3), np.random.default_rng(1), same_games=False)
    assert nested.mean == pytest.approx(row.mean())
    assert nested.n == 3
    flat = bootstrap_mean(np.concatenate([row] * 3), np.random.default_rng(1))
    assert nested.high - nested.low == pytest.approx(flat.high - flat.low, rel=0.05)


def test_the_same_games_count_once_however_many_seeds_saw_them() -> None:
    row = np.random.default_rng(0).normal(size=40)
    crossed = bootstrap_seeds(np.stack([row] * 3), np.random.default_rng(1), same_games=True)
    alone = bootstrap_mean(row, np.random.default_rng(1))
    assert crossed.mean == pytest.approx(row.mean())
    assert crossed.high - crossed.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_games_that_all_seeds_share_are_covered_as_often_as_is_said() -> None:
    """Games differ by more than seeds do, as in the studies; 12 games and 3 seeds lose a little of the 0.95."""
    rng, trials, covered = np.random.default_rng(0), 200, {True: 0, False: 0}
    for _ in range(trials):
        values = 0.3 * rng.normal(size=(3, 1)) + 2 * rng.normal(size=(1, 12)) + 0.5 * rng.normal(size=(3, 12))
        for same in covered:
            estimate = bootstrap_seeds(values, np.random.default_rng(0), same_games=same, resamples=400)
            covered[same] += estimate.low <= 0 <= estimate.high
    assert covered[True] / trials > 0.87
    assert covered[False] / trials < 0.8, "as if every seed had brought games of its own"


@pytest.mark.parametrize("same_games", [True, False])
def test_seeds_that_differ_widen_the_interval_however_much_was_measured(same_games: bool) -> None:
    values = np.array([0.0, 1.0, 2.0])[:, None] + np.zeros((3, 100))
    estimate = bootstrap_seeds(values, np.random.default_rng(0), same_games=same_games)
    assert estimate.mean == 1
    assert estimate.low < 0.2
    assert estimate.high > 1.8


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.zeros((3, 0)), np.array([[1.0, np.nan]])])
def test_seeds_need_finite_values(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs at least one value"):
        bootstrap_seeds(values, np.random.default_rng(0), same_games=True)
