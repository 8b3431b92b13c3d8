"""A world model, the state of its dreams and the randomness of a step, as plain data.

Nothing here predicts; `dream` steps from one state to the next.

Axes   b batch | n past frames | c h w image | s denoising steps | p start pool | m recurrent state
Units  frames are floats in [-1, 1] on the 256-level pixel grid
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from diamond.config import Config, DenoiserConfig, SamplerConfig
from diamond.diffusion.edm import Network
from diamond.diffusion.samplers import uses_churn
from diamond.experience.segments import Segment
from diamond.networks.blocks import LSTMState
from diamond.networks.reward_termination import RewardTerminationModel

StartSource = Callable[[int, torch.Generator], Segment]
"""Draws the given number of real segments that dreams may start from, with a generator on the CPU."""


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
    reward_state = select_state(pool.reward_state, index)
    return DreamState(pool.frames[index], pool.actions[index], reward_state, pool.steps[index])


def select_state(state: LSTMState, index: Int[Tensor, "b"]) -> LSTMState:
    """The entries of a recurrent state at `index`."""
    return state[0][index], state[1][index]


def where(mask: Bool[Tensor, "b"], yes: Shaped[Tensor, "b *rest"], no: Shaped[Tensor, "b *rest"]) -> Tensor:
    """`torch.where` along the batch axis."""
    return torch.where(mask.reshape(-1, *(1,) * (yes.ndim - 1)), yes, no)


def where_state(mask: Bool[Tensor, "b"], yes: LSTMState, no: LSTMState) -> LSTMState:
    """`where` for a recurrent state."""
    return where(mask, yes[0], no[0]), where(mask, yes[1], no[1])
