"""What one denoising step blurs: the unpredictable, and only that (paper section 5.2).

In Boxing the next place of the player follows from his action; that of his black opponent does not. One step gives the
expected frame, in which several places of the opponent lie on each other; three steps draw one of them. Measured is how
sharp the dream is around each boxer, compared with the real frame, one step ahead of real frames, and how many pixels
of their colour are left some steps later.

Axes   s moments | h w image, 3 colours last
Units  frames are uint8 in 0..255
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from diamond.errors import ConfigError, DataError
from diamond.evaluation.image_metrics import luma
from diamond.experience.segments import HeldOut
from diamond.imagination.open_loop import open_loop
from diamond.lab.studies import agents
from diamond.lab.studies.estimates import estimate, estimate_text
from diamond.lab.studies.figures import Curve, Panel, panels_png
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.scale import STUDIES, Scale
from diamond.lab.studies.static_data import record
from diamond.lab.studies.world_models import EDM, trained
from diamond.reports.video import filmstrip_png
from diamond.runs.streams import derive_seed

GAME = STUDIES["denoising-steps"][0]
NUM_STEPS = (1, 3)
POINTS = (1, 2, 5, 10)
"""Steps ahead."""
STEPS_BETWEEN_STARTS = 20
RING = ((0.19, 0.84), (0.2, 0.78))
"""Inside of the ropes: rows and columns as shares of the frame."""
DARK, BRIGHT = 60.0, 175.0
"""Luma in grey levels below which a pixel of the ring is the opponent's, above which the player's."""
MARGIN = 2
"""Pixels around a boxer that count as his surroundings."""
BOXERS = ("opponent", "player")


def require(game: str, scale: Scale) -> None:
    """Refuse what cannot be studied.

    Raises:
        ConfigError: the game has no boxers, or the horizon is shorter than the frames ahead that are looked at.
    """
    if game != GAME:
        raise ConfigError(
            f"--game is {game!r}: this study tells the boxers of {GAME} by their colours, leave out --game"
        )
    if scale.horizon < POINTS[-1]:
        raise ConfigError(f"--horizon is {scale.horizon}: use at least {POINTS[-1]} for this study")


def run(folder: StudyFolder) -> dict[str, Any]:
    """Train, dream in one and in three steps, compare; the results are also in the folder, with the figures."""
    scale, device = folder.scale, folder.device
    kind = EDM(scale.denoiser())
    n = kind.denoiser.context_length
    training, games = record(folder, n)
    context, truth, actions = moments(games, n)
    measure(truth, truth, len(games.frames))  # frames that show no boxer are refused before anything takes long

    def name(seed: int, num_steps: int) -> str:
        return f"seed{seed}-steps{num_steps}"

    def part(seed: int, num_steps: int) -> Any:
        def compute() -> Any:
            network = trained(kind, "EDM", training, folder, seed)
            folder.say(f"seed {seed}: dreaming in steps of {num_steps}")
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "dreams", num_steps))
            dreamed = open_loop(kind.predictor(network, num_steps, generator), context, actions, device)
            folder.keep_frames(name(seed, num_steps), dreamed[_shown(truth), 0])
            measured = measure(dreamed, truth, len(games.frames))
            return {what: np.round(values, 4).tolist() for what, values in measured.items()}

        return folder.part(name(seed, num_steps), compute)

    parts = {num_steps: [part(seed, num_steps) for seed in scale.seeds] for num_steps in NUM_STEPS}
    results = compare(parts)
    if scale.agents:
        results["agents"] = agents.agent_scores(folder, NUM_STEPS)
    shown, first = _shown(truth), scale.seeds[0]
    rows = {"real game": truth[shown, 0]}
    rows |= {f"n = {num_steps}": folder.kept_frames(name(first, num_steps)) for num_steps in NUM_STEPS}
    strip = filmstrip_png(rows, [str(place + 1) for place in range(len(shown))], scale=3)
    folder.finish(results, {"sharpness.png": figure(results), "filmstrip.png": strip})
    return results


def moments(
    games: HeldOut, context_length: int
) -> tuple[UInt8[np.ndarray, "s n h w 3"], UInt8[np.ndarray, "s t h w 3"], np.ndarray]:
    """Contexts, the frames that followed, and actions (s, n - 1 + t), from places spread over all games.

    Moments of a game stand together, equally many of each game.
    """
    n, ahead = context_length, POINTS[-1]
    starts = range(0, games.frames.shape[1] - n - ahead + 1, STEPS_BETWEEN_STARTS)
    frames = np.concatenate([[frames[start : start + n + ahead] for start in starts] for frames in games.frames])
    actions = np.concatenate([[moves[start : start + n - 1 + ahead] for start in starts] for moves in games.actions])
    return frames[:, :n], frames[:, n:], actions


def boxers(frames: UInt8[np.ndarray, "s h w 3"]) -> dict[str, Bool[np.ndarray, "s h w"]]:
    """Where each boxer is: the ring's dark and its bright pixels."""
    height, width = frames.shape[1:3]
    (top, bottom), (left, right) = RING
    inside = np.zeros((height, width), bool)
    inside[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    light = luma(frames)
    return {"opponent": inside & (light < DARK), "player": inside & (light > BRIGHT)}


def surroundings(frames: UInt8[np.ndarray, "s h w 3"]) -> dict[str, Bool[np.ndarray, "s h w"]]:
    """The pixels of each boxer and up to `MARGIN` around him, without those that are near the other one too."""
    near = {name: _grow(mask) for name, mask in boxers(frames).items()}
    both = near["opponent"] & near["player"]
    return {name: mask & ~both for name, mask in near.items()}


def _grow(mask: Bool[np.ndarray, "s h w"]) -> Bool[np.ndarray, "s h w"]:
    padded = np.pad(mask, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * MARGIN + 1, 2 * MARGIN + 1), axis=(1, 2))
    return np.asarray(windows.any(axis=(-2, -1)))


