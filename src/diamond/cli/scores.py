"""Scores and costs as the lines that a terminal shows."""

from typing import Any

from diamond.runs.wording import duration_text, size_text


def score_text(summary: dict[str, Any]) -> str:
    """A mean return with its interval."""
    mean, low, high = (_figure(summary[name]) for name in ("mean", "low", "high"))
    text = f"mean return {mean} [{low}, {high}] (95 % interval, {summary['n']} games)"
    if summary["human_normalised"] is not None:
        text += f", human-normalised {summary['human_normalised']:.3f}"
    return text


def _figure(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def print_scores(evaluation: dict[str, Any]) -> None:
    """What a finished run scored, beside what else was measured and published."""
    labels = {
        "trained": "trained in the dream",
        "random": "random policy",
        "best_constant": "best constant action",
        "untrained": "untrained network",
    }
    for name, label in labels.items():
        if name in evaluation:
            print(f"{label:22} {score_text(evaluation[name])}")
    reference = evaluation.get("reference")
    if reference is not None:
        print(f"{'published references':22} random {reference['random']}, human {reference['human']}")


def print_cost(cost: dict[str, Any]) -> None:
    """What a finished run took."""
    spent = {name.replace("_", " "): seconds for name, seconds in cost["phase_seconds"].items()}
    spent["scoring and report"] = cost["finishing_seconds"]
    parts = ", ".join(f"{name} {duration_text(seconds)}" for name, seconds in spent.items())
    print(f"{'time':22} {duration_text(cost['training_seconds'] + cost['finishing_seconds'])} in all: {parts}")
    print(f"{'peak memory':22} {size_text(cost['peak_memory_bytes'])}")
