"""Runs and agents in a few lines: load, act, dream, score, report.

agent = diamond.load("runs/my-run")                 # or weights of the published code, "Breakout.pt", "hf:..."
dreams = diamond.dream("runs/my-run", num_envs=4)   # a gymnasium.vector.VectorEnv
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from math import fsum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from diamond import native
from diamond.agent import Agent
from diamond.compute import parse_device
from diamond.data.episodes import EpisodeFolder
from diamond.data.replay import Replay
from diamond.envs import make_env
from diamond.errors import ConfigError, DataError, RunError
from diamond.evaluation.baselines import evaluation_record, measure_baselines
from diamond.evaluation.fidelity.dreaming import open_loop, predictor
from diamond.evaluation.fidelity.games import digest, with_familiar
from diamond.evaluation.fidelity.instruments import Instruments
from diamond.evaluation.fidelity.measure import Progress, measure
from diamond.evaluation.fidelity.plan import Plan, fresh_sets, record_facts, recorded_set
from diamond.evaluation.fidelity.segments import HORIZONS, Recording, dream_errors, held_out_segments, record
from diamond.evaluation.policies import Mode, NetworkPolicy, RandomPolicy
from diamond.evaluation.scores import GameScores, evaluate_agent, summarise
from diamond.files import write_bytes, write_json
from diamond.imagination.dream import StartSource, WorldModel
from diamond.imagination.world_model_env import WorldModelEnv
from diamond.interop import hub
from diamond.interop.published import load_published
from diamond.segments import Segment
from diamond.training import checkpoint
from diamond.training.metrics import PHASES, peak_memory, read_metrics
from diamond.training.run_folder import RunFolder, newest_run
from diamond.training.streams import derive_seed

RECORDED_STEPS = 400
"""Real steps of each environment recorded to draw held-out segments from."""
VIDEO_STEPS = 150
FRAMES_PER_SECOND = 15

Which = Literal["last", "best"] | int
"""The newest checkpoint, the one with the best evaluation, or that of an epoch."""


def load(path: Path | str | None = None, which: Which = "last", device: str = "auto") -> Agent:
    """An agent from a run folder, or from a `.pt` file of the published code.

    Args:
        path: a run folder, a file, or the name of a file on the Hugging Face hub, `hf:eloialonso/diamond/Breakout`
            (see `interop.hub`); None takes the newest run under `runs/`.
        which: checkpoint to take from a run.
        device: where to put the networks.

    Raises:
        RunError: there is no such run, checkpoint or file, it is damaged, or the hub does not answer.
        DiskError: the disk refuses a download.
        DeviceError: the device is not present.
    """
    target = parse_device(device)
    if path is None:
        path = newest_run(usable=True)
    path = hub.fetch(path) if hub.is_name(path) else Path(path)
    if path.is_file():
        return load_published(path).to(target)
    run = RunFolder.open(path)
    chosen = _checkpoint(run, which)
    native.enable(run.config.compute.fused)  # act and dream as the run itself did
    agent = Agent.create(run.config, run.num_actions, seed=0, action_meanings=run.action_meanings)
    try:
        agent.load_state_dict(chosen.tensors("agent"))
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{chosen.path} does not fit {run.path / 'config.json'} ({reason}): restore both") from error
    return agent.to(target)


def load_starts(path: Path | str | None = None, device: str = "auto") -> StartSource:
    """Real segments of a run to start dreams from, drawn uniformly over all its finished episodes.

    Raises:
        RunError: there is no such run.
        DataError: it has no finished episode, or one is damaged.
    """
    run = RunFolder.open(newest_run(usable=True) if path is None else Path(path))
    folder, env = EpisodeFolder(run.episodes), run.config.env
    episodes = [(index, folder.read(index)) for index in folder.indices()]
    if not episodes:
        raise DataError(f"{run.episodes} holds no finished episode: train the run for longer")
    capacity = sum(episode.num_steps for _, episode in episodes) + len(episodes)
    replay = Replay(capacity, env.height, env.width, 1, parse_device(device))
    replay.load(episodes)
    length = run.config.denoiser.context_length

    def starts(count: int, generator: torch.Generator) -> Segment:
        return replay.sample(count, length, generator, ())

    return starts


def dream(
    path: Path | str | None = None,
    num_envs: int = 1,
    horizon: int | None = 50,
    seed: int = 0,
    which: Which = "last",
    device: str = "auto",
) -> WorldModelEnv:
    """The dream of a run as a `gymnasium.vector.VectorEnv`; see `WorldModelEnv`.

    Raises:
        RunError, DataError, DeviceError: see `load` and `load_starts`.
    """
    path = newest_run(usable=True) if path is None else Path(path)
    agent = load(path, which, device)
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    return WorldModelEnv(world, load_starts(path, device), agent.num_actions, num_envs, horizon, seed)


def policy(
    agent: Agent, num_envs: int, seed: int = 0, mode: Mode = "sampled", temperature: float = 1.0
) -> NetworkPolicy:
    """The agent's policy: `act(frames uint8 (n, h, w, 3)) -> actions (n,)`, `reset(ended (n,))`."""
    generator = torch.Generator().manual_seed(seed)
    return NetworkPolicy(agent.actor_critic, num_envs, agent.device, generator, mode, temperature)


