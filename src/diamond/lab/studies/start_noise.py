"""Where sampling should begin: with unit noise, as the published code, or with as much as the network is told.

The published sampler starts from N(0, 1) and tells the network that the noise is sigma_max = 5; EDM's algorithm starts
from N(0, sigma_max^2). Both are tried with one to three steps and several schedules of noise levels, on the same
networks, judged on held-out games under the same actions.

Axes   s games | k starts in each | t steps ahead | h w c image
Units  errors are mean absolute differences in grey levels, 0 to 255
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from diamond.config import SamplerConfig
from diamond.evaluation.image_metrics import differs, mean_error, moved_error
from diamond.experience.segments import HeldOut
from diamond.imagination.open_loop import Predict, open_loop
from diamond.lab.studies.estimates import curve, estimate, estimate_text
from diamond.lab.studies.figures import Curve, Panel, panels_png
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.static_data import record
from diamond.lab.studies.world_models import EDM, trained
from diamond.runs.streams import derive_seed

NUM_STEPS = (1, 2, 3)
SIGMA_MAX = (1.0, 5.0, 20.0)
"""First noise levels that are tried; 5 is the published one."""
POINTS = (1, 2, 5, 10, 15, 30, 50)
"""Steps ahead at which errors are measured."""
STEPS_BETWEEN_STARTS = 250
MEASURES = ("moved", "all")
"""Errors on the pixels that moved since the start, and on all."""


@dataclass(frozen=True)
class Choice:
    """One way to draw a frame."""

    num_steps: int
    sigma_max: float
    matched: bool
    """Whether the starting image has the standard deviation that the network is told, or 1."""

    @property
    def sampler(self) -> SamplerConfig:
        """The sampler's configuration."""
        start = self.sigma_max if self.matched else 1.0
        return SamplerConfig(self.num_steps, sigma_max=self.sigma_max, initial_noise_std=start)

    @property
    def name(self) -> str:
        """How it is called in results."""
        return f"n={self.num_steps} sigma_max={self.sigma_max:g} start={self.sampler.initial_noise_std:g}"


PUBLISHED = Choice(3, 5.0, matched=False)
CHOICES = tuple(
    Choice(num_steps, sigma_max, matched)
    for num_steps in NUM_STEPS
    for sigma_max in SIGMA_MAX
    for matched in (False, True)
    if sigma_max != 1.0 or not matched  # a unit start is matched there
)


def run(folder: StudyFolder) -> dict[str, Any]:
    """Train, dream in each way, compare; the results are also in the folder, with the figures."""
    scale, device = folder.scale, folder.device
    kind = EDM(scale.denoiser())
    n = kind.denoiser.context_length
    training, games = record(folder, n)

    def part(seed: int, choice: Choice) -> Any:
        def compute() -> Any:
            network = trained(kind, "EDM", training, folder, seed)
            folder.say(f"seed {seed}: dreaming with {choice.name}")
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "dreams"))
            chosen = dataclasses.replace(kind, sampler=choice.sampler)
            predict = chosen.predictor(network, choice.num_steps, generator)
            errors = measure(predict, games, n, min(POINTS[-1], scale.horizon), device)
            return {name: np.round(values, 3).tolist() for name, values in errors.items()}

        return folder.part(f"seed{seed}-{choice.name.replace(' ', '-').replace('=', '')}", compute)

    parts = {choice: [part(seed, choice) for seed in scale.seeds] for choice in CHOICES}
    results = compare(parts, [point for point in POINTS if point <= scale.horizon])
    folder.finish(results, {f"{name}.png": figure(results, name) for name in MEASURES})
    return results


def measure(
    predict: Predict, games: HeldOut, context_length: int, horizon: int, device: torch.device
) -> dict[str, Float[np.ndarray, "s p"]]:
    """Mean errors of each game at `POINTS` up to the horizon, over starts spread evenly over it."""
    n, (count, length) = context_length, games.frames.shape[:2]
    starts = range(0, length - n - horizon + 1, STEPS_BETWEEN_STARTS)
    frames = np.stack([games.frames[:, start : start + n + horizon] for start in starts], axis=1)
    actions = np.stack([games.actions[:, start : start + n - 1 + horizon] for start in starts], axis=1)
    frames, actions = frames.reshape(-1, *frames.shape[2:]), actions.reshape(-1, *actions.shape[2:])
    dreamed = open_loop(predict, frames[:, :n], actions, device)
    found: dict[str, list[np.ndarray]] = {name: [] for name in MEASURES}
    for point in (point for point in POINTS if point <= horizon):
        truth, dream = frames[:, n + point - 1], dreamed[:, point - 1]
        moved = differs(truth, frames[:, n - 1])
        moved |= ~moved.any(axis=(1, 2), keepdims=True)  # where nothing moved, all pixels count
        found["moved"].append(moved_error(dream, truth, moved).reshape(count, -1).mean(axis=1))
        found["all"].append(mean_error(dream, truth).reshape(count, -1).mean(axis=1))
    return {name: np.stack(columns, axis=1) for name, columns in found.items()}


def compare(parts: dict[Choice, list[dict[str, Any]]], points: list[int]) -> dict[str, Any]:
    """Curves with intervals over seeds and games, and what each choice saves against the published one.

    `saved[choice]` is the published choice's error minus this one's, averaged over all points, on the same games:
    positive where the choice is better.
    """
    results: dict[str, Any] = {"points": points, "published": PUBLISHED.name, "num_seeds": len(parts[PUBLISHED])}
    for name in MEASURES:
        values = {choice: np.array([row[name] for row in rows]) for choice, rows in parts.items()}
        saved = {choice: (values[PUBLISHED] - found).mean(axis=-1) for choice, found in values.items()}
        results[name] = {
            "curves": {choice.name: curve(found) for choice, found in values.items()},
            "saved": {choice.name: estimate(gain) for choice, gain in saved.items()},
        }
    return results


def figure(results: dict[str, Any], measure: str) -> bytes:
    """One panel a number of denoising steps."""
    panels = []
    for num_steps in NUM_STEPS:
        rows = [choice for choice in CHOICES if choice.num_steps == num_steps]
        curves = [
            Curve(
                choice.name.partition(" ")[2].replace("_", " "),
                results["points"],
                **results[measure]["curves"][choice.name],
            )
            for choice in rows
        ]
        panels.append(Panel(f"n = {num_steps}", curves))
    where = {"moved": "the pixels that moved", "all": "all pixels"}[measure]
    return panels_png(panels, "steps ahead", f"error on {where}\n(grey levels)")


def summary(results: dict[str, Any]) -> list[str]:
    """What came out, in a few lines."""
    ahead = results["points"][-1]
    lines = [f"error on moved pixels over {ahead} steps, saved against {results['published']}; positive is better"]
    for name, saved in results["moved"]["saved"].items():
        lines.append(f"{name:32} {estimate_text(saved)}")
    return lines
