"""Scores and costs as the lines that a terminal shows."""

from typing import Any


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
    from diamond.runs.progress import duration

    spent = {name.replace("_", " "): seconds for name, seconds in cost["phase_seconds"].items()}
    spent["scoring and report"] = cost["finishing_seconds"]
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in spent.items())
    print(f"{'time':22} {duration(cost['training_seconds'] + cost['finishing_seconds'])} in all: {parts}")
    print(f"{'peak memory':22} {cost['peak_memory_bytes'] / 1e9:.1f} GB")
