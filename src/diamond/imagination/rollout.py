"""Acting in the dream (paper algorithm 1, "update actor-critic").

A window is rolled out without gradient, then the policy is evaluated once more on all its frames as one batch with
gradient. That is the gradient of stepwise back-propagation through the window, with one large convolution instead of
many small ones.

Axes   t window | b dreams | p start pool | n past frames | c h w image | a actions
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diamond.experience.actions import sample_categorical
from diamond.imagination.dream import dream_step
from diamond.imagination.world import (
    DreamNoise,
    DreamState,
    WorldModel,
    draw_noise,
    restart_where,
    select_state,
    where,
    where_state,
)
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.blocks import LSTMState

SPARE_STARTS = 0.25
"""Start segments drawn beyond the restarts that the horizon alone causes; if terminations use up more, they are
shared."""


@dataclass(frozen=True)
class Carry:
    """What lives on from one window to the next: the dreams and the policy's memory before their newest frame."""

    dream: DreamState
    policy_state: LSTMState


@dataclass(frozen=True)
class WindowNoise:
    """The randomness of a window, one entry a step."""

    dream: list[DreamNoise]
    action: Float[Tensor, "t b"]
    """Uniform in [0, 1): decides the actions."""


@dataclass(frozen=True)
class Trajectory:
    """A window of imagined experience."""

    frames: Float[Tensor, "t b c h w"]
    actions: Int[Tensor, "t b"]
    rewards: Float[Tensor, "t b"]
    terminated: Bool[Tensor, "t b"]
    truncated: Bool[Tensor, "t b"]
    next_value: Float[Tensor, "t b"]
    """Value of each true successor, before any restart."""
    start_index: Int[Tensor, "t b"]
    """The pool entry that a dream restarted from after this step, where it ended."""
    policy_state: LSTMState
    """The policy's memory before the first frame."""
    start_state: LSTMState
    """The policy's memory before the newest frame of each entry of the pool."""


def pool_size(num_dreams: int, window: int, horizon: int) -> int:
    """How many start segments a window draws; dreams often reach the horizon together."""
    return math.ceil(num_dreams * math.ceil(window / horizon) * (1 + SPARE_STARTS))


def draw_window_noise(shape: torch.Size, window: int, world: WorldModel, generator: torch.Generator) -> WindowNoise:
    """Fresh randomness for a window of frames of `shape` (b, c, h, w)."""
    steps = [draw_noise(shape, world.sampler_cfg, generator) for _ in range(window)]
    return WindowNoise(steps, torch.rand(window, shape[0], generator=generator, device=generator.device))


def burn_in(policy: ActorCritic, frames: Float[Tensor, "p n c h w"]) -> LSTMState:
    """The policy's memory after all but the newest of `frames`, from zeros."""
    state = policy.initial_state(len(frames), frames.device)
    past = frames[:, :-1]
    if past.shape[1] == 0:
        return state
    features = policy.encode(past.flatten(0, 1)).unflatten(0, past.shape[:2])
    for t in range(past.shape[1]):
        *_, state = policy.from_features(features[:, t], state)
    return state


@dataclass(frozen=True)
class PolicyOutput:
    """What the policy makes of the newest frames of dreams."""

    dream: DreamState
    state_before: LSTMState
    """The policy's memory before it saw the newest frames."""
    logits: Float[Tensor, "b a"]
    state: LSTMState
    """Its memory after them."""


Row = tuple[Tensor, ...]
"""What one step adds to a `Trajectory`: its fields but the last two, in their order."""
Begin = Callable[[ActorCritic, Carry, DreamState], tuple[PolicyOutput, PolicyOutput]]
Step = Callable[
    [WorldModel, ActorCritic, PolicyOutput, PolicyOutput, Tensor, DreamNoise, Tensor, int],
    tuple[PolicyOutput, Tensor, Row],
]


def begin_window(policy: ActorCritic, carry: Carry, pool: DreamState) -> tuple[PolicyOutput, PolicyOutput]:
    """The policy's output for the dreams that go on, and for those of the pool, of which it has seen all frames."""
    starts = policy_output(policy, pool, burn_in(policy, pool.frames))
    return policy_output(policy, carry.dream, carry.policy_state), starts


