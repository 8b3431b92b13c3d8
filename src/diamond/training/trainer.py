"""The parts of a training run, put together once.

The order in which they run is in `algorithm`; what a checkpoint keeps of them is in `state`.

Axes   b batch | t time | k predicted frames | c h w image
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diamond import kernels
from diamond.agents.agent import Agent
from diamond.config import Config
from diamond.diffusion.edm import denoising_loss, draw_training_noise
from diamond.envs import RealEnv
from diamond.experience.episodes import Episode, EpisodeFolder
from diamond.experience.recordings import recorded_episodes
from diamond.experience.replay import Replay
from diamond.experience.segments import Segment
from diamond.imagination.dream import begin
from diamond.imagination.returns import lambda_returns
from diamond.imagination.rollout import (
    Begin,
    Carry,
    Step,
    Trajectory,
    begin_window,
    draw_window_noise,
    evaluate_policy,
    imagine,
    imagine_step,
    pool_size,
)
from diamond.imagination.world import DreamState, WorldModel
from diamond.runs.metrics import Row
from diamond.runs.streams import RandomStreams, derive_seed
from diamond.training.collector import Collected, Collector
from diamond.training.learner import Learner
from diamond.training.objectives import Metrics, actor_critic_loss, reward_termination_loss


@dataclass(frozen=True)
class TrainingFunctions:
    """The functions that training spends its time in, as they are or compiled."""

    denoising_loss: Callable[..., Tensor]
    reward_termination_loss: Callable[..., tuple[Tensor, Metrics]]
    begin_dreams: Callable[[WorldModel, Segment], DreamState]
    begin_window: Begin
    imagine_step: Step
    evaluate_policy: Callable[..., tuple[Tensor, Tensor]]

    def compiled(self) -> "TrainingFunctions":
        """Each as one graph without a break, compiled once for each of its few fixed shapes."""
        torch._dynamo.config.allow_rnn = True  # else PyTorch does not compile what holds one of its recurrent layers
        functions = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        as_one_graph = partial(torch.compile, fullgraph=True, dynamic=False)
        return TrainingFunctions(**{name: as_one_graph(function) for name, function in functions.items()})


def recorded_for(config: Config, env: RealEnv) -> Iterator[Episode]:
    """The recordings that a run begins with; see `recorded_episodes`."""
    cfg, shape = config.collection, (config.env.height, config.env.width, 3)
    return recorded_episodes(cfg.recordings, env.name, env.num_actions, shape, cfg.dreamed_recordings)


class Trainer:
    """Owns everything that changes while training; its first methods are the lines of the paper's algorithm 1."""

    def __init__(self, config: Config, env: RealEnv, episodes: Path, device: torch.device) -> None:
        self.config = config
        self.env = env
        self.device = device
        self.epoch = 0
        self.env_steps = 0
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        num_actions = env.num_actions
        self.agent = Agent.create(config, num_actions, derive_seed(config.seed, "weights"), env.action_meanings)
        self.agent.to(device)
        self.learners = {
            name: Learner(name, network, getattr(config.updates, name)) for name, network in self.agent.networks.items()
        }
        self.copies = kernels.Copies(kernels.in_use(config.compute, device))
        """What dreams and acts without gradient, renewed when it is asked for after an update."""
        self.streams = RandomStreams(config.seed, device)
        self.replay = Replay(config.collection.total_steps, config.env.height, config.env.width, env.num_envs, device)
        self.collector = Collector(env, self.replay, self.agent.actor_critic, device)
        self.episode_folder = EpisodeFolder(episodes)
        self.finished_episodes: list[int] = []
        self.carry: Carry | None = None
        functions = TrainingFunctions(
            denoising_loss, reward_termination_loss, begin, begin_window, imagine_step, evaluate_policy
        )
        self._functions = functions.compiled() if config.compute.compile else functions

    # Algorithm 1

    def begin(self) -> None:
        """Take over recorded episodes, if any, and start the first real games."""
        recorded = recorded_for(self.config, self.env)
        self.replay.load(self._keep(index, episode) for index, episode in enumerate(recorded))
        self.collector.begin(derive_seed(self.config.seed, "env") % 2**31)

    def collect(self, steps: int) -> Collected:
        """Play the real game; finished episodes go to disk at once."""
        policy = self.acting_agent().actor_critic
        collected = self.collector.collect(steps, policy, self.config.collection.epsilon, self.streams["collect"])
        for index, episode in collected.episodes:
            self._keep(index, episode)
        self.env_steps += collected.steps
        return collected

    def update_denoiser(self) -> Metrics:
        """One gradient step of the denoiser."""
        cfg, learner = self.config.denoiser, self.learners["denoiser"]
        length = cfg.context_length + cfg.autoregressive_steps
        segment = self.replay.sample(
            learner.cfg.batch_size,
            length,
            self.streams["denoiser_batches"],
            self.config.replay.age_weights,
            final_frames=cfg.final_frames,
        )
        shape = segment.frames[:, cfg.context_length :].shape
        sigma, noise = draw_training_noise(shape, cfg, self.streams["denoiser_noise"])
        with self._autocast():
            loss = self._functions.denoising_loss(self.agent.denoiser, segment, sigma, noise, cfg)
        norm = learner.step(loss)
        return {"loss": loss.detach(), "gradient_norm": norm}

    def update_reward_model(self) -> Metrics:
        """One gradient step of the reward and termination model."""
        learner = self.learners["reward_model"]
        segment = self.replay.sample_transitions(
            learner.cfg.batch_size,
            self.config.reward_model.segment_length,
            self.streams["reward_model_batches"],
            self.config.replay.age_weights,
        )
        with self._autocast():
            loss, metrics = self._functions.reward_termination_loss(self.agent.reward_model, segment)
        return {**metrics, "gradient_norm": learner.step(loss)}

    def update_actor_critic(self) -> Metrics:
        """Dream for one window, then one gradient step of the actor-critic."""
        cfg, learner = self.config.actor_critic, self.learners["actor_critic"]
        trajectory, pool = self.dream_window()
        with self._autocast():
            logits, values = self._functions.evaluate_policy(
                self.agent.actor_critic, trajectory, pool, cfg.burn_in_gradient
            )
            returns = lambda_returns(
                trajectory.rewards,
                trajectory.next_value,
                trajectory.terminated,
                trajectory.truncated,
                cfg.discount,
                cfg.lambda_,
            )
            loss, metrics = actor_critic_loss(logits, values, trajectory.actions, returns, cfg)
        dream = {
            "dream_reward": trajectory.rewards.mean(),
            "dream_termination": trajectory.terminated.float().mean(),
            "gradient_norm": learner.step(loss),
        }
        return {**metrics, **dream}

    # Parts

    def _keep(self, index: int, episode: Episode) -> tuple[int, Episode]:
        """Put a finished episode into the run's folder, and into every checkpoint from now on."""
        self.episode_folder.write(index, episode)
        self.finished_episodes.append(index)
        return index, episode

    def dream_window(self) -> tuple[Trajectory, DreamState]:
        """Dream on for one window, without gradient; returns it and the pool of starts for dreams that end in it."""
        window, cfg = self.config.actor_critic.window, self.config.imagination
        world = self.world_model()
        with self._autocast():
            carry = self.carry if self.carry is not None else self._first_carry(world)
            pool = self._starts(world, pool_size(cfg.num_envs, window, cfg.horizon))
            noise = draw_window_noise(carry.dream.frames[:, 0].shape, window, world, self.streams["dream_noise"])
            steps = self._functions.begin_window, self._functions.imagine_step
            policy = self.copies.of(self.agent.actor_critic, self.learners["actor_critic"].updates)
            self.carry, trajectory = imagine(world, policy, carry, pool, noise, cfg.horizon, *steps)
        return trajectory, pool

    def world_model(self) -> WorldModel:
        """The dream as the agent sees it now."""
        return WorldModel.of(self._acting("denoiser"), self._acting("reward_model"), self.config)

    def acting_agent(self) -> Agent:
        """The agent to dream and act with, without gradient; its weights are averages if the configuration says so."""
        networks = {name: self._acting(name) for name in self.learners}
        return Agent(self.config, self.agent.num_actions, **networks, action_meanings=self.agent.action_meanings)

    def _acting(self, name: str) -> Any:
        learner = self.learners[name]
        return self.copies.of(learner.averaged, learner.updates)

    def _starts(self, world: WorldModel, count: int) -> DreamState:
        segment = self.replay.sample(
            count,
            self.config.denoiser.context_length,
            self.streams["actor_critic_batches"],
            self.config.replay.age_weights,
        )
        return self._functions.begin_dreams(world, segment)

    def _first_carry(self, world: WorldModel) -> Carry:
        dreams = self.config.imagination.num_envs
        return Carry(self._starts(world, dreams), self.agent.actor_critic.initial_state(dreams, self.device))

    def _autocast(self) -> AbstractContextManager[object]:
        if not self.config.compute.bfloat16:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def note_score(self, row: Row) -> None:
        """Remember the mean return in the metrics of the epoch that has just ended, if there is one and it is the best
        so far."""
        score = row.get("evaluation/return_mean")
        if score is not None and (self.best_score is None or score > self.best_score):
            self.best_score, self.best_epoch = score, self.epoch

    def rarer_rewards(self) -> int:
        """Samples of the two rarer reward signs together."""
        counts = self.replay.reward_sign_counts()
        return sum(counts) - max(counts)

    def replay_facts(self) -> Row:
        """What has been collected so far."""
        negative, zero, positive = self.replay.reward_sign_counts()
        return {
            "replay/episodes": self.replay.num_episodes,
            "replay/rewards_negative": negative,
            "replay/rewards_zero": zero,
            "replay/rewards_positive": positive,
            "disk/episode_bytes": self.episode_folder.bytes_on_disk(),
            "memory/replay_bytes": self.replay.memory_bytes,
        }
