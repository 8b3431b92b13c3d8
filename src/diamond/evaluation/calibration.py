"""Whether predicted probabilities can be believed, and what is right of the classes predicted.

A dream does not take the likeliest class but draws one: class c with its probability p_c. Precision and recall are
therefore given twice, for the likeliest class and for the drawn one, where counts are expected counts.

Axes   n predictions | k classes
Units  probabilities are 0 to 1; what is undefined, such as the recall of a class that never occurs, is None
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from diamond.errors import DataError

BINS = 10
_SLACK = 1e-3  # that probabilities may miss a sum of 1 by: they may come from half precision


def precision_recall(probability: Float[np.ndarray, "n k"], truth: Int[np.ndarray, "n"]) -> dict[str, Any]:
    """Precision and recall of each class, when the likeliest class is taken and when one is drawn.

    Returns a JSON-ready record of lists over classes: `support`, how often a class truly occurs; then for `likeliest`
    and `drawn` each `predicted` and `correct` (how often the class is predicted and how often rightly, expected counts
    for `drawn`: sums of p_c), `precision` (correct / predicted) and `recall` (correct / support). Of equally likely
    classes the first is taken. The precision of drawn classes is the ratio of the two expected counts.

    Raises:
        DataError: there are no predictions, rows are no probabilities, or a true class is not among the k.
    """
    _require_probabilities(probability, truth)
    happened = _one_hot(truth, probability.shape[1])
    support = happened.sum(axis=0)
    likeliest = _one_hot(probability.argmax(axis=1), probability.shape[1])
    return {
        "support": [int(count) for count in support],
        "likeliest": _rates(likeliest, happened),
        "drawn": _rates(probability.astype(float), happened),
    }


def _rates(predicted: Float[np.ndarray, "n k"], happened: Float[np.ndarray, "n k"]) -> dict[str, list[float | None]]:
    counts, correct = predicted.sum(axis=0), (predicted * happened).sum(axis=0)
    return {
        "predicted": counts.tolist(),
        "correct": correct.tolist(),
        "precision": _ratios(correct, counts),
        "recall": _ratios(correct, happened.sum(axis=0)),
    }


def brier_score(probability: Float[np.ndarray, "n k"], truth: Int[np.ndarray, "n"]) -> float:
    """Mean squared distance of the probabilities from the truth, summed over classes (Brier 1950).

    0 is perfect, 2 is sure and wrong, 1 - 1 / k is knowing nothing. With two classes it is twice the mean squared error
    of one probability, which is what some libraries give.

    Raises:
        DataError: as `precision_recall`.
    """
    _require_probabilities(probability, truth)
    return float(np.square(probability - _one_hot(truth, probability.shape[1])).sum(axis=1).mean())


def top_class(
    probability: Float[np.ndarray, "n k"], truth: Int[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Confidence in the likeliest class, and whether it was right: what `reliability` takes, as in Guo et al. 2017.

    Raises:
        DataError: as `precision_recall`.
    """
    _require_probabilities(probability, truth)
    return probability.max(axis=1), probability.argmax(axis=1) == truth


def reliability(
    confidence: Float[np.ndarray, "n"], happened: Bool[np.ndarray, "n"], bins: int = BINS
) -> dict[str, Any]:
    """How often things happen that are given a probability, beside that probability (Guo et al. 2017).

    Bins are equally wide; one holds the probabilities above its lower edge up to its upper edge, the first also 0.

    Args:
        confidence: probabilities, of the likeliest class (`top_class`) or of one event such as a game's end.
        happened: whether it was so.
        bins: their number.

    Returns a JSON-ready record: `edges` (bins + 1), and over bins `confidence` (mean), `frequency` (share that
    happened), both None where a bin is empty, and `count`; `error` is the expected calibration error, the mean over
    predictions of |frequency - confidence| of their bin.

    Raises:
        DataError: there are no predictions, `bins` is less than 1, or a probability is not between 0 and 1.
    """
    if bins < 1:
        raise DataError(f"bins is {bins}: give at least 1")
    if len(confidence) == 0:
        raise DataError("confidence holds no predictions: give at least one")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DataError(f"confidence holds {_worst(confidence)}: probabilities are between 0 and 1")
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence.astype(float), side="left")
    count = np.bincount(place, minlength=bins)
    believed = np.bincount(place, weights=confidence, minlength=bins)
    occurred = np.bincount(place, weights=happened, minlength=bins)
    return {
        "edges": edges.tolist(),
        "confidence": _ratios(believed, count),
        "frequency": _ratios(occurred, count),
        "count": count.tolist(),
        "error": float(np.abs(occurred - believed).sum() / len(confidence)),
    }


def _ratios(above: Float[np.ndarray, "k"], below: np.ndarray) -> list[float | None]:
    return [float(a / b) if b else None for a, b in zip(above, below, strict=True)]


def _one_hot(classes: Int[np.ndarray, "n"], k: int) -> Float[np.ndarray, "n k"]:
    return np.eye(k)[classes]


def _require_probabilities(probability: Float[np.ndarray, "n k"], truth: Int[np.ndarray, "n"]) -> None:
    k = probability.shape[1]
    if len(probability) == 0:
        raise DataError("probability holds no predictions: give at least one")
    sums = probability.sum(axis=1)
    if not ((probability >= 0).all() and (np.abs(sums - 1) <= _SLACK).all()):
        raise DataError(
            f"probability holds rows that are no probabilities, with sums from {sums.min():g} to {sums.max():g} and a "
            f"least value of {probability.min():g}: give softmax outputs"
        )
    if not ((truth >= 0) & (truth < k)).all():
        raise DataError(f"truth holds classes {truth.min()} to {truth.max()}, but there are {k}: count them from 0")


def _worst(values: Float[np.ndarray, "n"]) -> float:
    return float(values[np.argmax(np.abs(values - 0.5))])
