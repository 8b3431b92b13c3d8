"""The published scores that come with the package: complete, labelled, and as their papers print them."""

import pytest

from diamond.errors import ConfigError
from diamond.evaluation.human_scores import REFERENCE_SCORES
from diamond.lab.atari100k import compare, published_methods
from diamond.lab.atari100k.comparison import Comparison
from diamond.lab.atari100k.methods import GAMES, LABELS, require_games

NAMES = [method.name for method in published_methods()]
PRINTED = [
    (method.name, figure)
    for method in published_methods()
    for figure in ("mean", "median", "iqm", "optimality_gap", "above_human")
    if figure in method.reported
]
DISAGREE = {
    ("STORM", "mean"): 1.222,
    ("STORM", "iqm"): 0.561,
    ("STORM", "above_human"): 9,
    ("DreamerV3 (2023, printed)", "mean"): 1.130,
}
"""Figures that papers print otherwise, with what their published scores give."""


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(resamples=100)


def figure(comparison: Comparison, name: str, figure: str, part: str = "all") -> float:
    (row,) = (row for row in comparison.rows if row.method.name == name)
    found = getattr(row.aggregates[part], figure)
    return found if isinstance(found, int) else found.value


def test_there_are_30_methods_with_all_games_and_a_source() -> None:
    assert len(set(NAMES)) == 30
    for method in published_methods():
        assert set(method.means) == set(GAMES) == set(REFERENCE_SCORES), method.name
        assert method.source, method.name
        assert set(method.labels) <= set(LABELS), method.name
        assert not method.runs or set(method.runs) == set(GAMES), method.name


def test_methods_without_single_runs_say_so_and_others_than_5_too() -> None:
    for method in published_methods():
        assert ("paper" in method.labels) == (not method.runs), method.name
        assert ("runs" in method.labels) == any(len(runs) != 5 for runs in method.runs.values()), method.name


def test_what_differs_from_its_paper_is_labelled() -> None:
    labelled = {method.name for method in published_methods() if "differs" in method.labels}
    assert {name for name, _ in DISAGREE} <= labelled
    reruns = {method.name for method in published_methods() if "(rerun)" in method.name}
    assert reruns <= {method.name for method in published_methods() if "rerun" in method.labels}


def test_diamond_comes_out_as_its_paper_prints_it(comparison: Comparison) -> None:
    """Table 1 and section 4.2 of arXiv 2405.12399: to three decimals."""
    expected = {"mean": 1.459, "median": 0.373, "iqm": 0.641, "optimality_gap": 0.480, "above_human": 11}
    assert {name: round(figure(comparison, "DIAMOND", name), 3) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("mean", 1.354, 1.568),
        ("median", 0.309, 0.491),
        ("iqm", 0.578, 0.707),
        ("optimality_gap", 0.465, 0.497),
    ],
)
def test_the_intervals_of_diamond(name: str, low: float, high: float) -> None:
    (row,) = compare(names=["DIAMOND"]).rows
    assert getattr(row.aggregates["all"], name)[1:] == pytest.approx((low, high), abs=0.02)


def test_the_two_halves_of_diamond(comparison: Comparison) -> None:
    assert [len(comparison.sets[part]) for part in ("all", "above", "below")] == [26, 11, 15]
    assert figure(comparison, "DIAMOND", "mean", "above") == pytest.approx(3.197, abs=5e-4)
    assert figure(comparison, "DIAMOND", "mean", "below") == pytest.approx(0.185, abs=5e-4)
    assert [figure(comparison, "DIAMOND", "above_human", part) for part in ("above", "below")] == [11, 0]


@pytest.mark.parametrize(("name", "printed"), PRINTED)
def test_figures_are_as_printed_or_are_known_to_disagree(comparison: Comparison, name: str, printed: str) -> None:
    (method,) = published_methods([name])
    expected = DISAGREE.get((name, printed), method.reported[printed])
    assert figure(comparison, name, printed) == pytest.approx(expected, abs=6e-3 if name in ROUNDED else 6e-4)


ROUNDED = ("TWISTER", "Drama")
"""Their papers print two decimals."""


@pytest.mark.parametrize("name", ["MuZero", "EfficientZero", "SR-SPR", "BBF"])
def test_the_iqm_that_table_6_prints_is_one_of_means_of_games(name: str) -> None:
    (method,) = published_methods([name])
    middle = sorted(method.normalised_means(GAMES).values())[6:20]
    assert sum(middle) / 14 == pytest.approx(method.reported["iqm"], abs=6e-4)
    assert "iqm of means" in method.labels


def test_methods_are_named_as_they_are_spelt() -> None:
    assert [method.name for method in published_methods(["IRIS", "DIAMOND"])] == ["DIAMOND", "IRIS"]
    with pytest.raises(ConfigError, match=r"'iris'.*IRIS"):
        published_methods(["iris"])


def test_games_are_named_once_each() -> None:
    assert require_games(["Pong", "Alien"]) == ("Alien", "Pong")
    assert require_games([]) == GAMES
    with pytest.raises(ConfigError, match="'Tetris'.*Alien"):
        require_games(["Tetris"])
    with pytest.raises(ConfigError, match="Pong 2 times: name each game once"):
        require_games(["Pong", "Alien", "Pong"])
