"""Runs a study by its name."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from diamond.studies import denoising_steps, edm_vs_ddpm, start_noise
from diamond.studies.folder import StudyFolder
from diamond.studies.scale import STUDIES, Scale

MODULES: dict[str, ModuleType] = {
    "edm-vs-ddpm": edm_vs_ddpm,
    "denoising-steps": denoising_steps,
    "start-noise": start_noise,
}
"""Each has `run(folder) -> results` and `summary(results) -> lines`."""


def run_study(name: str, game: str | None, scale: Scale, out: Path | None, say: Callable[[str], None]) -> list[str]:
    """Begin a study, or go on with it; returns what came out in a few lines.

    Args:
        name: one of `STUDIES`.
        game: Atari game; by default the paper's for this study.
        scale: how large it is.
        out: its folder; by default one named after study and game under `runs/`.
        say: tells the user what is being done.

    Raises:
        ConfigError: the folder holds something else, or this study at another scale.
        DataError: games are too short, or a file is damaged.
        EnvError: there is no such game.
    """
    game = STUDIES[name][0] if game is None else game
    path = Path("runs") / f"{name}-{game}" if out is None else out
    folder = StudyFolder.open(path, name, game, scale, say)
    torch.set_num_threads(scale.threads)
    results = MODULES[name].run(folder)
    return [*MODULES[name].summary(results), f"results and figures: {path}"]
