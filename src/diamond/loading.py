"""A run, a file of published weights or a name on the hub, as an agent, as starts of dreams, and as a dream.

agent = load("runs/my-run")                 # or weights of the published code: "Breakout.pt", "hf:..."
dreams = dream("runs/my-run", num_envs=4)   # a gymnasium.vector.VectorEnv
"""

from pathlib import Path

import torch

from diamond import kernels
from diamond.agents.agent import Agent
from diamond.compute import parse_device
from diamond.errors import DataError, RunError
from diamond.experience.episodes import EpisodeFolder
from diamond.experience.replay import Replay
from diamond.experience.segments import Segment
from diamond.imagination.dream import StartSource, WorldModel
from diamond.imagination.world_model_env import WorldModelEnv
from diamond.interop import hub
from diamond.interop.published import load_published
from diamond.runs import checkpoint
from diamond.runs.folder import RunFolder, Which, newest_run


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
    chosen = choose_checkpoint(run, which)
    kernels.enable(run.config.compute.fused)  # act and dream as the run itself did
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


def choose_checkpoint(run: RunFolder, which: Which) -> checkpoint.Checkpoint:
    """The checkpoint of a run that is asked for.

    Raises:
        RunError: there is none, or it is damaged.
    """
    kept = checkpoint.checkpoints(run.checkpoints)
    if not kept:
        raise RunError(f"{run.path} holds no checkpoint yet: wait for its first, or go on with the run")
    epochs = ", ".join(folder.name.removeprefix(checkpoint.PREFIX).lstrip("0") for folder in kept)
    epoch: int | None
    if which in ("last", "best"):
        newest = checkpoint.open_checkpoint(kept[-1])
        if which == "last":
            return newest
        epoch = newest.facts["best_epoch"]
        if epoch is None:
            raise RunError(
                f"{run.path} was never evaluated during training: load its last checkpoint instead of the best"
            )
    elif isinstance(which, int):
        epoch = which
    else:
        raise RunError(f"checkpoint is {which!r}: choose last, best, or an epoch of {run.path}: {epochs}")
    path = run.checkpoints / f"{checkpoint.PREFIX}{epoch:06d}"
    if not path.is_dir():
        raise RunError(f"{run.path} has no checkpoint of epoch {epoch}: choose one of {epochs}")
    return checkpoint.open_checkpoint(path)
