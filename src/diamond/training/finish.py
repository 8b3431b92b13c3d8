"""What the end of training brings: the score, the baselines, the dream's errors, the video and the report."""

import contextlib
import time
from collections.abc import Callable
from math import fsum
from typing import Any

import numpy as np

from diamond import kernels
from diamond.agents.agent import Agent
from diamond.agents.recording import RECORDED_STEPS, held_out_segments, record_real
from diamond.errors import DataError
from diamond.evaluation.baselines import evaluation_record, measure_baselines
from diamond.evaluation.fidelity.segments import HORIZONS, dream_errors, real_beside_dream
from diamond.evaluation.scores import score
from diamond.imagination.world import WorldModel
from diamond.loading import load
from diamond.runs.files import write_bytes, write_json
from diamond.runs.folder import DREAM_ERRORS, EVALUATION, FILMSTRIP, REPORT, VIDEO, RunFolder
from diamond.runs.metrics import peak_memory, phase_seconds, read_metrics
from diamond.runs.streams import derive_seed

VIDEO_STEPS = 150


def finish(run: RunFolder, progress: Callable[[str], None], device: str = "auto") -> dict[str, Any]:
    """What the end of training brings: the final score, the baselines, the dream's errors, the video and the report.

    Returns the content of `evaluation.json`.
    """
    # Plots are only needed here, and slow to import.
    from diamond.reports import build_report

    started = time.monotonic()
    config, agent = run.config, load(run.path, device=device)
    schedule, target = config.schedule, agent.device
    seed = derive_seed(config.seed, "final evaluation") % 2**31
    progress(f"playing {schedule.final_episodes} real games to score the agent")
    trained, _ = score(agent, schedule.final_episodes, seed)
    baselines = {}
    if schedule.baseline_selection_games:
        progress("playing the same games by chance, by each constant action and by the untrained network")
        untrained = Agent.create(config, run.num_actions, derive_seed(config.seed, "weights")).to(target)
        untrained = kernels.for_inference(untrained)
        baselines = measure_baselines(
            config.env,
            untrained.actor_critic,
            schedule.final_episodes,
            num_envs=schedule.evaluation_envs,
            seed=seed,
            device=target,
            selection_games=schedule.baseline_selection_games,
        )
    evaluation = evaluation_record(config.env.name, trained, baselines)

    progress("comparing the dream with real games held out of training")
    _compare_dream(run, agent, progress)
    rows = read_metrics(run.metrics)
    evaluation["cost"] = {
        "training_seconds": fsum(row["time/epoch_seconds"] for row in rows),
        "phase_seconds": phase_seconds(rows),
        "finishing_seconds": time.monotonic() - started,
        "peak_memory_bytes": peak_memory(),
    }
    write_json(run.path / EVALUATION, evaluation)
    build_report([run.path], run.path / REPORT)
    return evaluation


def _compare_dream(run: RunFolder, agent: Agent, progress: Callable[[str], None]) -> None:
    """The dream's errors, a video and a strip of frames beside the real game, where games last long enough."""
    from diamond.reports.video import FRAMES_PER_SECOND, filmstrip_png, side_by_side, write_video

    config, schedule = run.config, run.config.schedule
    seed = derive_seed(config.seed, "held-out games") % 2**31
    recordings = [
        record_real(agent, seed, RECORDED_STEPS, schedule.evaluation_envs),
        record_real(agent, seed + 1, RECORDED_STEPS, schedule.evaluation_envs, True),
    ]
    n, world = config.denoiser.context_length, WorldModel.of(agent.denoiser, agent.reward_model, config)
    for compared in range(len(HORIZONS), 0, -1):  # as many horizons as the games are long enough for
        horizons, rng = HORIZONS[:compared], np.random.default_rng(seed)
        with contextlib.suppress(DataError):
            held_out = held_out_segments(recordings, n, horizons[-1], schedule.fidelity_segments, rng)
            break
    else:
        progress(f"not compared: no real game lasted {n + 1} steps")
        return
    write_json(run.path / DREAM_ERRORS, dream_errors(world, held_out, n, seed, agent.device, horizons))
    real, dreamed = real_beside_dream(agent, recordings[0], VIDEO_STEPS, seed)
    scale = max(1, 256 // config.env.height)
    write_video(run.path / VIDEO, side_by_side(real, dreamed, scale=scale), FRAMES_PER_SECOND)
    steps = [step for step in (1, 2, 3, 5, 10, 15, 20, 30, 50) if step < len(real)]
    if steps:
        rows, labels = {"real game": real[steps], "dream": dreamed[steps]}, [f"+{step}" for step in steps]
        strip = filmstrip_png(rows, labels, scale=max(1, 96 // config.env.height))
        write_bytes(run.path / FILMSTRIP, strip)
