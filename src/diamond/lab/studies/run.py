"""Runs a study by its name."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from diamond.envs.atari import make_atari_games
from diamond.errors import ConfigError
from diamond.lab.studies import denoising_steps, edm_vs_ddpm, start_noise
from diamond.lab.studies.consistency import study as consistency
from diamond.lab.studies.consistency.clips import read_frames
from diamond.lab.studies.consistency.events import measure
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.scale import STUDIES, Scale
from diamond.runs.files import json_text

MODULES: dict[str, ModuleType] = {
    "edm-vs-ddpm": edm_vs_ddpm,
    "denoising-steps": denoising_steps,
    "start-noise": start_noise,
    "consistency": consistency,
}
"""Each has `run(folder) -> results` and `summary(results) -> lines`."""
REQUIREMENTS: dict[str, Callable[[str, Scale], None]] = {
    "denoising-steps": denoising_steps.require,
    "consistency": consistency.require,
}
"""What some of them refuse of a game or a scale."""


def run_study(name: str, game: str | None, scale: Scale, out: Path | None, say: Callable[[str], None]) -> list[str]:
    """Begin a study, or go on with it; returns what came out in a few lines.

    Args:
        name: one of `STUDIES`.
        game: Atari game; by default the paper's for this study.
        scale: how large it is.
        out: its folder; by default one named after study and game under `runs/`.
        say: tells the user what is being done.

    Raises:
        ConfigError: the folder holds something else, or this study at another scale; the study cannot be done with this
            game or scale.
        DeviceError: there is no such device.
        DataError: games are too short, or a file is damaged.
        EnvError: there is no such game.
    """
    game = STUDIES[name][0] if game is None else game
    if scale.agents and name != "denoising-steps":
        raise ConfigError(f"--agents is given to {name}: only denoising-steps trains agents")
    make_atari_games(scale.env(game), 1)  # what cannot be studied is told before there is a folder
    if name in REQUIREMENTS:
        REQUIREMENTS[name](game, scale)
    path = Path("runs") / f"{name}-{game}" if out is None else out
    folder = StudyFolder.open(path, name, game, scale, say)
    results = MODULES[name].run(folder)
    return [*MODULES[name].summary(results), f"results and figures: {path}"]


def count_events(name: str, game: str | None, frames: Path) -> str:
    """What happens to the objects in anyone's frames, as JSON.

    Raises:
        ConfigError: the study is not the one that counts.
        DataError: the frames cannot be read, or are of another size; there are no detectors for the game.
    """
    if name != "consistency":
        raise ConfigError(f"--frames is given to {name}: only consistency looks at frames")
    return json_text(measure(STUDIES[name][0] if game is None else game, read_frames(frames)))
