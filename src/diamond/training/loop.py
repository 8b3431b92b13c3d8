"""Algorithm 1 of the paper: collect, learn the world, learn to act in it, score it.

for each epoch:
    collect real experience with the current policy
    update the denoiser, then the reward and termination model, on segments of it
    update the actor-critic in the dream
    now and then: play whole games, write a checkpoint
"""

import time
from collections.abc import Callable
from pathlib import Path

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import Config
from diamond.envs import make_env
from diamond.errors import ConfigError
from diamond.evaluation.scores import evaluate_agent, metrics_row, summarise
from diamond.runs.checkpoint import newest_checkpoint, prune, remove_partial, write_checkpoint
from diamond.runs.folder import RunFolder, require_free
from diamond.runs.metrics import Mean, MetricsLog, Row, peak_memory
from diamond.runs.progress import Progress, size
from diamond.runs.streams import derive_seed
from diamond.training.learner import Learner
from diamond.training.objectives import Metrics
from diamond.training.trainer import Trainer, recorded_for

UPDATES_BETWEEN_CHECKS = 100
"""How often losses are checked for NaN: reading them more often would make the device wait."""


def train(config: Config, path: Path, resume: bool, progress: Progress) -> RunFolder:
    """Train an agent from nothing, or go on with a run, until `config.schedule.epochs`.

    Args:
        config: all hyper-parameters.
        path: the run's folder; must be free, or a run if `resume`.
        resume: go on from the newest checkpoint.
        progress: is told what happens.

    Raises:
        DiamondError: the message names what is wrong and the remedy; the newest checkpoint is whole.
    """
    device = choose_device(config.compute)
    if not resume:
        require_free(path)
    env = make_env(config.env, config.env.num_envs, training=True)
    try:
        if not resume:
            for _ in recorded_for(config, env):  # what does not fit is found before there is a run
                pass
        created = None
        if not resume:
            fused = kernels.in_use(config.compute, device)
            created = RunFolder.create(path, config, env.num_actions, env.action_meanings, fused)
        run = RunFolder.open(path) if created is None else created
        with run.lock():
            run.require_same(config)
            trainer = Trainer(config, env, run.episodes, device)
            if resume:
                _resume(trainer, run)
            else:
                trainer.begin()
            run.keep_config(config)
            log = MetricsLog(run.metrics, config, trainer.epoch)
            doing = "going on with" if resume else "training in"
            progress.message(f"{doing} {path} (preset {config.preset}, {config.env.name})")
            try:
                _epochs(trainer, run, log, progress)
            finally:
                log.close()
    finally:
        env.close()
    return run


def _epochs(trainer: Trainer, run: RunFolder, log: MetricsLog, progress: Progress) -> None:
    """The loop itself."""
    schedule = trainer.config.schedule
    if trainer.epoch > schedule.epochs:
        raise ConfigError(
            f"schedule.epochs is {schedule.epochs}: the run has {trainer.epoch} epochs already, give at least as many"
        )
    if trainer.epoch == schedule.epochs:
        progress.message(f"all {schedule.epochs} epochs are done; for more, give a larger schedule.epochs")
    progress.begin(trainer.config, trainer.epoch, trainer.env_steps)
    while trainer.epoch < schedule.epochs:
        first, started = trainer.epoch == 0, time.monotonic()
        row: Row = {"epoch": trainer.epoch + 1}

        row |= _collect(trainer, progress)
        row |= _update(trainer.learners["denoiser"], trainer.update_denoiser, first, progress)
        row |= _update(trainer.learners["reward_model"], trainer.update_reward_model, first, progress)
        row |= _update(trainer.learners["actor_critic"], trainer.update_actor_critic, first, progress)
        trainer.epoch += 1

        last = trainer.epoch == schedule.epochs
        improved = False
        if schedule.evaluate_every and trainer.epoch % schedule.evaluate_every == 0:
            scores = _evaluate(trainer, progress)
            improved = trainer.note_score(scores["evaluation/return_mean"])
            row |= scores
        row |= trainer.replay_facts() | {"env_steps": trainer.env_steps, "memory/peak_bytes": peak_memory()}
        row["time/epoch_seconds"] = time.monotonic() - started
        log.write(row)
        if last or improved or trainer.epoch % schedule.checkpoint_every == 0:
            write_checkpoint(run.checkpoints, trainer.epoch, *trainer.state(), trainer.write_open_games)
            prune(run.checkpoints, schedule.keep_every, trainer.best_epoch)
        progress.epoch(row, size(run.path))


def _collect(trainer: Trainer, progress: Progress) -> Row:
    """Before any training, enough steps and rewards; then a little in every epoch."""
    cfg, started, before = trainer.config.collection, time.monotonic(), trainer.env_steps
    returns: list[float] = []

    def collect(steps: int) -> None:
        steps = min(steps, cfg.total_steps - trainer.env_steps)
        if steps > 0:
            collected = trainer.collect(steps)
            returns.extend(collected.game_returns)
            progress.advance("collect", collected.steps)

    if trainer.epoch == 0:
        while trainer.env_steps < cfg.first_epoch_min_steps or (
            trainer.env_steps < cfg.first_epoch_max_steps and trainer.rarer_rewards() < cfg.first_epoch_min_rewards
        ):
            collect(min(cfg.steps_per_epoch, cfg.first_epoch_max_steps - trainer.env_steps))
    collect(cfg.steps_per_epoch)
    seconds = time.monotonic() - started
    row: Row = {"collect/games": len(returns), "time/collect_seconds": seconds}
    if trainer.env_steps > before:
        row["time/env_steps_per_second"] = (trainer.env_steps - before) / max(seconds, 1e-9)
    if returns:
        row["collect/return_mean"] = sum(returns) / len(returns)
    return row


def _update(learner: Learner, update: Callable[[], Metrics], first: bool, progress: Progress) -> Row:
    """One network's share of an epoch."""
    name, started, mean = learner.name, time.monotonic(), Mean()
    count = learner.cfg.first_epoch_updates if first else learner.cfg.updates_per_epoch
    for done in range(1, count + 1):
        mean.add(update())
        progress.advance(name, 1)
        if done % UPDATES_BETWEEN_CHECKS == 0 or done == count:
            learner.check_finite()
    row = mean.result(name)
    row[f"time/{name}_seconds"] = time.monotonic() - started
    if count:
        row[f"time/{name}_updates_per_second"] = count / max(row[f"time/{name}_seconds"], 1e-9)
    return row


def _evaluate(trainer: Trainer, progress: Progress) -> Row:
    """A few whole games with the current policy, on games of their own."""
    config, started = trainer.config, time.monotonic()
    scores = evaluate_agent(
        config.env,
        trainer.acting_agent().actor_critic,
        config.schedule.evaluation_episodes,
        num_envs=config.schedule.evaluation_envs,
        seed=derive_seed(config.seed, "evaluation", trainer.epoch) % 2**31,
        device=trainer.device,
        progress=progress.games,
    )
    row = metrics_row(summarise(scores, config.env.name))
    return row | {"time/evaluation_seconds": time.monotonic() - started}


def _resume(trainer: Trainer, run: RunFolder) -> None:
    """Go on from the newest checkpoint; what was written after it is removed or set aside."""
    checkpoint = newest_checkpoint(run.checkpoints)
    remove_partial(run.checkpoints)
    if checkpoint is None:  # stopped before the first one: everything starts again, as the seed says
        trainer.episode_folder.keep_only([])
        trainer.begin()
    else:
        trainer.restore(checkpoint)
