"""Algorithm 1 of the paper: collect, learn the world, learn to act in it, score it.

for each epoch:
    collect real experience with the current policy
    update the denoiser, then the reward and termination model, on segments of it
    update the actor-critic in the dream
    now and then: play whole games
    now and then, between any two steps or updates: write a checkpoint

The lines are the phases that `algorithm` lists; the loop runs whatever list it is given.
"""

from collections.abc import Callable
from pathlib import Path

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import Config
from diamond.envs import make_env
from diamond.errors import ConfigError
from diamond.runs.checkpoint import newest_checkpoint, remove_partial
from diamond.runs.folder import RunFolder, require_free
from diamond.runs.metrics import MetricsLog, Row, peak_memory
from diamond.runs.progress import Progress, size
from diamond.training.algorithm import algorithm_1, never
from diamond.training.phases import Epoch
from diamond.training.state import Keeper
from diamond.training.trainer import Trainer, recorded_for


def train(config: Config, path: Path, resume: bool, progress: Progress, stop: Callable[[], bool] = never) -> RunFolder:
    """Train an agent from nothing, or go on with a run, until `config.schedule.epochs`.

    Args:
        config: all hyper-parameters.
        path: the run's folder; must be free, or a run if `resume`.
        resume: go on from the newest checkpoint.
        progress: is told what happens.
        stop: asked between any two steps or updates whether to write a checkpoint and stop.

    Raises:
        KeyboardInterrupt: `stop` said so.
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
            epoch, keeper = Epoch(algorithm_1(trainer, progress.games, stop)), Keeper(run, trainer)
            _begin(trainer, epoch, keeper, run)
            if trainer.epoch > config.schedule.epochs:
                raise ConfigError(
                    f"schedule.epochs is {config.schedule.epochs}: the run has {trainer.epoch} epochs already, "
                    "give at least as many"
                )
            run.keep_config(config)
            log = MetricsLog(run.metrics, config, trainer.epoch)
            doing = "going on with" if resume else "training in"
            progress.message(f"{doing} {path} (preset {config.preset}, {config.env.name})")
            try:
                _epochs(trainer, epoch, keeper, log, progress, stop)
            finally:
                log.close()
    finally:
        env.close()
    return run


def _begin(trainer: Trainer, epoch: Epoch, keeper: Keeper, run: RunFolder) -> None:
    """Start, or go on from the newest checkpoint; what was written after it is removed or set aside."""
    checkpoint = newest_checkpoint(run.checkpoints)
    remove_partial(run.checkpoints)
    if checkpoint is not None:
        keeper.resume(checkpoint, epoch)
    else:  # new, or stopped before the first one: everything starts, as the seed says
        trainer.episode_folder.keep_only([])
        trainer.begin()
        epoch.begin(0)


def _epochs(
    trainer: Trainer, epoch: Epoch, keeper: Keeper, log: MetricsLog, progress: Progress, stop: Callable[[], bool]
) -> None:
    """The loop itself."""
    schedule = trainer.config.schedule
    if trainer.epoch == schedule.epochs:
        progress.message(f"all {schedule.epochs} epochs are done; for more, give a larger schedule.epochs")
    progress.begin(epoch.plan(trainer.epoch, schedule.epochs), trainer.epoch, schedule.epochs)
    while trainer.epoch < schedule.epochs:
        for phase in epoch.phases:
            while phase.more():
                if stop():
                    keeper.write(epoch)
                    raise KeyboardInterrupt
                if keeper.due():
                    keeper.write(epoch)
                phase.step()
                progress.advance(phase.name, phase.size)
        trainer.epoch += 1

        row: Row = {"epoch": trainer.epoch} | epoch.row() | trainer.replay_facts()
        trainer.note_score(row)
        row |= {"env_steps": trainer.env_steps, "memory/peak_bytes": peak_memory()}
        row["time/epoch_seconds"] = epoch.seconds()
        log.write(row)
        last, best = trainer.epoch == schedule.epochs, trainer.epoch == trainer.best_epoch
        if last or best or trainer.epoch % schedule.checkpoint_every == 0:
            keeper.write()
        progress.epoch(row, size(log.path.parent))
        epoch.begin(trainer.epoch)
    if stop():
        raise KeyboardInterrupt
