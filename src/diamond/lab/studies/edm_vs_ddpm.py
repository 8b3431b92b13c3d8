"""Which diffusion keeps a dream from drifting away: EDM or DDPM (paper section 5.1, appendix K).

Both kinds train the same network on the same batches of static real games, without offset noise, and dream on from the
same held-out frames under the same actions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from diamond.experience.segments import HeldOut
from diamond.imagination.open_loop import open_loop
from diamond.lab.studies import drift
from diamond.lab.studies.estimates import curve, estimate, estimate_text
from diamond.lab.studies.figures import Curve, Panel, panels_png
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.static_data import TrainingGames, record
from diamond.lab.studies.world_models import DDPM, EDM, Diffusion, trained
from diamond.reports.video import filmstrip_png
from diamond.runs.streams import derive_seed

NUM_STEPS = (1, 2, 3, 5, 10)
"""Denoising steps a frame."""
KINDS = ("EDM", "DDPM")


def run(folder: StudyFolder) -> dict[str, Any]:
    """Train, dream, compare; the results are also in the folder, with the figures."""
    scale = folder.scale
    denoiser = scale.denoiser(sigma_offset=0.0)
    kinds: dict[str, Diffusion] = {"EDM": EDM(denoiser), "DDPM": DDPM(denoiser)}
    n = denoiser.context_length
    training, games = record(folder, n)
    measurement = _Measurement(folder, training, games)
    truth = games.frames[:, n:]
    real = folder.part("real", lambda: drift.to_json(drift.real_drift(truth, training.some_frames, scale.horizon)))
    parts = {
        (name, seed, num_steps): measurement.part(name, kinds[name], seed, num_steps)
        for seed in scale.seeds
        for name in KINDS
        for num_steps in NUM_STEPS
    }
    results = compare(parts, real, scale.seeds, scale.horizon)
    figures = {f"{measure}.png": figure(results, measure) for measure in ("error", "distance")}
    folder.finish(results, figures | {f"filmstrip-{name.lower()}.png": measurement.strip(name) for name in KINDS})
    return results


@dataclass(frozen=True)
class _Measurement:
    folder: StudyFolder
    training: TrainingGames
    games: HeldOut

    def part(self, name: str, kind: Diffusion, seed: int, num_steps: int) -> Any:
        """The drift of one trained network at one number of denoising steps."""

        def compute() -> Any:
            scale, say = self.folder.scale, self.folder.say
            network = trained(kind, name, self.training, self.folder, seed)
            say(f"{name}, seed {seed}: dreaming {scale.horizon} frames, {num_steps} denoising steps each")
            n = kind.denoiser.context_length
            generator = torch.Generator(self.folder.device).manual_seed(derive_seed(seed, "dreams", num_steps))
            predict = kind.predictor(network, num_steps, generator)
            frames = open_loop(predict, self.games.frames[:, :n], self.games.actions, self.folder.device)
            shown = frames[0, [step - 1 for step in drift.shown(scale.horizon)]]
            self.folder.keep_frames(_part_name(name, seed, num_steps), shown)
            truth = self.games.frames[:, n:]
            return drift.to_json(drift.measure(frames, truth, self.training.some_frames, scale.horizon))

        return self.folder.part(_part_name(name, seed, num_steps), compute)

    def strip(self, name: str) -> bytes:
        """The first held-out game, and how the first seed's network dreams it on."""
        steps, seed = drift.shown(self.folder.scale.horizon), self.folder.scale.seeds[0]
        first = self.games.frames.shape[1] - self.folder.scale.horizon - 1
        rows = {"real game": self.games.frames[0, [first + step for step in steps]]}
        for num_steps in NUM_STEPS:
            rows[f"{name}, n = {num_steps}"] = self.folder.kept_frames(_part_name(name, seed, num_steps))
        scale = max(2, 96 // self.folder.scale.size)
        return filmstrip_png(rows, [f"+{step}" for step in steps], scale)


def _part_name(kind: str, seed: int, num_steps: int) -> str:
    return f"{kind}-seed{seed}-steps{num_steps}"


def compare(
    parts: dict[tuple[str, int, int], dict[str, Any]], real: dict[str, Any], seeds: tuple[int, ...], horizon: int
) -> dict[str, Any]:
    """Curves with intervals over seeds and games, and what DDPM drifts more than EDM on the same games.

    Returns `points` (steps ahead), `real` (mean curves of real games), and for `error` and `distance` a table
    `curves[kind][num_steps]` of `mean`, `low`, `high` lists, and `excess[num_steps]`: DDPM minus EDM at the horizon.
    """
    results: dict[str, Any] = {
        "points": drift.points(horizon),
        "real": {measure: np.mean(rows, axis=0).tolist() for measure, rows in real.items()},
        "num_seeds": len(seeds),
    }
    for measure in ("error", "distance"):
        values = {
            (name, n): np.array([parts[name, seed, n][measure] for seed in seeds]) for name in KINDS for n in NUM_STEPS
        }
        curves = {name: {str(n): curve(values[name, n]) for n in NUM_STEPS} for name in KINDS}
        excess = {str(n): estimate((values["DDPM", n] - values["EDM", n])[..., -1]) for n in NUM_STEPS}
        results[measure] = {"curves": curves, "excess": excess}
    return results


def figure(results: dict[str, Any], measure: str) -> bytes:
    """One panel a number of denoising steps."""
    panels = []
    for n in NUM_STEPS:
        curves = [Curve(name, results["points"], **results[measure]["curves"][name][str(n)]) for name in KINDS]
        real = Curve("another real game", results["points"], results["real"][measure])
        panels.append(Panel(f"n = {n}", [*curves, real]))
    label = {"error": "error to the real frame", "distance": "distance to the nearest known frame"}[measure]
    return panels_png(panels, "steps ahead", f"{label}\n(grey levels)")


def summary(results: dict[str, Any]) -> list[str]:
    """What came out, in a few lines."""
    ahead = results["points"][-1]
    real = results["real"]["error"][-1]
    lines = [f"error to the real frame {ahead} steps ahead, in grey levels; another real game: {real:.1f}"]
    for n in NUM_STEPS:
        means = {name: results["error"]["curves"][name][str(n)]["mean"][-1] for name in KINDS}
        excess = estimate_text(results["error"]["excess"][str(n)])
        lines.append(f"n = {n:2}  EDM {means['EDM']:5.1f}  DDPM {means['DDPM']:5.1f}  DDPM drifts more by {excess}")
    return lines
