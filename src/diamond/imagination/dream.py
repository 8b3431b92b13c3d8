"""The dream: one imagined step as a pure function of tensors (paper section 3.2, algorithm 1).

    (state, action, noise) -> (state, step)

Everything random enters as `DreamNoise`, shapes are fixed and nothing waits for the device, so that the step can be
compiled. Restarting is a separate function: training, `WorldModelEnv` and play decide when to call it.

Axes   b batch | n past frames | c h w image | r reward classes (-1, 0, +1) | d ends (goes on, ends)
Units  frames are floats in [-1, 1] on the 256-level pixel grid; rewards are signs
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diamond.diffusion.samplers import denoising_trajectory
from diamond.experience.actions import sample_categorical
from diamond.experience.frames import slide, to_pixel_grid
from diamond.experience.segments import Segment
from diamond.imagination.world import DreamNoise, DreamState, WorldModel


@dataclass(frozen=True)
class DreamStep:
    """What one imagined step brings."""

    frame: Float[Tensor, "b c h w"]
    reward: Float[Tensor, "b"]
    terminated: Bool[Tensor, "b"]
    reward_logits: Float[Tensor, "b r"]
    termination_logits: Float[Tensor, "b d"]


def dream_step(
    world: WorldModel, state: DreamState, action: Int[Tensor, "b"], noise: DreamNoise
) -> tuple[DreamState, DreamStep]:
    """Imagine the next frame, its reward and whether the episode ends there; no restart happens here."""
    actions = append_action(state.actions, action)
    return finish_step(world, state, actions, next_frame(world, state.frames, actions, noise), noise)


def append_action(actions: Int[Tensor, "b n"], action: Int[Tensor, "b"]) -> Int[Tensor, "b n"]:
    """The actions of the last n frames once `action` is taken in the newest one."""
    return torch.cat((actions[:, :-1], action[:, None]), dim=1)


def next_frame(
    world: WorldModel, frames: Float[Tensor, "b n c h w"], actions: Int[Tensor, "b n"], noise: DreamNoise
) -> Float[Tensor, "b c h w"]:
    """Draw the frame that follows `frames` under `actions`."""
    # The last step lands on the denoiser's own pixel grid up to float rounding, which this removes.
    return to_pixel_grid(denoising(world, frames, actions, noise)[-1])


def denoising(
    world: WorldModel, frames: Float[Tensor, "b n c h w"], actions: Int[Tensor, "b n"], noise: DreamNoise
) -> list[Float[Tensor, "b c h w"]]:
    """How the next frame comes out of noise: the images after 0, 1, .. denoising steps."""
    return denoising_trajectory(
        world.denoiser, noise.initial, noise.churn, frames, actions, world.denoiser_cfg, world.sampler_cfg
    )


def finish_step(
    world: WorldModel,
    state: DreamState,
    actions: Int[Tensor, "b n"],
    frame: Float[Tensor, "b c h w"],
    noise: DreamNoise,
) -> tuple[DreamState, DreamStep]:
    """Judge the step to `frame` by the reward and termination model; the state after it, and what it brought."""
    reward_logits, termination_logits, reward_state = world.reward_model(
        state.frames[:, -1:], actions[:, -1:], frame[:, None], state.reward_state
    )
    reward_logits, termination_logits = reward_logits[:, 0].float(), termination_logits[:, 0].float()
    following = DreamState(
        frames=slide(state.frames, frame),
        actions=torch.cat((actions[:, 1:], torch.zeros_like(actions[:, :1])), dim=1),
        reward_state=(reward_state[0].float(), reward_state[1].float()),
        steps=state.steps + 1,
    )
    step = DreamStep(
        frame=frame,
        reward=sample_categorical(reward_logits, noise.reward).float() - 1,
        terminated=sample_categorical(termination_logits, noise.termination) == 1,
        reward_logits=reward_logits,
        termination_logits=termination_logits,
    )
    return following, step


@torch.no_grad()
def begin(world: WorldModel, segment: Segment) -> DreamState:
    """Dreams about to continue real segments of n frames, the reward model's memory warmed up on their transitions."""
    frames, actions = segment.frames, segment.actions
    state = world.reward_model.initial_state(len(frames), frames.device)
    if frames.shape[1] > 1:
        *_, state = world.reward_model(frames[:, :-1], actions[:, :-1], frames[:, 1:], state)
    open_action = torch.zeros_like(actions[:, :1])
    return DreamState(
        frames=frames,
        actions=torch.cat((actions[:, :-1], open_action), dim=1),
        reward_state=(state[0].float(), state[1].float()),
        steps=torch.zeros(len(frames), dtype=torch.long, device=frames.device),
    )
