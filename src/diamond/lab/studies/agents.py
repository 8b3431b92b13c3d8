"""What the number of denoising steps is worth to an agent (paper appendix L): laptop runs with one and with three.

These are ordinary runs of the preset `laptop`, on MinAtar's Breakout, that differ in `sampler.num_steps` alone.
"""

import dataclasses
from typing import Any

import numpy as np

from diamond.config.presets import laptop
from diamond.evaluation.statistics import bootstrap_seeds
from diamond.lab.studies.estimates import estimate_text
from diamond.lab.studies.folder import StudyFolder
from diamond.runs.folder import RunFolder, read_json
from diamond.runs.progress import Progress
from diamond.training.finish import finish
from diamond.training.loop import train


def agent_scores(folder: StudyFolder, steps: tuple[int, ...]) -> dict[str, Any]:
    """Returns of the final games for each number of denoising steps, with intervals over seeds and games.

    Runs are kept under `agents/`; an unfinished one is gone on with.
    """
    scores = {}
    for num_steps in steps:
        returns = np.array([_returns(folder, seed, num_steps) for seed in folder.scale.seeds])
        estimate = bootstrap_seeds(returns, np.random.default_rng(0), same_games=False)
        scores[str(num_steps)] = estimate._asdict() | {"seeds": returns.mean(axis=1).tolist()}
    return scores


def _returns(folder: StudyFolder, seed: int, num_steps: int) -> list[float]:
    path, base = folder.path / "agents" / f"seed{seed}-steps{num_steps}", laptop()
    config = dataclasses.replace(
        base,
        seed=seed,
        sampler=dataclasses.replace(base.sampler, num_steps=num_steps),
        compute=dataclasses.replace(base.compute, device=folder.scale.device, threads=folder.scale.threads),
    )
    if not (path / "evaluation.json").is_file():
        resume = (path / "run.json").is_file()
        finish(train(config, path, resume, Progress()), folder.say)
    RunFolder.open(path).require_same(config)
    returns: list[float] = read_json(path / "evaluation.json")["trained"]["returns"]
    return returns


def summary(scores: dict[str, Any]) -> list[str]:
    """What came out, in a few lines."""
    lines = ["mean return of agents of the preset laptop, MinAtar's Breakout"]
    for num_steps, score in scores.items():
        seeds = ", ".join(f"{mean:.2f}" for mean in score["seeds"])
        lines.append(f"n = {num_steps}: {estimate_text(score)} (seeds {seeds})")
    return lines
