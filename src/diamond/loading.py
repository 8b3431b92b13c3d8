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
from diamond.imagination.world import StartSource, WorldModel
from diamond.imagination.world_model_env import WorldModelEnv
from diamond.interop import hub
from diamond.interop.published import load_published
from diamond.runs import checkpoint
from diamond.runs.folder import RunFolder, Which, newest_run


def load(path: Path | str | None = None, which: Which = "last", device: str = "auto", fused: bool = True) -> Agent:
    """An agent from a run folder, or from a `.pt` file of the published code, to act and dream as the run itself did.

    Args:
        path: a run folder, a file, or the name of a file on the Hugging Face hub, `hf:eloialonso/diamond/Breakout`
            (see `interop.hub`); None takes the newest run under `runs/`.
        which: checkpoint to take from a run.
        device: where to put the networks.
        fused: False leaves out the fused kernels, also if the run's `compute.fused` asks for them: such networks have a
            gradient and may be traced.

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
        agent = load_published(path)
    else:
        run = RunFolder.open(path)
        agent = agent_of(run, choose_checkpoint(run, which))
    agent.to(target)
    return kernels.for_inference(agent) if fused else agent


def agent_of(run: RunFolder, chosen: checkpoint.Checkpoint) -> Agent:
    """The agent in a checkpoint of a run, as plain networks on the CPU.

    Raises:
        RunError: the checkpoint is damaged, or does not fit the run's configuration.
    """
    agent = Agent.create(run.config, run.num_actions, seed=0, action_meanings=run.action_meanings)
    try:
        agent.load_state_dict(chosen.tensors("agent"))
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{chosen.path} does not fit {run.path / 'config.json'} ({reason}): restore both") from error
    return agent


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
    ends = checkpoint.ends_of_epochs(run.checkpoints)
    epochs = ", ".join(map(str, ends))
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
    if epoch not in ends:
        remedy = f"choose one of {epochs}" if ends else "no epoch has ended yet, load the last"
        raise RunError(f"{run.path} has no checkpoint of epoch {epoch}: {remedy}")
    return checkpoint.open_checkpoint(ends[epoch])
