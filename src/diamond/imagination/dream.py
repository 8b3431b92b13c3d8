"""The dream: one imagined step as a pure function of tensors (paper section 3.2, algorithm 1).

    (state, action, noise) -> (state, step)

Everything random enters as `DreamNoise`, shapes are fixed and nothing waits for the device, so that the step can be
compiled. Restarting is a separate function: training, `WorldModelEnv` and play decide when to call it.

Axes   b batch | n past frames | c h w image | s denoising steps | p start pool | m recurrent state
Units  frames are floats in [-1, 1] on the 256-level pixel grid; rewards are signs
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from diamond.config import Config, DenoiserConfig, SamplerConfig
from diamond.diffusion.edm import Network
from diamond.diffusion.samplers import denoising_trajectory, uses_churn
from diamond.experience.frames import slide, to_pixel_grid
from diamond.experience.segments import Segment
from diamond.networks.blocks import LSTMState
from diamond.networks.reward_termination import RewardTerminationModel


@dataclass(frozen=True)
class WorldModel:
    """What dreaming needs: the two networks and how to use them."""

    denoiser: Network
    reward_model: RewardTerminationModel
    denoiser_cfg: DenoiserConfig
    sampler_cfg: SamplerConfig

    @classmethod
    def of(cls, denoiser: Network, reward_model: RewardTerminationModel, config: Config) -> "WorldModel":
        """The world model of a run's configuration."""
        return cls(denoiser, reward_model, config.denoiser, config.sampler)


@dataclass(frozen=True)
class DreamState:
    """All that decides how a dream goes on."""

    frames: Float[Tensor, "b n c h w"]
    """The last n frames, newest last."""
    actions: Int[Tensor, "b n"]
    """The actions taken in `frames`; the newest is still open and holds 0."""
    reward_state: LSTMState
    """Recurrent state of the reward and termination model before the next transition."""
    steps: Int[Tensor, "b"]
    """Imagined steps since the dream started."""

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors, for checkpoints."""
        hidden, cell = self.reward_state
        return {
            "frames": self.frames,
            "actions": self.actions,
            "hidden": hidden,
            "cell": cell,
            "steps": self.steps,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "DreamState":
        """The inverse of `tensors`."""
        return cls(tensors["frames"], tensors["actions"], (tensors["hidden"], tensors["cell"]), tensors["steps"])


@dataclass(frozen=True)
class DreamNoise:
    """The randomness of one imagined step."""

    initial: Float[Tensor, "b c h w"]
    """Standard normal: the image that sampling starts from."""
    churn: Float[Tensor, "s b c h w"] | None
    """Standard normal, one image a denoising step; None for a sampler without churn."""
    reward: Float[Tensor, "b"]
    """Uniform in [0, 1): decides the reward."""
    termination: Float[Tensor, "b"]
    """Uniform in [0, 1): decides the termination."""


@dataclass(frozen=True)
class DreamStep:
    """What one imagined step brings."""

    frame: Float[Tensor, "b c h w"]
    reward: Float[Tensor, "b"]
    terminated: Bool[Tensor, "b"]
    reward_logits: Float[Tensor, "b r"]
    termination_logits: Float[Tensor, "b d"]


def draw_noise(shape: torch.Size, cfg: SamplerConfig, generator: torch.Generator) -> DreamNoise:
    """Fresh randomness for frames of `shape` (b, c, h, w), on the generator's device."""
    device = generator.device
    churn = None
    if uses_churn(cfg):
        churn = torch.randn((cfg.num_steps, *shape), generator=generator, device=device)
    return DreamNoise(
        initial=torch.randn(shape, generator=generator, device=device),
        churn=churn,
        reward=torch.rand(shape[0], generator=generator, device=device),
        termination=torch.rand(shape[0], generator=generator, device=device),
    )


def dream_step(
    world: WorldModel, state: DreamState, action: Int[Tensor, "b"], noise: DreamNoise
) -> tuple[DreamState, DreamStep]:
    """Imagine the next frame, its reward and whether the episode ends there; no restart happens here."""
    actions = closed(state.actions, action)
    return arrive(world, state, actions, next_frame(world, state.frames, actions, noise), noise)


def closed(actions: Int[Tensor, "b n"], action: Int[Tensor, "b"]) -> Int[Tensor, "b n"]:
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


def arrive(
    world: WorldModel,
    state: DreamState,
    actions: Int[Tensor, "b n"],
    frame: Float[Tensor, "b c h w"],
    noise: DreamNoise,
) -> tuple[DreamState, DreamStep]:
    """What the step to `frame` brings, by the reward and termination model, and the state from there on."""
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


def sample_categorical(logits: Float[Tensor, "*batch k"], uniform: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """Draw a class by inverting the cumulative distribution at `uniform`."""
    cumulative = logits.softmax(dim=-1).cumsum(dim=-1)
    return (cumulative[..., :-1] <= uniform[..., None]).sum(dim=-1)


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


def restart_where(done: Bool[Tensor, "b"], state: DreamState, pool: DreamState, index: Int[Tensor, "b"]) -> DreamState:
    """Replace finished dreams by entries of `pool`; the others go on untouched."""
    chosen = select(pool, index)
    return DreamState(
        frames=where(done, chosen.frames, state.frames),
        actions=where(done, chosen.actions, state.actions),
        reward_state=where_state(done, chosen.reward_state, state.reward_state),
        steps=where(done, chosen.steps, state.steps),
    )


def select(pool: DreamState, index: Int[Tensor, "b"]) -> DreamState:
    """The entries of `pool` at `index`."""
    hidden, cell = pool.reward_state
    return DreamState(pool.frames[index], pool.actions[index], (hidden[index], cell[index]), pool.steps[index])


def where(mask: Bool[Tensor, "b"], yes: Shaped[Tensor, "b *rest"], no: Shaped[Tensor, "b *rest"]) -> Tensor:
    """`torch.where` along the batch axis."""
    return torch.where(mask.reshape(-1, *(1,) * (yes.ndim - 1)), yes, no)


def where_state(mask: Bool[Tensor, "b"], yes: LSTMState, no: LSTMState) -> LSTMState:
    """`where` for a recurrent state."""
    return where(mask, yes[0], no[0]), where(mask, yes[1], no[1])


StartSource = Callable[[int, torch.Generator], Segment]
"""Draws the given number of real segments that dreams may start from, with a generator on the CPU."""