def policy_output(policy: ActorCritic, dream: DreamState, state: LSTMState) -> PolicyOutput:
    """Show the policy the newest frames."""
    logits, _, state_after = policy(dream.frames[:, -1], state)
    return PolicyOutput(dream, state, logits, state_after)


def imagine_step(
    world: WorldModel,
    policy: ActorCritic,
    now: PolicyOutput,
    starts: PolicyOutput,
    restarts: Int[Tensor, ""],
    noise: DreamNoise,
    action_noise: Float[Tensor, "b"],
    horizon: int,
) -> tuple[PolicyOutput, Int[Tensor, ""], Row]:
    """Act, dream on, look at what came; dreams that end or reach the horizon restart from the pool `starts`, of which
    `restarts` entries have been used so far.

    All of it is one graph of fixed shapes, so that it can be compiled whole.
    """
    frame = now.dream.frames[:, -1]
    action = sample_categorical(now.logits.float(), action_noise)
    dream, step = dream_step(world, now.dream, action, noise)
    truncated = (dream.steps >= horizon) & ~step.terminated
    done = step.terminated | truncated
    # Each ended dream takes the next unused entry of the pool.
    index = (restarts + done.cumsum(0) - 1).clamp(min=0) % len(starts.dream.steps)
    logits, value, state = policy(step.frame, now.state)
    # In a restarted dream the policy has seen the pool's start frame instead of the successor.
    following = PolicyOutput(
        dream=restart_where(done, dream, starts.dream, index),
        state_before=where_state(done, select_state(starts.state_before, index), now.state),
        logits=where(done, starts.logits[index], logits),
        state=where_state(done, select_state(starts.state, index), state),
    )
    row = (frame, action, step.reward, step.terminated, truncated, value.float(), index)
    return following, restarts + done.sum(), row


@torch.no_grad()
def imagine(
    world: WorldModel,
    policy: ActorCritic,
    carry: Carry,
    pool: DreamState,
    noise: WindowNoise,
    horizon: int,
    begin: Begin = begin_window,
    step: Step = imagine_step,
) -> tuple[Carry, Trajectory]:
    """Roll the policy out in the dream for one window, without gradient; dreams that end restart from the pool.

    `begin` and `step` are `begin_window` and `imagine_step`, or these compiled.
    """
    now, starts = begin(policy, carry, pool)
    restarts = torch.zeros((), dtype=torch.long, device=now.logits.device)
    rows: list[Row] = []
    for step_noise, action_noise in zip(noise.dream, noise.action, strict=True):
        now, restarts, row = step(world, policy, now, starts, restarts, step_noise, action_noise, horizon)
        rows.append(row)
    frames, actions, rewards, terminated, truncated, values, indices = map(torch.stack, zip(*rows, strict=True))
    trajectory = Trajectory(
        frames,
        actions,
        rewards,
        terminated,
        truncated,
        values,
        indices,
        policy_state=carry.policy_state,
        start_state=starts.state_before,
    )
    return Carry(now.dream, (now.state_before[0].float(), now.state_before[1].float())), trajectory


def evaluate_policy(
    policy: ActorCritic, trajectory: Trajectory, pool: DreamState, burn_in_gradient: bool
) -> tuple[Float[Tensor, "t b a"], Float[Tensor, "t b"]]:
    """Logits and values of the whole window with gradient; memory is cut, restarted and warmed up as in the rollout.

    With `burn_in_gradient` it is warmed up once more, with gradient.
    """
    done = trajectory.terminated | trajectory.truncated
    features = policy.encode(trajectory.frames.flatten(0, 1)).unflatten(0, done.shape)
    start_state = burn_in(policy, pool.frames) if burn_in_gradient else trajectory.start_state
    state = trajectory.policy_state
    logits, values = [], []
    for t in range(len(done)):
        step_logits, value, state = policy.from_features(features[t], state)
        index = trajectory.start_index[t]
        state = where_state(done[t], select_state(start_state, index), state)
        logits.append(step_logits.float())
        values.append(value.float())
    return torch.stack(logits), torch.stack(values)
