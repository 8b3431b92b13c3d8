"""Drawing a frame by following the noise down (Karras et al. 2022, equation 5 and algorithm 2).

Axes   b batch | n past frames | c h w image | s denoising steps
Units  frames are floats in [-1, 1]; sigma is the noise's standard deviation in those units
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diamond.config import DenoiserConfig, SamplerConfig
from diamond.diffusion import edm

Denoise = Callable[[Tensor, float], Tensor]
"""(noisy frame (b c h w), its noise level) -> denoised frame (b c h w)."""
Step = Callable[[Denoise, Tensor, Tensor, float, float], Tensor]
"""(denoise, frame (b c h w), slope there (b c h w), its noise level, the next one) -> the frame at the next level."""


def euler(
    denoise: Denoise, x: Float[Tensor, "b c h w"], slope: Float[Tensor, "b c h w"], sigma: float, next_sigma: float
) -> Float[Tensor, "b c h w"]:
    """Follow the slope: first order, no further network call."""
    return x + slope * (next_sigma - sigma)


def heun(
    denoise: Denoise, x: Float[Tensor, "b c h w"], slope: Float[Tensor, "b c h w"], sigma: float, next_sigma: float
) -> Float[Tensor, "b c h w"]:
    """Follow the mean of the slopes at both ends: second order, one more network call, except in the last step."""
    ahead = euler(denoise, x, slope, sigma, next_sigma)
    if next_sigma == 0:
        return ahead
    next_slope = (ahead - denoise(ahead, next_sigma)) / next_sigma
    return x + (slope + next_slope) * (0.5 * (next_sigma - sigma))


STEPS: dict[int, Step] = {1: euler, 2: heun}
"""The step of each `sampler.order`."""


def noise_schedule(cfg: SamplerConfig) -> list[float]:
    """The `num_steps` noise levels visited, then 0 (EDM equation 5)."""
    low, high, last = cfg.sigma_min ** (1 / cfg.rho), cfg.sigma_max ** (1 / cfg.rho), cfg.num_steps - 1
    between = [(high + i / last * (low - high)) ** cfg.rho for i in range(1, last)]
    # Both ends are exact, so that they count as inside [s_tmin, s_tmax] when they are equal to its edges.
    return [cfg.sigma_max, *between, *([cfg.sigma_min] if last > 0 else []), 0.0]


def uses_churn(cfg: SamplerConfig) -> bool:
    """Whether sampling takes fresh noise on the way, besides the starting image."""
    return cfg.s_churn > 0


def denoising_trajectory(
    network: edm.Network,
    start_normal: Float[Tensor, "b c h w"],
    churn_normal: Float[Tensor, "s b c h w"] | None,
    context: Float[Tensor, "b n c h w"],
    actions: Int[Tensor, "b n"],
    denoiser_cfg: DenoiserConfig,
    cfg: SamplerConfig,
) -> list[Float[Tensor, "b c h w"]]:
    """How the frame after `context` comes out of noise: the images after 0, 1, .. denoising steps.

    `start_normal` and `churn_normal` are standard normal, see `sample`.
    """

    def denoise_in_context(noisy: Tensor, sigma: float) -> Tensor:
        levels = torch.full((len(noisy),), sigma, device=noisy.device)
        return edm.denoise(network, noisy, levels, context, actions, denoiser_cfg)

    return sample(denoise_in_context, start_normal * cfg.initial_noise_std, cfg, churn_normal, denoiser_cfg.published)


def sample(
    denoise: Denoise,
    initial: Float[Tensor, "b c h w"],
    cfg: SamplerConfig,
    churn_normal: Float[Tensor, "s b c h w"] | None = None,
    published: bool = False,
    step: Step | None = None,
) -> list[Float[Tensor, "b c h w"]]:
    """The images after 0, 1, .. `num_steps` steps; the last one is the sample (EDM algorithm 2).

    Args:
        denoise: the denoiser, with context and actions bound.
        initial: the starting image.
        cfg: noise levels, order and churn.
        churn_normal: standard normal draws, one a step; needed when `uses_churn(cfg)`.
        published: tell the denoiser the noise level before churn, as the published code does; EDM tells it the level
            after.
        step: how to go from one noise level to the next; by default as `cfg.order` says.
    """
    step = STEPS[cfg.order] if step is None else step
    sigmas = noise_schedule(cfg)
    gamma_max = min(cfg.s_churn / cfg.num_steps, math.sqrt(2) - 1)
    x, trajectory = initial, [initial]
    for i, (sigma, next_sigma) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        churned = sigma
        if gamma_max > 0 and cfg.s_tmin <= sigma <= cfg.s_tmax:
            assert churn_normal is not None, "sampling with churn needs churn_normal"
            churned = sigma * (1 + gamma_max)
            x = x + churn_normal[i] * (cfg.s_noise * math.sqrt(churned**2 - sigma**2))
        slope = (x - denoise(x, sigma if published else churned)) / churned
        x = step(denoise, x, slope, churned, next_sigma)
        trajectory.append(x)
    return trajectory
