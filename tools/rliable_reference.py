"""Writes tests/fixtures/rliable.json: what the library rliable makes of the scores that this package ships.

rliable 1.2 works with neither pandas 3 nor arch 8, which this repository's environment has, so it needs one of its own:

    python3 -m venv rliable-env && rliable-env/bin/pip install rliable "arch<8" "pandas<3"
    rliable-env/bin/python tools/rliable_reference.py

Scores are read from the package's files, not through its code, so that nothing but rliable is at work here.
"""

import json
import runpy
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rliable import library, metrics

ROOT = Path(__file__).parent.parent
METHODS = ("DIAMOND", "IRIS", "HarmonyDream (rerun)")
TAUS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
RESAMPLES = 20_000


def normalised_scores() -> dict[str, np.ndarray]:
    """Human-normalised scores, runs x games, by method."""
    reference = runpy.run_path(str(ROOT / "src/diamond/evaluation/human_scores.py"))["REFERENCE_SCORES"]
    text = (ROOT / "src/diamond/lab/atari100k/published_scores.json").read_text(encoding="utf-8")
    runs = {method["name"]: method["runs"] for method in json.loads(text)["methods"] if method["name"] in METHODS}
    return {
        name: np.stack(
            [(np.array(runs[name][game]) - low) / (high - low) for game, (low, high) in reference.items()], axis=1
        )
        for name in METHODS
    }


def aggregates(scores: np.ndarray) -> np.ndarray:
    """The four figures of a table."""
    return np.array(
        [
            metrics.aggregate_mean(scores),
            metrics.aggregate_median(scores),
            metrics.aggregate_iqm(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def main() -> None:
    """Compute and write everything."""
    scores = normalised_scores()
    random = np.random.RandomState(0)
    points, intervals = library.get_interval_estimates(scores, aggregates, reps=RESAMPLES, random_state=random)
    profiles, bands = library.create_performance_profile(scores, np.array(TAUS), reps=2_000)
    pairs = {name: (scores["DIAMOND"], scores[name]) for name in METHODS}
    improvements, improvement_intervals = library.get_interval_estimates(
        pairs, metrics.probability_of_improvement, reps=2_000, random_state=random
    )
    result = {
        "made by": "tools/rliable_reference.py",
        "versions": {name: version(name) for name in ("rliable", "arch", "pandas", "scipy", "numpy")},
        "figures": ["mean", "median", "iqm", "optimality_gap"],
        "taus": TAUS,
        "methods": {
            name: {
                "aggregates": points[name].tolist(),
                "intervals": intervals[name].tolist(),
                "profile": profiles[name].tolist(),
                "band": bands[name].tolist(),
                "probability that DIAMOND improves": float(improvements[name]),
                "its interval": improvement_intervals[name].ravel().tolist(),
            }
            for name in METHODS
        },
    }
    text = json.dumps(result, indent=1) + "\n"
    (ROOT / "tests/fixtures/rliable.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
