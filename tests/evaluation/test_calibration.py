"""Counts of predicted classes and how far probabilities can be believed, against what can be worked out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.errors import DataError
from diamond.evaluation.calibration import brier_score, precision_recall, reliability, top_class

SURE = np.eye(3)


def drawn(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right by construction, and classes drawn with them."""
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(k), size=n)
    return probability, (rng.random((n, 1)) > probability.cumsum(axis=1)).sum(axis=1).clip(max=k - 1)


# Precision and recall


def test_a_confusion_by_hand() -> None:
    probability = SURE[[0, 0, 0, 1, 1]]
    found = precision_recall(probability, np.array([0, 0, 1, 1, 0]))
    counts = {
        "predicted": [3, 2, 0],
        "correct": [2, 1, 0],
        "precision": [2 / 3, 1 / 2, None],  # class 2 is never predicted
        "recall": [2 / 3, 1 / 2, None],  # and never occurs
    }
    assert found == {"support": [3, 2, 0], "likeliest": counts, "drawn": counts}


def test_drawn_classes_are_counted_by_their_probability() -> None:
    """The rare event that is never the likeliest is still dreamed now and then."""
    probability = np.array([[0.75, 0.25], [0.75, 0.25], [0.5, 0.5], [1.0, 0.0]])
    found = precision_recall(probability, np.array([0, 1, 1, 0]))
    assert found["likeliest"]["predicted"] == [4, 0]  # of equals the first
    assert found["likeliest"]["recall"] == [1, 0]
    assert found["likeliest"]["precision"] == [0.5, None]
    assert found["drawn"] == {
        "predicted": [3, 1],
        "correct": [1.75, 0.75],
        "precision": [1.75 / 3, 0.75],
        "recall": [0.875, 0.375],
    }


def test_expected_counts_are_the_mean_of_drawn_ones() -> None:
    """Draw each prediction many times, and count."""
    probability, truth = drawn(200, 3, seed=1)
    expected = precision_recall(probability, truth)["drawn"]
    rng = np.random.default_rng(2)
    times = 500
    predicted = (rng.random((times, 200, 1)) > probability.cumsum(axis=1)).sum(axis=2).clip(max=2)
    for c in range(3):
        assert (predicted == c).mean() * 200 == pytest.approx(expected["predicted"][c], abs=1.5)
        correct = (predicted == c) & (truth == c)
        assert correct.sum() / times == pytest.approx(expected["correct"][c], abs=1.5)


@given(n=st.integers(1, 30), k=st.integers(1, 5), seed=st.integers(0, 99))
def test_counts_add_up(n: int, k: int, seed: int) -> None:
    found = precision_recall(*drawn(n, k, seed))
    assert sum(found["support"]) == n
    for kind in ("likeliest", "drawn"):
        assert sum(found[kind]["predicted"]) == pytest.approx(n)
        for part, total in (("precision", "predicted"), ("recall", None)):
            whole = found["support"] if total is None else found[kind][total]
            for rate, correct, count in zip(found[kind][part], found[kind]["correct"], whole, strict=True):
                assert (rate is None) == (count == 0)
                assert rate is None or rate == pytest.approx(correct / count)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


# Brier score


def test_brier_scores_by_hand() -> None:
    truth = np.array([0, 1, 2])
    assert brier_score(SURE, truth) == 0
    assert brier_score(SURE[[1, 2, 0]], truth) == 2
    assert brier_score(np.full((3, 3), 1 / 3), truth) == pytest.approx(1 - 1 / 3)
    assert brier_score(np.array([[0.7, 0.3]]), np.array([1])) == pytest.approx(2 * 0.7**2)


@given(p=st.floats(0, 1), q=st.floats(0, 1))
def test_honesty_has_the_best_expected_brier_score(p: float, q: float) -> None:
    """A proper score: whoever believes p does best to say p."""

    def expected(said: float) -> float:
        said_all = np.array([[1 - said, said]])
        return p * brier_score(said_all, np.array([1])) + (1 - p) * brier_score(said_all, np.array([0]))

    assert expected(p) <= expected(q) + 1e-12


# Reliability


def test_a_table_by_hand() -> None:
    confidence = np.array([0.0, 0.5, 0.6, 0.8, 1.0])
    found = reliability(confidence, np.array([False, True, True, False, True]), bins=2)
    assert found == {
        "edges": [0, 0.5, 1],
        "confidence": [0.25, pytest.approx(0.8)],  # 0.5 is in the bin that it closes
        "frequency": [0.5, pytest.approx(2 / 3)],
        "count": [2, 3],
        "error": pytest.approx(2 / 5 * 0.25 + 3 / 5 * (0.8 - 2 / 3)),
    }


def test_empty_bins_are_none() -> None:
    found = reliability(np.array([0.95]), np.array([True]), bins=3)
    assert found["confidence"] == [None, None, 0.95]
    assert found["frequency"] == [None, None, 1]
    assert found["error"] == pytest.approx(0.05)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_honest_probabilities_have_almost_no_error() -> None:
    """Whose classes were drawn with them: what is left, at most, is a bin's standard error of 0.5 / sqrt(n / 10)."""
    probability, truth = drawn(20_000, 4, seed=3)
    assert reliability(*top_class(probability, truth))["error"] < 0.01
    assert reliability(probability[:, 2], truth == 2)["error"] < 0.01


def test_overconfidence_is_the_error() -> None:
    """Always 0.9 sure and right in 6 of 10: off by 0.3."""
    found = reliability(np.full(10, 0.9), np.arange(10) < 6)
    assert found["error"] == pytest.approx(0.3)


def test_the_top_class() -> None:
    confidence, right = top_class(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 1]))
    assert confidence.tolist() == [0.8, 0.6]
    assert right.tolist() == [True, False]


# Refusals


@pytest.mark.parametrize(
    ("probability", "truth", "said"),
    [
        (np.zeros((0, 2)), [], "at least one"),
        (np.array([[0.5, 0.6]]), [0], "softmax"),
        (np.array([[1.5, -0.5]]), [0], "softmax"),
        (np.array([[np.nan, 1.0]]), [0], "softmax"),
        (np.array([[0.5, 0.5]]), [2], "classes 2 to 2, but there are 2"),
        (np.array([[0.5, 0.5]]), [-1], "count them from 0"),
    ],
)
def test_what_is_no_prediction_is_refused(probability: np.ndarray, truth: list[int], said: str) -> None:
    for measure in (precision_recall, brier_score, top_class):
        with pytest.raises(DataError, match=said):
            measure(probability, np.array(truth, dtype=int))


@pytest.mark.parametrize(
    ("confidence", "bins", "said"),
    [([], 10, "at least one"), ([0.5, 1.2], 10, "1.2"), ([float("nan")], 10, "nan"), ([0.5], 0, "bins is 0")],
)
def test_what_is_no_confidence_is_refused(confidence: list[float], bins: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        reliability(np.array(confidence), np.zeros(len(confidence), bool), bins)
