"""What acts and dreams while training has the weights of the newest update, averaged ones if that is asked for."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from random_weights import randomised
from tiny_runs import tiny
from torch import Tensor, nn

from diamond.envs import make_env
from diamond.kernels import accelerate
from diamond.kernels.library import library
from diamond.runs.checkpoint import newest_checkpoint
from diamond.runs.folder import RunFolder
from diamond.training.algorithm import algorithm_1
from diamond.training.phases import Epoch
from diamond.training.state import Keeper, restore
from diamond.training.trainer import Trainer

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler")
NETWORKS = ("denoiser", "reward_model", "actor_critic")


@pytest.fixture(params=[0.0, 0.5], ids=["trained weights", "averaged weights"])
def trainer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trainer]:
    changes = {f"updates.{name}.ema_decay": request.param for name in NETWORKS}
    config = tiny(changes | {f"updates.{name}.warmup_updates": 0 for name in NETWORKS})
    with closing(make_env(config.env, 1, training=True)) as env:
        made = Trainer(config, env, tmp_path / "episodes", torch.device("cpu"))
        made.begin()
        made.collect(40)
        yield made


@torch.no_grad()
def outputs(networks: dict[str, nn.Module], trainer: Trainer) -> dict[str, Tensor]:
    """What each network says to a few frames."""
    config, generator = trainer.config, torch.Generator().manual_seed(0)
    n, size = config.denoiser.context_length, (3, config.env.height, config.env.width)
    frames, actions = torch.randn(2, n, *size, generator=generator), torch.zeros(2, n, dtype=torch.long)
    past, policy = frames[:, :-1], trainer.agent.actor_critic.initial_state(2, "cpu")
    memory = trainer.agent.reward_model.initial_state(2, "cpu")
    return {
        "denoiser": networks["denoiser"](frames[:, 0], torch.ones(2), frames, actions),
        "reward_model": networks["reward_model"](past, actions[:, :-1], frames[:, 1:], memory)[0],
        "actor_critic": networks["actor_critic"](frames[:, 0], policy)[0],
    }


def assert_fresh(trainer: Trainer) -> dict[str, Tensor]:
    """The copies say what copies made this moment say; also of the policy in training, which acts in the dream."""
    acting = outputs(trainer.acting_agent().networks, trainer)
    made_now = {name: accelerate(learner.averaged) for name, learner in trainer.learners.items()}
    for name, expected in outputs(made_now, trainer).items():
        assert torch.equal(acting[name], expected), name
    learner = trainer.learners["actor_critic"]
    policy = {"actor_critic": trainer.copies.of(trainer.agent.actor_critic, learner.updates)}
    expected = outputs(made_now | {"actor_critic": accelerate(trainer.agent.actor_critic)}, trainer)
    assert torch.equal(outputs(made_now | policy, trainer)["actor_critic"], expected["actor_critic"])
    return acting


def test_after_each_update(trainer: Trainer) -> None:
    before = assert_fresh(trainer)
    for _ in range(3):
        trainer.update_denoiser()
        trainer.update_reward_model()
        trainer.update_actor_critic()
        after = assert_fresh(trainer)
        assert not any(torch.equal(before[name], after[name]) for name in NETWORKS)
        before = after


def test_after_going_back_to_a_checkpoint_of_as_many_updates(trainer: Trainer, tmp_path: Path) -> None:
    for learner in trainer.learners.values():
        randomised(learner.network, 1)
        randomised(learner.averaged, 1)
    trainer.copies.forget()
    kept = assert_fresh(trainer)
    trainer.epoch = 1
    run = RunFolder.create(tmp_path / "run", trainer.config, trainer.env.num_actions, (), fused=True)
    Keeper(run, trainer).write()
    checkpoint = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    with closing(make_env(trainer.config.env, 1, training=True)) as env:
        resumed = Trainer(trainer.config, env, tmp_path / "episodes", torch.device("cpu"))
        assert_fresh(resumed)  # makes copies of the weights before the checkpoint
        restore(checkpoint, resumed, Epoch(algorithm_1(resumed)))
        back = assert_fresh(resumed)
    assert all(torch.equal(back[name], kept[name]) for name in NETWORKS)
