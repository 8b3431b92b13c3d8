"""The study of visual consistency: how often a dream's objects do what no game would do, beside real games.

Axes   s games | t frames | h w c image
Units  frames are uint8 in 0..255; rates are unexplained events per 1,000 frames
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from diamond.errors import ConfigError
from diamond.evaluation.image_metrics import nearest_distance
from diamond.imagination.open_loop import open_loop
from diamond.lab.studies import drift
from diamond.lab.studies.consistency.detectors import SIZE
from diamond.lab.studies.consistency.events import GAMES, measure, merge
from diamond.lab.studies.consistency.planted import SHORTEST, sensitivity
from diamond.lab.studies.consistency.proof import prove
from diamond.lab.studies.estimates import estimate, estimate_text
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.scale import Scale
from diamond.lab.studies.static_data import record
from diamond.lab.studies.world_models import EDM, trained
from diamond.reports.video import filmstrip_png
from diamond.runs.streams import derive_seed

NUM_STEPS = 3
"""Denoising steps a frame."""
PROOF_SEEDS, PROOF_STEPS = range(1_000, 1_020), 1_500
"""Real games on which the detectors are compared with the console's memory; nothing was tried out on them."""
PLANTED = 200
"""Faults of each kind that are planted into real games."""


def require(game: str, scale: Scale) -> None:
    """Refuse what cannot be studied.

    Raises:
        ConfigError: there are no detectors for this game or this size of frames, or clips are too short for faults.
    """
    if game not in GAMES:
        raise ConfigError(f"--game is {game!r}: objects can be detected only in {', '.join(GAMES)}")
    if scale.size != SIZE:
        raise ConfigError(f"--size is {scale.size}: objects can be detected only in frames of {SIZE}x{SIZE} pixels")
    if scale.horizon < SHORTEST:
        raise ConfigError(
            f"--horizon is {scale.horizon}: use at least {SHORTEST}, faults are planted into so many frames"
        )


def run(folder: StudyFolder) -> dict[str, Any]:
    """Prove the detectors, train, dream, count; the results are also in the folder, with a picture."""
    scale, device = folder.scale, folder.device
    kind = EDM(scale.denoiser())
    n = kind.denoiser.context_length
    training, games = record(folder, n)
    truth = games.frames[:, n:]

    def dreamed(seed: int) -> UInt8[np.ndarray, "s t h w 3"]:
        network = trained(kind, "EDM", training, folder, seed)
        folder.say(f"seed {seed}: dreaming {scale.horizon} frames")
        generator = torch.Generator(device).manual_seed(derive_seed(seed, "dreams"))
        return open_loop(kind.predictor(network, NUM_STEPS, generator), games.frames[:, :n], games.actions, device)

    def counted(seed: int) -> dict[str, Any]:
        frames = dreamed(seed)
        folder.keep_frames(f"seed{seed}", frames[0, [step - 1 for step in drift.shown(scale.horizon)]])
        return {"games": [measure(folder.game, clip) for clip in frames], "distance": strayed(frames)}

    def strayed(frames: UInt8[np.ndarray, "s t h w 3"]) -> list[float]:
        steps = [step - 1 for step in drift.points(scale.horizon)]
        return [float(nearest_distance(clip[steps], training.some_frames).mean()) for clip in frames]

    folder.say("comparing the detectors with the console's memory")
    proof = folder.part("proof", lambda: prove(folder.game, PROOF_SEEDS, PROOF_STEPS))
    planted = folder.part("planted", lambda: sensitivity(folder.game, list(truth), PLANTED, np.random.default_rng(0)))
    real = [measure(folder.game, clip) for clip in truth]
    parts = {seed: folder.part(f"seed{seed}", lambda: counted(seed)) for seed in scale.seeds}  # noqa: B023
    results = {"proof": proof, "planted": planted} | compare(real, [parts[seed]["games"] for seed in scale.seeds])
    distance = {"real": [strayed(truth)], "dream": [parts[seed]["distance"] for seed in scale.seeds]}
    results["distance"] = {where: estimate(np.array(values)) for where, values in distance.items()}
    steps = drift.shown(scale.horizon)
    rows = {"real game": truth[0, [step - 1 for step in steps]], "dream": folder.kept_frames(f"seed{scale.seeds[0]}")}
    folder.finish(results, {"filmstrip.png": filmstrip_png(rows, [f"+{step}" for step in steps], scale=3)})
    return results


def compare(real: list[dict[str, Any]], dreams: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Counts of real games and of dreams, and the rate of each unexplained event with its interval.

    Args:
        real: what `measure` found in each real game.
        dreams: the same for its dreams, by seed of training.
    """
    results: dict[str, Any] = {
        "real": merge(real),
        "dream": merge([clip for clips in dreams for clip in clips]),
        "rates": {},
    }
    for name in results["real"]["unexplained"]:
        rates = {
            "real": np.array([[_rate(clip, name) for clip in real]]),
            "dream": np.array([[_rate(clip, name) for clip in clips] for clips in dreams]),
        }
        rates["excess"] = rates["dream"] - rates["real"]  # on the same games
        results["rates"][name] = {where: estimate(values) for where, values in rates.items()}
    return results


def _rate(clip: dict[str, Any], name: str) -> float:
    return 1_000 * clip["unexplained"][name] / clip["frames"]


def summary(results: dict[str, Any]) -> list[str]:
    """What came out, in a few lines."""
    lines = ["detectors against the console's memory: precision, recall"]
    for name, found in results["proof"]["classes"].items():
        shares = " ".join(f"{found[part]['pooled']:.4f}" if part in found else "-" for part in ("precision", "recall"))
        lines.append(f"  {name:10} {shares}")
    lines.append("faults planted into real games, and found")
    lines += [f"  {name:14} {found['found']} of {found['planted']}" for name, found in results["planted"].items()]
    lines.append("events that the rules do not explain, per 1,000 frames")
    for name, rates in results["rates"].items():
        lines.append(f"  {name:14} real {estimate_text(rates['real'])}  dream {estimate_text(rates['dream'])}")
    objects = {where: results[where]["object_frames"] / results[where]["frames"] for where in ("real", "dream")}
    distance = results["distance"]
    lines.append("distance to the nearest known frame in grey levels (far from all, colours mean nothing)")
    lines.append(f"  {'':14} real {estimate_text(distance['real'])}  dream {estimate_text(distance['dream'])}")
    lines.append(f"objects in a frame: real {objects['real']:.1f}, dream {objects['dream']:.1f}")
    return lines
