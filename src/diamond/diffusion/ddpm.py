"""The rival of the paper's section 5.1: denoising diffusion that predicts the noise (Ho et al. 2020, DDPM).

    noisy = sqrt(signal) * clean + sqrt(1 - signal) * noise        signal = product of (1 - beta) up to the time step

The network sees the noisy frame and the context as they are: nothing is scaled, and the prediction is of the noise,
which at high noise is nearly the input itself. This is what EDM's preconditioning (`diffusion.edm`) mends.

Axes   b batch | n past frames | c h w image | s denoising steps
Units  frames are floats in [-1, 1]; time steps are integers, 0 the least noise
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diamond.diffusion.edm import Network, masked_mean
from diamond.experience.frames import to_pixel_grid
from diamond.experience.segments import Segment


@dataclass(frozen=True)
class DDPMConfig:
    """The noise of training; the defaults are those of the published comparison."""

    num_levels: int = 1_000
    """Time steps in training."""
    beta_start: float = 1e-4
    """Share of the variance that the first time step replaces by noise."""
    beta_end: float = 2e-2
    """Share that the last one replaces; those between lie on a line."""
    offset: float = 0.0
    """Standard deviation of one value per image and channel, part of the noise to predict."""


def signal_levels(cfg: DDPMConfig) -> Float[Tensor, "t"]:
    """How much of the frame's variance is left at each time step (DDPM section 2, alpha-bar)."""
    betas = torch.linspace(cfg.beta_start, cfg.beta_end, cfg.num_levels)
    return (1 - betas).cumprod(dim=0)


def noise_to_predict(
    pixel_normal: Float[Tensor, "b c h w"], offset_normal: Float[Tensor, "b c 1 1"], cfg: DDPMConfig
) -> Float[Tensor, "b c h w"]:
    """Unit noise per pixel plus offset noise, one value per image and channel."""
    return pixel_normal + cfg.offset * offset_normal


def predict_noise(
    network: Network,
    noisy: Float[Tensor, "b c h w"],
    time_step: Int[Tensor, "b"],
    context: Float[Tensor, "b n c h w"],
    actions: Int[Tensor, "b n"],
    cfg: DDPMConfig,
) -> Float[Tensor, "b c h w"]:
    """The network's guess of the noise in `noisy`."""
    return network(noisy, (time_step + 1) / cfg.num_levels, context, actions)


def ddpm_loss(
    network: Network,
    segment: Segment,
    time_step: Int[Tensor, "b"],
    noise: Float[Tensor, "b c h w"],
    cfg: DDPMConfig,
) -> Float[Tensor, ""]:
    """Mean squared error of the predicted noise in the segment's last frame, over valid frames (DDPM equation 14)."""
    signal = signal_levels(cfg).to(noise.device)[time_step][:, None, None, None]
    noisy = signal.sqrt() * segment.frames[:, -1] + (1 - signal).sqrt() * noise
    predicted = predict_noise(network, noisy, time_step, segment.frames[:, :-1], segment.actions[:, :-1], cfg)
    error = (predicted - noise).square().mean(dim=(1, 2, 3))
    return masked_mean(error, segment.valid[:, -1])


def time_steps(num_steps: int, cfg: DDPMConfig) -> list[int]:
    """The time steps that sampling visits: multiples of an equal distance, from the noisiest to 0.

    A single step starts in the middle instead: near the end, predicting noise is copying the input, and the frame that
    is left over means nothing (the published choice, paper section 5.1).
    """
    if num_steps == 1:
        return [cfg.num_levels // 2]
    distance = cfg.num_levels // num_steps
    return [step * distance for step in reversed(range(num_steps))]


def ddpm_sample(
    network: Network,
    initial: Float[Tensor, "b c h w"],
    step_normal: Float[Tensor, "s b c h w"],
    context: Float[Tensor, "b n c h w"],
    actions: Int[Tensor, "b n"],
    cfg: DDPMConfig,
    truncate: bool = False,
) -> Float[Tensor, "b c h w"]:
    """Draw the next frame in s steps (DDPM algorithm 2, with the clean frame clipped and the smaller variance).

    Args:
        network: the noise predictor.
        initial: standard normal, the image that sampling starts from.
        step_normal: standard normal draws, one image a step; the last step takes none.
        context, actions: the last n frames and the actions taken in them.
        cfg: the noise of training.
        truncate: round down to the pixel grid, as the published code does.
    """
    signals = signal_levels(cfg)
    steps = time_steps(len(step_normal), cfg)
    x = initial
    for index, step in enumerate(steps):
        signal = float(signals[step])
        level = torch.full((len(x),), step, device=x.device)
        noise = predict_noise(network, x, level, context, actions, cfg).float()
        clean = ((x - (1 - signal) ** 0.5 * noise) / signal**0.5).clamp(-1, 1)
        if index + 1 == len(steps):
            x = clean
        else:
            x = _posterior(x, clean, signal, float(signals[steps[index + 1]]), step_normal[index])
    return to_pixel_grid(x, truncate)


def _posterior(x: Tensor, clean: Tensor, signal: float, next_signal: float, normal: Tensor) -> Tensor:
    """A draw at the next time step, given the noisy frame and the clean one (DDPM equations 6 and 7)."""
    kept = signal / next_signal
    mean_clean = next_signal**0.5 * (1 - kept) / (1 - signal)
    mean_noisy = kept**0.5 * (1 - next_signal) / (1 - signal)
    variance = (1 - next_signal) / (1 - signal) * (1 - kept)
    return mean_clean * clean + mean_noisy * x + variance**0.5 * normal
