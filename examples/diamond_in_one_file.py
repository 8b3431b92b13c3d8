"""DIAMOND in one file: an agent learns a small game inside its own dream, in a minute or two on a CPU core.

    python examples/diamond_in_one_file.py --seed 0 --epochs 6

A ball falls, and a paddle below should be there when it lands (+1, else -1). `main` at the end is Algorithm 1 of the
paper: collect, learn the world model, learn to play in its dream, repeat. `diamond train` does the same, with
checkpoints, metrics and reports. Sections are those of the paper (Alonso et al. 2024, arXiv 2405.12399).

Axes   b batch | t time | n past frames | c h w image
Units  frames are floats in [-1, 1]; rewards are -1, 0 or +1
"""

import time
from itertools import islice
from typing import Any, SupportsInt

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from diamond import config as settings
from diamond.agents.agent import Agent
from diamond.agents.policies import ConstantPolicy, NetworkPolicy, Policy, RandomPolicy
from diamond.agents.rollout import rollout
from diamond.diffusion.edm import draw_training_noise, masked_mean, scalings
from diamond.envs import make_env
from diamond.envs.toy import Catch
from diamond.evaluation.scores import play_games
from diamond.evaluation.statistics import bootstrap_mean
from diamond.experience.actions import sample_categorical
from diamond.experience.replay import Replay
from diamond.experience.segments import Segment, reward_sign
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.returns import lambda_returns
from diamond.imagination.world import WorldModel, draw_noise, restart_where, select_state, where_state
from diamond.kernels import accelerate
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.reward_termination import RewardTerminationModel


class ShortCatch(Catch):
    """Catch in which each action lasts four steps, as in the paper's Atari games: a ball falls for 3 actions."""

    def step(self, action: SupportsInt) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act four times; no ball lands before the last."""
        for _ in range(3):
            super().step(action)
        return super().step(action)


gymnasium.register(id="ShortCatch-v0", entry_point=ShortCatch)

# The networks of appendix D, made small. Whatever is not named here has the paper's value.
UNET = settings.UNetConfig((16, 32), (1, 1), (False, False), condition_channels=64)
CONFIG = settings.Config(
    env=settings.EnvConfig(id="ShortCatch-v0", height=8, width=8),
    denoiser=settings.DenoiserConfig(UNET, context_length=2),
    sampler=settings.SamplerConfig(num_steps=1),  # 3 in the paper; one is enough if the next frame is certain
    reward_model=settings.RewardModelConfig((16, 16), (1, 1), (False, False), condition_channels=32, lstm_size=64),
    actor_critic=settings.ActorCriticConfig((32, 32), (True, True), lstm_size=128, entropy_weight=0.04),
)
GAMES, EPSILON = 8, 0.05  # real games side by side; probability of a random action while collecting
REAL_STEPS = (1_200, 200)  # in the first epoch, in each later one
DENOISER_UPDATES, REWARD_MODEL_UPDATES, POLICY_UPDATES = (300, 30), (350, 20), (20, 70)  # likewise
BATCH, REWARD_MODEL_FRAMES = 32, 4  # segments of real games, and the frames in those for the reward model
DREAMS, WINDOW = 64, 4  # dreams side by side, and the imagined steps between two updates of the policy
LEARNING_RATE = 1.5e-3
CPU = torch.device("cpu")


def denoiser_loss(network: nn.Module, batch: Segment, rng: torch.Generator) -> Tensor:
    """Predict a frame from a noisy version of it, given the n frames before it and their actions (section 3.1)."""
    past, clean, actions = batch.frames[:, :-1], batch.frames[:, -1], batch.actions[:, :-1]
    sigma, noise = draw_training_noise(clean.shape, CONFIG.denoiser, rng)
    noisy = clean + noise
    s = scalings(sigma, CONFIG.denoiser)  # section 2.2; Karras et al. 2022, table 1
    output = network(s.in_ * noisy, s.level, s.past * past, actions)
    target = (clean - s.skip * noisy) / s.out  # mostly the frame at high noise, mostly the noise at low noise
    return (output - target).square().mean()


def reward_model_loss(model: RewardTerminationModel, batch: Segment) -> Tensor:
    """Classify transitions: which sign the reward has, and whether the game ends there (section 3.2)."""
    frames, actions, memory = batch.frames, batch.actions[:, :-1], model.initial_state(BATCH, CPU)
    reward_logits, end_logits, _ = model(frames[:, :-1], actions, frames[:, 1:], memory)
    sign, end = reward_sign(batch.rewards[:, :-1]).long() + 1, batch.terminated[:, :-1].long()
    reward_error = F.cross_entropy(reward_logits.mT, sign, reduction="none")
    end_error = F.cross_entropy(end_logits.mT, end, reduction="none")
    return masked_mean(reward_error + end_error, batch.valid[:, :-1])


def policy_loss(policy: ActorCritic, world: WorldModel, real: Segment, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Dream on from real frames; make the actions that paid more likely (appendix F). Also returns the mean score."""
    cfg, memory = CONFIG.actor_critic, policy.initial_state(DREAMS, CPU)
    for frame in real.frames[:, :-1].unbind(1):
        *_, memory = policy(frame, memory)
    starts, start_memory, rows = begin(world, real), memory, []
    dream, noise_shape = starts, real.frames[:, -1].shape
    logits, value, memory = policy(dream.frames[:, -1], memory)
    for _ in range(WINDOW):
        action = sample_categorical(logits.detach(), torch.rand(DREAMS, generator=rng))
        with torch.no_grad():  # the gradient does not flow through the world model
            dream, step = dream_step(world, dream, action, draw_noise(noise_shape, world.sampler_cfg, rng))
        # A dream that ends goes on from another start.
        ended, other = step.terminated, torch.randint(DREAMS, (DREAMS,), generator=rng)
        dream = restart_where(ended, dream, starts, other)
        memory = where_state(ended, select_state(start_memory, other), memory)
        next_logits, next_value, memory = policy(dream.frames[:, -1], memory)
        rows.append((logits, value, action, step.reward, ended, next_value))
        logits, value = next_logits, next_value
    logits, values, actions, rewards, ended, next_values = map(torch.stack, zip(*rows, strict=True))

    # Equations 14 to 16: the lambda-return, and REINFORCE with the value as baseline. No dream is cut off.
    returns = lambda_returns(rewards, next_values, ended, torch.zeros_like(ended), cfg.discount, cfg.lambda_)
    chosen = torch.distributions.Categorical(logits=logits)
    policy_error = -(chosen.log_prob(actions) * (returns - values).detach()).mean()
    value_error = (values - returns).square().mean()
    loss = policy_error + value_error - cfg.entropy_weight * chosen.entropy().mean()
    return loss, rewards.sum() / ended.sum().clamp(min=1)


