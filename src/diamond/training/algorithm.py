"""The lines of the paper's algorithm 1, as phases of an epoch."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from diamond.evaluation.scores import evaluate_agent, metrics_row, summarise
from diamond.runs.metrics import Mean, Row
from diamond.runs.streams import derive_seed
from diamond.training.learner import Learner
from diamond.training.objectives import Metrics
from diamond.training.phases import Phase
from diamond.training.trainer import Trainer

UPDATES_BETWEEN_CHECKS = 100
"""How often losses are checked for NaN: reading them more often would make the device wait."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


def unheard(done: int, wanted: int) -> None:
    """Nobody follows the games of an evaluation."""


class Collect(Phase):
    """Real experience. Before any training, enough steps and rewards; then a little in every epoch."""

    name, label = "collect", "real steps"

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._cfg = trainer, trainer.config.collection
        self.size, self.per_epoch = trainer.env.num_envs, self._cfg.steps_per_epoch

    def begin(self, epoch: int) -> None:
        """Plan the first portion."""
        super().begin(epoch)
        self._first = epoch == 0
        self._returns: list[float] = []
        self._plan_portion()

    def _plan_portion(self) -> None:
        """Set up to which step to play before looking again. Before any training, portions go on until it is enough."""
        cfg, steps, portion = self._cfg, self._trainer.env_steps, self._cfg.steps_per_epoch
        self._last = not self._first or (
            steps >= cfg.first_epoch_min_steps
            and (steps >= cfg.first_epoch_max_steps or self._trainer.rarer_rewards() >= cfg.first_epoch_min_rewards)
        )
        if not self._last:
            portion = min(portion, cfg.first_epoch_max_steps - steps)
        self._until = min(steps + portion, cfg.total_steps)

    def more(self) -> bool:
        """Whether the portion is not full yet."""
        return self._trainer.env_steps < self._until

    def _unit(self) -> None:
        self._returns += self._trainer.collect(self.size).game_returns
        if not self._last and not self.more():
            self._plan_portion()

    def row(self) -> Row:
        """Games, their mean return, and speed."""
        row: Row = {"collect/games": len(self._returns), "time/collect_seconds": self.seconds}
        if self.done:
            row["time/env_steps_per_second"] = self.done * self.size / max(self.seconds, 1e-9)
        if self._returns:
            row["collect/return_mean"] = sum(self._returns) / len(self._returns)
        return row

    def left(self, epoch: int, epochs: int) -> int:
        """Steps, as if the first epoch took no more than it must."""
        planned = self._cfg.first_epoch_min_steps + epochs * self._cfg.steps_per_epoch
        return max(0, min(self._cfg.total_steps, planned) - self._trainer.env_steps)

    def facts(self) -> dict[str, Any]:
        """With the returns of games that ended in this epoch, and the portion under way."""
        return super().facts() | {"returns": self._returns, "until": self._until, "last": self._last}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
        """Go on within the portion."""
        super().load(facts, tensors, device)
        self._returns, self._until, self._last = list(facts["returns"]), int(facts["until"]), bool(facts["last"])


