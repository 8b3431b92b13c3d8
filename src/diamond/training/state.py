"""What a checkpoint holds of a training run, and how the run goes on from it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from diamond.errors import RunError
from diamond.experience.episodes import read_episode, write_episode
from diamond.imagination.rollout import Carry
from diamond.imagination.world import DreamState
from diamond.runs.checkpoint import Checkpoint, position, prune, write_checkpoint
from diamond.runs.files import write_atomic
from diamond.runs.folder import RunFolder
from diamond.training.phases import Epoch
from diamond.training.trainer import Trainer


class Keeper:
    """Writes the checkpoints of a run and knows when the next one is due."""

    def __init__(self, run: RunFolder, trainer: Trainer) -> None:
        self._run, self._trainer = run, trainer
        self._seconds = 60 * trainer.config.schedule.checkpoint_minutes
        self._written_at = time.monotonic()
        self._position = (0, 0)  # the beginning, which needs no checkpoint

    def resume(self, checkpoint: Checkpoint, epoch: Epoch) -> None:
        """Go on from a checkpoint; see `restore`."""
        restore(checkpoint, self._trainer, epoch)
        self._position = position(checkpoint.path)

    def due(self) -> bool:
        """Whether it is time for one in the middle of an epoch."""
        return self._seconds > 0 and time.monotonic() - self._written_at >= self._seconds

    def write(self, epoch: Epoch | None = None) -> None:
        """Write a checkpoint, unless the newest one is of this moment, and remove those no longer wanted.

        Args:
            epoch: the one under way; None at the end of an epoch.

        Raises:
            TrainingError: a loss is not finite.
            DiskError: the disk refuses the write.
        """
        trainer, units = self._trainer, 0 if epoch is None else epoch.units
        self._written_at = time.monotonic()
        if self._position == (trainer.epoch, units):
            return
        for learner in trainer.learners.values():
            learner.check_finite()
        tensors, facts = state(trainer, epoch if units else None)

        def write_open_games(folder: Path) -> None:
            for lane, (_, episode) in enumerate(trainer.replay.open_episodes()):
                write_episode(folder / f"open-{lane}.npz", episode)
            games = trainer.env.snapshot()
            write_atomic(
                folder / "environment.npz", lambda file: np.savez_compressed(file, allow_pickle=False, **games)
            )

        write_checkpoint(self._run.checkpoints, trainer.epoch, tensors, facts, write_open_games, units)
        prune(self._run.checkpoints, trainer.config.schedule.keep_every, trainer.best_epoch)
        self._position = (trainer.epoch, units)


def state(trainer: Trainer, epoch: Epoch | None) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Tensors in groups and JSON-ready facts that, with the open games, decide how the run goes on."""
    training = {f"random.{name}": value for name, value in trainer.streams.state_dict().items()}
    training |= {f"collector.{name}": value for name, value in trainer.collector.state_dict().items()}
    for name, learner in trainer.learners.items():
        training |= {f"{name}.{key}": value for key, value in learner.state_dict().items()}
    if trainer.carry is not None:
        training |= {f"dream.{name}": value for name, value in trainer.carry.dream.tensors().items()}
        training |= dict(zip(("policy.hidden", "policy.cell"), trainer.carry.policy_state, strict=True))
    facts = {
        "env_steps": trainer.env_steps,
        "best_score": trainer.best_score,
        "best_epoch": trainer.best_epoch,
        "episodes": trainer.finished_episodes,
        "open_episodes": [index for index, _ in trainer.replay.open_episodes()],
    }
    if epoch is not None:
        training |= {f"epoch.{name}": value for name, value in epoch.tensors().items()}
        facts |= epoch.facts()
    # `agent` is what a player or an evaluation loads; `trained` also has what an average would lose.
    groups = {"agent": trainer.acting_agent().state_dict(), "training": training}
    if any(learner.averaged is not learner.network for learner in trainer.learners.values()):
        groups["trained"] = trainer.agent.state_dict()
    return groups, facts


def restore(checkpoint: Checkpoint, trainer: Trainer, epoch: Epoch) -> None:
    """Continue from a checkpoint; episodes finished after it are set aside.

    Raises:
        RunError, DataError, EnvError: a part is damaged or does not fit.
    """
    facts, training = checkpoint.facts, checkpoint.tensors("training")

    def group(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in training.items() if k.startswith(prefix)}

    open_games = [
        (index, read_episode(checkpoint.file(f"open-{lane}.npz"))) for lane, index in enumerate(facts["open_episodes"])
    ]
    with np.load(checkpoint.file("environment.npz"), allow_pickle=False) as snapshot:
        frames = trainer.env.restore(dict(snapshot))
    trainer.finished_episodes = list(facts["episodes"])
    finished = ((index, trainer.episode_folder.read(index)) for index in trainer.finished_episodes)
    trainer.replay.load(finished, open_games)
    trainer.streams.load_state_dict(group("random."))
    trainer.collector.load_state_dict(group("collector."), frames)
    dream, policy = group("dream."), group("policy.")
    if dream:
        on_device = {name: value.to(trainer.device) for name, value in dream.items()}
        # Channels last, as the replay and the networks leave frames; another order changes the last bits of sums.
        on_device["frames"] = on_device["frames"].movedim(-3, -1).contiguous().movedim(-1, -3)
        memory = (policy["hidden"].to(trainer.device), policy["cell"].to(trainer.device))
        trainer.carry = Carry(DreamState.from_tensors(on_device), memory)
    trainer.epoch, trainer.env_steps = checkpoint.epoch, int(facts["env_steps"])
    trainer.best_score, trainer.best_epoch = facts["best_score"], facts["best_epoch"]
    weights = checkpoint.tensors("trained" if "trained.safetensors" in facts["sha256"] else "agent")
    epoch.begin(trainer.epoch)
    try:
        trainer.agent.load_state_dict(weights)
        for name, learner in trainer.learners.items():
            learner.load_state_dict(group(f"{name}."))
        if "phases" in facts:  # else it is of the end of an epoch
            epoch.load(facts, group("epoch."), trainer.device)
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{checkpoint.path} does not fit the run's config.json ({reason}): restore both") from error
    trainer.copies.forget()
    trainer.episode_folder.keep_only(trainer.finished_episodes)  # last: nothing is moved unless all parts are good