def edges(frames: UInt8[np.ndarray, "s h w 3"]) -> Float[np.ndarray, "s h w"]:
    """Length of the luma's gradient, by central differences, in grey levels a pixel."""
    down, right = np.gradient(luma(frames), axis=(1, 2))
    return np.hypot(down, right)


def measure(
    dreamed: UInt8[np.ndarray, "s t h w 3"], truth: UInt8[np.ndarray, "s t h w 3"], num_games: int
) -> dict[str, Float[np.ndarray, "games *points"]]:
    """For each game and boxer, as shares of the real game's: `sharpness opponent` (games), the summed edges around him
    one step ahead, and `pixels opponent` (games, points), pixels of his colour; likewise for the player.

    Raises:
        DataError: the frames are too small to show the boxers.
    """
    found: dict[str, np.ndarray] = {}
    real_edges, dream_edges = edges(truth[:, 0]), edges(dreamed[:, 0])

    def share(dream: np.ndarray, real: np.ndarray) -> np.ndarray:
        dream, real = (values.reshape(num_games, -1).sum(axis=1) for values in (dream, real))
        if not real.all():
            raise DataError("a boxer is not to be seen in a whole real game: use a larger --size or --horizon")
        return dream / real

    for name, mask in surroundings(truth[:, 0]).items():
        found[f"sharpness {name}"] = share(dream_edges * mask, real_edges * mask)
    for name in BOXERS:
        columns = [share(boxers(dreamed[:, p - 1])[name], boxers(truth[:, p - 1])[name]) for p in POINTS]
        found[f"pixels {name}"] = np.stack(columns, axis=1)
    return found


def compare(parts: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Means with intervals over seeds and games.

    `sharpness[boxer]` and `pixels[boxer]` hold an estimate for each number of steps (and each of `points`), and
    `three_minus_one`; `only_the_unpredictable` is the opponent's `three_minus_one` of sharpness minus the player's.
    """

    values = {
        (num_steps, name): np.array([row[name] for row in rows])
        for num_steps, rows in parts.items()
        for name in rows[0]
    }
    one, three = NUM_STEPS
    results: dict[str, Any] = {"points": list(POINTS), "sharpness": {}, "pixels": {}}
    gains = {}
    for boxer in BOXERS:
        name = f"sharpness {boxer}"
        gains[boxer] = values[three, name] - values[one, name]
        results["sharpness"][boxer] = {str(n): estimate(values[n, name]) for n in NUM_STEPS}
        results["sharpness"][boxer]["three_minus_one"] = estimate(gains[boxer])
        results["pixels"][boxer] = {
            str(n): [estimate(values[n, f"pixels {boxer}"][..., place]) for place in range(len(POINTS))]
            for n in NUM_STEPS
        }
    results["only_the_unpredictable"] = estimate(gains["opponent"] - gains["player"])
    return results


def figure(results: dict[str, Any]) -> bytes:
    """Pixels of each boxer's colour over the steps ahead; his sharpness one step ahead is in the panel's title."""
    panels = []
    for boxer in BOXERS:
        curves = []
        for n in NUM_STEPS:
            rows = results["pixels"][boxer][str(n)]
            columns = {part: [row[part] for row in rows] for part in ("mean", "low", "high")}
            curves.append(Curve(f"n = {n}", results["points"], **columns))
        sharp = ", ".join(f"{results['sharpness'][boxer][str(n)]['mean']:.2f} (n = {n})" for n in NUM_STEPS)
        panels.append(Panel(f"{boxer}\nsharpness {sharp}", curves))
    return panels_png(panels, "steps ahead", "pixels of his colour,\nshare of the real game's")


def summary(results: dict[str, Any]) -> list[str]:
    """What came out, in a few lines."""
    lines = ["sharpness one step ahead, as a share of the real frame's"]
    for boxer, found in results["sharpness"].items():
        values = "  ".join(f"n = {n}: {estimate_text(found[str(n)])}" for n in NUM_STEPS)
        lines.append(f"{boxer:9} {values}  three minus one: {estimate_text(found['three_minus_one'])}")
    lines.append(
        f"more of it lost around the opponent than around the player: "
        f"{estimate_text(results['only_the_unpredictable'])}"
    )
    return lines + (agents.summary(results["agents"]) if "agents" in results else [])


def _shown(truth: UInt8[np.ndarray, "s t h w 3"]) -> np.ndarray:
    """Eight moments, evenly spread, among the quarter where the opponent's pixels change most in the first step."""
    dark = boxers(truth[:, 0])["opponent"]
    change = (dark ^ boxers(truth[:, 1])["opponent"]).sum(axis=(1, 2))
    candidates = np.sort(np.argsort(-change, kind="stable")[: max(8, len(change) // 4)])
    return candidates[np.linspace(0, len(candidates) - 1, min(8, len(candidates))).astype(int)]