class Update(Phase):
    """The gradient steps of one network."""

    def __init__(self, label: str, learner: Learner, update: Callable[[], Metrics], imagined_frames: int = 0) -> None:
        self.name, self.label, self.learner, self.update = learner.name, label, learner, update
        self.imagined_frames, self.per_epoch = imagined_frames, learner.cfg.updates_per_epoch

    def begin(self, epoch: int) -> None:
        """The first epoch has a count of its own."""
        super().begin(epoch)
        cfg = self.learner.cfg
        self._count = cfg.updates_per_epoch if epoch else cfg.first_epoch_updates
        self._mean = Mean()

    def more(self) -> bool:
        """Whether updates are left."""
        return self.done < self._count

    def _unit(self) -> None:
        self._mean.add(self.update())
        done = self.done + 1
        if done % UPDATES_BETWEEN_CHECKS == 0 or done == self._count:
            self.learner.check_finite()

    def row(self) -> Row:
        """Means over the epoch, and speed."""
        row = self._mean.result(self.name)
        row[f"time/{self.name}_seconds"] = self.seconds
        if self.done:
            row[f"time/{self.name}_updates_per_second"] = self.done / max(self.seconds, 1e-9)
        return row

    def left(self, epoch: int, epochs: int) -> int:
        """Updates."""
        return self._count - self.done + (epochs - epoch - 1) * self.per_epoch if epoch < epochs else 0

    def tensors(self) -> dict[str, Tensor]:
        """The running sums."""
        return self._mean.state_dict()

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
        """Go on with the sums."""
        super().load(facts, tensors, device)
        self._mean.load_state_dict(tensors, device)


class Evaluate(Phase):
    """Now and then, a few whole games with the current policy, on games of their own: one unit.

    It is given up, as if it had not begun, when a stop is asked for.
    """

    name = "evaluation"

    def __init__(self, trainer: Trainer, progress: Callable[[int, int], None], stop: Callable[[], bool]) -> None:
        self._trainer, self._progress, self._stop = trainer, progress, stop

    def begin(self, epoch: int) -> None:
        """See whether it is time."""
        super().begin(epoch)
        every, self._epoch = self._trainer.config.schedule.evaluate_every, epoch + 1
        self._due = every > 0 and self._epoch % every == 0
        self._row: Row = {}

    def more(self) -> bool:
        """Whether it is time and not done."""
        return self._due and self.done == 0

    def step(self) -> None:
        """Evaluate, or give up."""
        with suppress(_GivenUpError):
            super().step()

    def _unit(self) -> None:
        self._row = evaluate(self._trainer, self._epoch, self._listen)

    def _listen(self, done: int, wanted: int) -> None:
        self._progress(done, wanted)
        if self._stop():
            raise _GivenUpError

    def row(self) -> Row:
        """The score, if it was time."""
        return self._row | {"time/evaluation_seconds": self.seconds} if self.done else {}

    def left(self, epoch: int, epochs: int) -> int:
        """Nothing that progress counts."""
        return 0

    def facts(self) -> dict[str, Any]:
        """With the score."""
        return super().facts() | {"row": self._row}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
        """Keep the score."""
        super().load(facts, tensors, device)
        self._row = dict(facts["row"])


class _GivenUpError(Exception):
    """An evaluation was asked to stop."""


def evaluate(trainer: Trainer, epoch: int, progress: Callable[[int, int], None]) -> Row:
    """The score of the current policy, with a seed for each epoch."""
    config = trainer.config
    scores = evaluate_agent(
        config.env,
        trainer.acting_agent().actor_critic,
        config.schedule.evaluation_episodes,
        num_envs=config.schedule.evaluation_envs,
        seed=derive_seed(config.seed, "evaluation", epoch) % 2**31,
        device=trainer.device,
        progress=progress,
    )
    return dict(metrics_row(summarise(scores, config.env.name)))


def algorithm_1(
    trainer: Trainer, games: Callable[[int, int], None] = unheard, stop: Callable[[], bool] = never
) -> list[Phase]:
    """The phases of the paper's algorithm, in order.

    Args:
        trainer: does the work.
        games: is told how many games of an evaluation are done, and how many there are.
        stop: whether an evaluation should be given up.
    """
    learners, dreams = trainer.learners, trainer.config.imagination.num_envs
    frames = dreams * trainer.config.actor_critic.window
    return [
        Collect(trainer),
        Update("denoiser updates", learners["denoiser"], trainer.update_denoiser),
        Update("reward-model updates", learners["reward_model"], trainer.update_reward_model),
        Update("actor-critic updates", learners["actor_critic"], trainer.update_actor_critic, frames),
        Evaluate(trainer, games, stop),
    ]