def score(
    agent: Agent,
    episodes: int,
    seed: int,
    mode: Mode = "sampled",
    temperature: float = 1.0,
    max_episode_steps: int | None = None,
    record_frames: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Any], GameScores]:
    """Play whole real games; the summary (JSON-ready) and the games themselves."""
    games = evaluate_agent(
        agent.config.env,
        agent.actor_critic,
        episodes,
        num_envs=agent.config.schedule.evaluation_envs,
        seed=seed,
        device=agent.device,
        mode=mode,
        temperature=temperature,
        max_episode_steps=max_episode_steps,
        record_frames=record_frames,
        progress=progress,
    )
    return summarise(games, agent.config.env.name), games


def record_real(agent: Agent, seed: int, steps: int, num_envs: int, random: bool = False) -> Recording:
    """Real games played by the agent, or by chance, that no network was trained on."""
    env = make_env(agent.config.env, num_envs, training=False)
    try:
        chance = RandomPolicy(agent.num_actions, np.random.default_rng(seed))
        return record(env, chance if random else policy(agent, num_envs, seed), steps, seed)
    finally:
        env.close()


def real_beside_dream(agent: Agent, recording: Recording, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A stretch of a recording and the dream from its first frames under the same actions, each uint8 (t, h, w, 3).

    Shorter than `steps` where no recorded game lasts that long.
    """
    n, rng = agent.config.denoiser.context_length, np.random.default_rng(seed)
    longest = min(steps, len(recording.frames) - n)
    for length in range(longest, 0, -1):
        with contextlib.suppress(DataError):
            chosen = held_out_segments([recording], n, length, 1, rng)
            break
    else:
        raise DataError(f"no recorded game lasts {n + 1} steps: record more of them")
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    predict = predictor(world, torch.Generator(agent.device).manual_seed(seed))
    dreamed = open_loop(predict, chosen.frames[:, :n], chosen.actions, agent.device)
    return chosen.frames[0, n:], dreamed[0]


def finish(run: RunFolder, progress: Callable[[str], None], device: str = "auto") -> dict[str, Any]:
    """What the end of training brings: the final score, the baselines, the dream's errors, the video and the report.

    Returns the content of `evaluation.json`.
    """
    # Plots are only needed here, and slow to import.
    from diamond.evaluation.report import build_report

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
        "phase_seconds": {name: fsum(row.get(f"time/{name}_seconds", 0) for row in rows) for name in PHASES},
        "finishing_seconds": time.monotonic() - started,
        "peak_memory_bytes": peak_memory(),
    }
    write_json(run.path / "evaluation.json", evaluation)
    build_report([run.path], run.path / "report.html")
    return evaluation


def _compare_dream(run: RunFolder, agent: Agent, progress: Callable[[str], None]) -> None:
    """The dream's errors, a video and a strip of frames beside the real game, where games last long enough."""
    from diamond.evaluation.video import filmstrip_png, side_by_side, write_video

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
    write_json(run.path / "fidelity.json", dream_errors(world, held_out, seed, agent.device, horizons))
    real, dreamed = real_beside_dream(agent, recordings[0], VIDEO_STEPS, seed)
    scale = max(1, 256 // config.env.height)
    write_video(run.path / "dream.mp4", side_by_side(real, dreamed, scale=scale), FRAMES_PER_SECOND)
    steps = [step for step in (1, 2, 3, 5, 10, 15, 20, 30, 50) if step < len(real)]
    if steps:
        strip = filmstrip_png({"real game": real, "dream": dreamed}, steps, scale=max(1, 96 // config.env.height))
        write_bytes(run.path / "dream.png", strip)


def measure_fidelity(
    path: Path | str,
    plan: Plan,
    out: Path | None = None,
    data: Path | None = None,
    instruments: Instruments | None = None,
    which: Which = "last",
    device: str = "auto",
    game: str | None = None,
    progress: Progress = lambda what, done, wanted: None,
) -> tuple[dict[str, Any], Path]:
    """Measure how far a dream can be trusted on real games that it was never trained on (docs/fidelity.md).

    Args:
        path: as for `load`.
        plan: how much to measure.
        out: folder to write; by default `fidelity` in the run's folder.
        data: folder of recorded real games to measure on; by default fresh ones are played.
        instruments: networks that judge frames, if any.
        game: Atari game to measure on; by default the run's, or the one that a published file is named after.
        progress: told what takes long.

    Returns the record that is written to `fidelity.json` there, and the path of the page beside it.

    Raises:
        ConfigError: `out` holds something else than an older result, or is missing for a file.
        DataError: `data` cannot be used, or no game lasts long enough.
        RunError, DeviceError, EnvError, DiskError: see `load`, `make_env` and `write_json`.
    """
    # Plots are only needed here, and slow to import.
    from diamond.evaluation.fidelity.folder import require_own, write_result

    run = None if hub.is_name(path) or Path(path).is_file() else RunFolder.open(Path(path))
    if out is None:
        if run is None:
            raise ConfigError(f"--out is missing: {path} is no run folder, so name a folder for the result")
        out = run.path / "fidelity"
    require_own(out)
    if run is not None:
        which = _checkpoint(run, which).epoch  # a run that goes on has a newer one when this ends
    agent, instruments = load(path, which, device), instruments or Instruments()
    if game is not None:
        agent.config = replace(agent.config, env=replace(agent.config.env, game=game, id=None))
    instruments.require_fitting(agent.config.env.height, agent.config.env.width)

    def seed_of(*names: str) -> int:
        return derive_seed(plan.seed, "fidelity", *names) % 2**31

    known = set() if run is None else _known_games(run)
    if data is None:
        sets = fresh_sets(agent, plan, seed_of, progress)
        sets = [replace(one, games=with_familiar(one.games, known)) for one in sets]
    else:
        _require_held_out(run, agent, data)
        sets = recorded_set(agent, data, plan, seed_of, known)
    result = measure(agent, sets, instruments, seed_of, progress)
    facts = {
        "run": str(path),
        "checkpoint": None if run is None else which,
        "data": None if data is None else str(data),
    }
    result.record = {**record_facts(agent, plan, fresh=data is None), **facts, **result.record}
    return result.record, write_result(out, result)


def _require_held_out(run: RunFolder | None, agent: Agent, data: Path) -> None:
    """Refuse the episodes that a run was trained on, and those of a run of another game."""
    if run is not None and data.resolve() in (run.path.resolve(), run.episodes.resolve()):
        raise DataError(f"--data is {data}, which {run.path} was trained on: give games that it has never seen")
    folder = data.resolve().parent
    if (folder / "run.json").is_file():
        game = RunFolder.open(folder).config.env.name
        if game != agent.config.env.name:
            raise DataError(
                f"--data {data} holds games of {game}: give games of {agent.config.env.name}, which was dreamed"
            )


def _known_games(run: RunFolder) -> set[bytes]:
    """What the run's own episodes are, to tell games that it has seen just so."""
    folder = EpisodeFolder(run.episodes)
    episodes = (folder.read(index) for index in folder.indices())
    return {digest(episode.frames, episode.actions) for episode in episodes}


def _checkpoint(run: RunFolder, which: Which) -> checkpoint.Checkpoint:
    kept = checkpoint.checkpoints(run.checkpoints)
    if not kept:
        raise RunError(f"{run.path} holds no checkpoint yet: wait for its first, or go on with the run")
    epoch: int | None
    if isinstance(which, int):
        epoch = which
    else:
        newest = checkpoint.open_checkpoint(kept[-1])
        if which == "last":
            return newest
        epoch = newest.facts["best_epoch"]
    if epoch is None:
        raise RunError(f"{run.path} was never evaluated during training: load its last checkpoint instead of the best")
    path = run.checkpoints / f"{checkpoint.PREFIX}{epoch:06d}"
    if not path.is_dir():
        epochs = ", ".join(folder.name.removeprefix(checkpoint.PREFIX).lstrip("0") for folder in kept)
        raise RunError(f"{run.path} has no checkpoint of epoch {epoch}: choose one of {epochs}")
    return checkpoint.open_checkpoint(path)
