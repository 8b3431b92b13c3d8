"""The denoising objective and the denoised frame (Karras et al. 2022, table 1; paper sections 2.2 and 3.1).

    noisy    = clean + sigma * pixel_normal + sigma_offset * offset_normal
    denoised = skip * noisy + out * network(in_ * noisy, level, past * context, actions)

Axes   b batch | n past frames | k predicted frames | t = n + k | c h w image
Units  frames are floats in [-1, 1]; sigma is the noise's standard deviation in those units
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diamond.config import DenoiserConfig
from diamond.experience.frames import slide, to_pixel_grid
from diamond.experience.segments import Segment

Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""F(scaled noisy frame (b c h w), level (b), scaled context (b n c h w), actions (b n)) -> (b c h w)."""


class Scalings(NamedTuple):
    """The preconditioning at one noise level per sample."""

    in_: Float[Tensor, "b 1 1 1"]
    skip: Float[Tensor, "b 1 1 1"]
    out: Float[Tensor, "b 1 1 1"]
    level: Float[Tensor, "b"]
    past: float


def scalings(sigma: Float[Tensor, "b"], cfg: DenoiserConfig) -> Scalings:
    """EDM table 1, with the offset noise counted into the noise level (both are independent)."""
    data = cfg.sigma_data**2
    variance = sigma.square() + cfg.sigma_offset**2
    skip = data / (variance + data)
    out = (variance * skip).sqrt()
    in_ = (variance + data).rsqrt()
    level = variance.log() / 8  # ln(sqrt(variance)) / 4
    return Scalings(_image(in_), _image(skip), _image(out), level, 1 / cfg.sigma_data)


def _image(x: Float[Tensor, "b"]) -> Float[Tensor, "b 1 1 1"]:
    return x[:, None, None, None]


def training_sigma(normal: Float[Tensor, "*shape"], cfg: DenoiserConfig) -> Float[Tensor, "*shape"]:
    """Noise levels of training, log-normal and clipped (EDM table 1), from standard normal draws."""
    sigma = (normal * cfg.training_sigma_log_std + cfg.training_sigma_log_mean).exp()
    return sigma.clamp(cfg.training_sigma_min, cfg.training_sigma_max)


def draw_training_noise(
    shape: torch.Size, cfg: DenoiserConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch c h w"]]:
    """Noise levels and noise for frames of `shape` (.. c h w), on the generator's device."""
    batch, channels = shape[:-3], shape[-3]
    device = generator.device
    sigma = training_sigma(torch.randn(batch, generator=generator, device=device), cfg)
    pixel_normal = torch.randn(shape, generator=generator, device=device)
    offset_normal = torch.randn((*batch, channels, 1, 1), generator=generator, device=device)
    return sigma, training_noise(sigma, pixel_normal, offset_normal, cfg)


def training_noise(
    sigma: Float[Tensor, "*batch"],
    pixel_normal: Float[Tensor, "*batch c h w"],
    offset_normal: Float[Tensor, "*batch c 1 1"],
    cfg: DenoiserConfig,
) -> Float[Tensor, "*batch c h w"]:
    """Pixel noise of standard deviation `sigma` plus offset noise, one value per image and channel."""
    return sigma[..., None, None, None] * pixel_normal + cfg.sigma_offset * offset_normal


def denoise(
    network: Network,
    noisy: Float[Tensor, "b c h w"],
    sigma: Float[Tensor, "b"],
    context: Float[Tensor, "b n c h w"],
    actions: Int[Tensor, "b n"],
    cfg: DenoiserConfig,
) -> Float[Tensor, "b c h w"]:
    """The expected clean frame on the 256-level pixel grid."""
    return to_pixel_grid(expected_frame(network, noisy, sigma, context, actions, cfg), truncate=cfg.published)


def expected_frame(
    network: Network,
    noisy: Float[Tensor, "b c h w"],
    sigma: Float[Tensor, "b"],
    context: Float[Tensor, "b n c h w"],
    actions: Int[Tensor, "b n"],
    cfg: DenoiserConfig,
) -> Float[Tensor, "b c h w"]:
    """The expected clean frame (EDM equation 7)."""
    s = scalings(sigma, cfg)
    output = network(s.in_ * noisy, s.level, s.past * context, actions).float()
    return s.skip * noisy + s.out * output


def denoising_loss(
    network: Network,
    segment: Segment,
    sigma: Float[Tensor, "b k"],
    noise: Float[Tensor, "b k c h w"],
    cfg: DenoiserConfig,
) -> Float[Tensor, ""]:
    """Predict k frames in a row, each from a past that already holds the predictions before it.

    The mean over steps of the mean squared error between the network's output and its EDM target, over valid frames.
    The published code trains so; the paper describes the single step k = 1.
    """
    k = sigma.shape[1]
    n = segment.frames.shape[1] - k
    past, losses = segment.frames[:, :n], []
    for i in range(k):
        clean = segment.frames[:, n + i]
        noisy = clean + noise[:, i]
        s = scalings(sigma[:, i], cfg)
        output = network(s.in_ * noisy, s.level, s.past * past, segment.actions[:, i : n + i]).float()
        target = (clean - s.skip * noisy) / s.out
        error = (output - target).square().mean(dim=(1, 2, 3))
        losses.append(masked_mean(error, segment.valid[:, n + i]))
        past = slide(past, to_pixel_grid(s.skip * noisy + s.out * output.detach(), truncate=cfg.published))
    return torch.stack(losses).mean()


def masked_mean(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean over the entries where `mask` holds; 0 where it holds nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)