def update(optimizer: torch.optim.Optimizer, loss: Tensor, max_norm: float) -> None:
    """One gradient step."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], max_norm)
    optimizer.step()


def evaluate(name: str, player: Policy, games: int, seed: int) -> None:
    """Print the mean return over whole real games, with a 95 % interval."""
    returns = play_games(make_env(CONFIG.env, GAMES, training=False), player, games, seed=seed).returns
    mean, low, high, _ = bootstrap_mean(returns, np.random.default_rng(seed))
    print(f"{name:<20} {mean:5.2f} [{low:5.2f}, {high:5.2f}]")


def main(seed: int = 0, epochs: int = 6, games: int = 200) -> None:
    """Algorithm 1 of the paper on a small game.

    Args:
        seed: decides everything; the same seed gives the same result on the same machine.
        epochs: rounds of collecting and learning.
        games: fresh real games that each player is judged by at the end.
    """
    torch.set_num_threads(1)
    began, rng = time.monotonic(), torch.Generator().manual_seed(seed)
    env = make_env(CONFIG.env, GAMES, training=True)
    agent = Agent.create(CONFIG, env.num_actions, seed)
    denoiser, reward_model, policy = agent.denoiser, agent.reward_model, agent.actor_critic
    learn = {name: torch.optim.AdamW(net.parameters(), LEARNING_RATE) for name, net in agent.networks.items()}
    context = CONFIG.denoiser.context_length

    # The player holds the network itself, so it plays better as the network learns.
    first_frames, _ = env.reset(seed=seed)
    played = rollout(env, NetworkPolicy(policy, GAMES, CPU, rng, epsilon=EPSILON), first_frames)
    replay = Replay(10_000, CONFIG.env.height, CONFIG.env.width, GAMES, CPU)
    replay.begin(first_frames)

    for epoch in range(epochs):
        later, real_returns = int(epoch > 0), []
        for step in islice(played, REAL_STEPS[later] // GAMES):
            ends, frames = (step.terminated, step.truncated), (step.successors, step.next_frames)
            finished = replay.add(step.actions, step.rewards, *ends, *frames)
            real_returns += [float(episode.rewards.sum()) for _, episode in finished]

        for _ in range(DENOISER_UPDATES[later]):
            batch = replay.sample(BATCH, context + 1, rng, (), final_frames=True)
            denoiser_error = denoiser_loss(denoiser, batch, rng)
            update(learn["denoiser"], denoiser_error, max_norm=1)

        for _ in range(REWARD_MODEL_UPDATES[later]):
            batch = replay.sample_transitions(BATCH, REWARD_MODEL_FRAMES, rng, ())
            reward_model_error = reward_model_loss(reward_model, batch)
            update(learn["reward_model"], reward_model_error, max_norm=100)

        # Copies on fused kernels dream twice as fast; without a C++ compiler they are the networks themselves.
        world = WorldModel.of(accelerate(denoiser), accelerate(reward_model), CONFIG)
        for _ in range(POLICY_UPDATES[later]):
            loss, dreamed_return = policy_loss(policy, world, replay.sample(DREAMS, context, rng, ()), rng)
            update(learn["actor_critic"], loss, max_norm=100)

        print(
            f"epoch {epoch + 1}: {replay.num_steps:,} real steps, return {np.mean(real_returns):5.2f} | "
            f"loss of denoiser {denoiser_error:.3f}, of reward model {reward_model_error:.3f} | "
            f"return in the dream {dreamed_return:5.2f} | {time.monotonic() - began:.0f} s"
        )

    print(f"\nMean return of {games} fresh games, with 95 % intervals:")
    players: dict[str, Policy] = {f"always {name}": ConstantPolicy(i) for i, name in enumerate(env.action_meanings)}
    players["random"] = RandomPolicy(env.num_actions, np.random.default_rng(seed))
    players["learned in the dream"] = NetworkPolicy(policy, GAMES, CPU, torch.Generator().manual_seed(seed))
    for name, player in players.items():
        evaluate(name, player, games, seed + 1)


if __name__ == "__main__":
    tyro.cli(main)
