"""Noise prediction: what a perfect network would do is known in closed form."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.diffusion.ddpm import DDPMConfig, ddpm_loss, ddpm_sample, noise_to_predict, signal_levels, time_steps
from diamond.experience.frames import to_pixel_grid
from diamond.experience.segments import Segment

CFG = DDPMConfig()
CONTEXT, ACTIONS = torch.zeros(2, 4, 3, 8, 8), torch.zeros(2, 4, dtype=torch.int64)


def knowing(clean: Tensor):  # type: ignore[no-untyped-def]
    """A network that knows the clean frame, and so the noise exactly."""

    def network(noisy: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
        signal = signal_levels(CFG)[(level * CFG.num_levels).round().long() - 1][:, None, None, None]
        return (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()

    return network


def segment(clean: Tensor) -> Segment:
    frames = torch.cat((CONTEXT, clean[:, None]), dim=1)
    nothing = torch.zeros(2, 5)
    return Segment(frames, torch.zeros(2, 5, dtype=torch.int64), nothing, nothing.bool(), ~nothing.bool())


def test_noise_grows_from_almost_none_to_almost_all() -> None:
    signal = signal_levels(CFG)
    assert (signal.diff() < 0).all()
    assert signal[0] == pytest.approx(1 - CFG.beta_start)
    assert signal[-1] < 1e-4


@given(st.integers(2, 100))
def test_sampling_ends_at_the_least_noise(steps: int) -> None:
    visited = time_steps(steps, CFG)
    assert len(visited) == steps
    assert visited[-1] == 0
    assert len({a - b for a, b in zip(visited[:-1], visited[1:], strict=True)}) == 1


def test_a_single_step_starts_in_the_middle() -> None:
    assert time_steps(1, CFG) == [500]


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 50])
def test_a_perfect_network_samples_its_frame_in_any_number_of_steps(steps: int) -> None:
    chance = torch.Generator().manual_seed(steps)
    clean = to_pixel_grid(torch.rand(2, 3, 8, 8, generator=chance) * 2 - 1)
    initial, normal = (torch.randn(shape, generator=chance) for shape in ((2, 3, 8, 8), (steps, 2, 3, 8, 8)))
    assert torch.allclose(ddpm_sample(knowing(clean), initial, normal, CONTEXT, ACTIONS, CFG), clean, atol=1e-6)


def test_a_perfect_network_has_no_loss_and_silence_has_the_noise_s_variance() -> None:
    chance = torch.Generator().manual_seed(0)
    clean, noise = torch.rand(2, 3, 8, 8, generator=chance), torch.randn(2, 3, 8, 8, generator=chance)
    step = torch.tensor([0, 700])
    assert ddpm_loss(knowing(clean), segment(clean), step, noise, CFG) < 1e-6
    silent = ddpm_loss(lambda noisy, *_: torch.zeros_like(noisy), segment(clean), step, noise, CFG)
    assert silent == pytest.approx(float(noise.square().mean()))


def test_the_offset_is_one_value_an_image_and_channel() -> None:
    noise = noise_to_predict(torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 1, 1), DDPMConfig(offset=0.3))
    assert torch.equal(noise, torch.full_like(noise, 0.3))


def test_one_step_of_independent_pixels() -> None:
    """Of normal pixels the expected noise is sqrt(1 - signal) * noisy, so the frame is sqrt(signal) * noisy."""

    def network(noisy: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
        signal = signal_levels(CFG)[(level * CFG.num_levels).round().long() - 1][:, None, None, None]
        return (1 - signal).sqrt() * noisy

    scale = 0.1  # far from the clipping at 1
    chance = torch.Generator().manual_seed(1)
    initial = scale * torch.randn(2, 3, 64, 64, generator=chance)
    context = torch.zeros(2, 4, 3, 64, 64)
    frame = ddpm_sample(network, initial, torch.zeros(1, 2, 3, 64, 64), context, ACTIONS, CFG)
    expected = scale * math.sqrt(float(signal_levels(CFG)[500]))
    assert float(frame.std()) == pytest.approx(expected, rel=0.03)
