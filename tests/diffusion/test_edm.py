"""The denoising objective in closed form: what the preconditioning promises, and what the loss must not touch."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.config import DenoiserConfig
from diamond.diffusion.edm import denoise, denoising_loss, masked_mean, scalings, training_noise, training_sigma
from diamond.experience.frames import to_pixel_grid
from diamond.experience.segments import Segment

OFFSETS = (0.0, 0.3)
SIGMAS = (2e-3, 0.1, 0.5, 2.0, 20.0)


def zero_network(noisy: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
    """A network that has learned nothing: its output is 0 everywhere."""
    return torch.zeros_like(noisy)


def segment_of(frames: Tensor, valid: Tensor | None = None) -> Segment:
    """A segment with these frames, numbered actions and no rewards."""
    batch, time = frames.shape[:2]
    nothing = torch.zeros(batch, time)
    actions = torch.arange(time).expand(batch, time)
    return Segment(frames, actions, nothing, nothing.bool(), nothing == 0 if valid is None else valid)


@given(st.floats(2e-3, 20), st.sampled_from(OFFSETS), st.floats(0.1, 2))
def test_preconditioning_keeps_unit_variance(sigma: float, offset: float, sigma_data: float) -> None:
    """EDM table 1: input and target have variance 1 at every noise level; the offset is noise like any other."""
    s = scalings(torch.tensor([sigma]), DenoiserConfig(sigma_data=sigma_data, sigma_offset=offset))
    noise, data = sigma**2 + offset**2, sigma_data**2
    in_, skip, out = float(s.in_), float(s.skip), float(s.out)
    assert in_**2 * (data + noise) == pytest.approx(1, rel=1e-5)
    # The target (clean - skip * noisy) / out, with noisy = clean + noise:
    assert (1 - skip) ** 2 * data + skip**2 * noise == pytest.approx(out**2, rel=1e-3)
    assert skip == pytest.approx(data / (data + noise), rel=1e-5)
    assert float(s.level) == pytest.approx(math.log(noise) / 8, abs=1e-5)
    assert s.past == pytest.approx(1 / sigma_data)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_network_that_knows_nothing_has_loss_one(sigma: float, offset: float, generator: torch.Generator) -> None:
    """On data of standard deviation sigma_data, at every noise level: no level dominates training."""
    cfg = DenoiserConfig(sigma_offset=offset)
    frames = cfg.sigma_data * torch.randn(8192, 5, 3, 4, 4, generator=generator)
    levels = torch.full((8192, 1), sigma)
    pixel = torch.randn(8192, 1, 3, 4, 4, generator=generator)
    noise = training_noise(levels, pixel, torch.randn(8192, 1, 3, 1, 1, generator=generator), cfg)
    assert float(denoising_loss(zero_network, segment_of(frames), levels, noise, cfg)) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("offset", OFFSETS)
def test_training_noise_has_the_stated_spread(offset: float, generator: torch.Generator) -> None:
    cfg = DenoiserConfig(sigma_offset=offset)
    sigma = torch.full((20_000,), 0.4)
    pixel = torch.randn(20_000, 3, 2, 2, generator=generator)
    noise = training_noise(sigma, pixel, torch.randn(20_000, 3, 1, 1, generator=generator), cfg)
    assert float(noise.var()) == pytest.approx(0.4**2 + offset**2, rel=0.02)
    # One offset per image and channel: it does not vary within a channel, and differs between channels.
    assert float(noise.mean(dim=(2, 3)).var()) == pytest.approx(0.4**2 / 4 + offset**2, rel=0.02)
    assert float((noise[:, 0] * noise[:, 1]).mean()) == pytest.approx(0, abs=0.01)


def test_training_noise_levels_are_clipped_log_normal(generator: torch.Generator) -> None:
    cfg = DenoiserConfig()
    assert float(training_sigma(torch.zeros(()), cfg)) == pytest.approx(math.exp(-0.4))
    assert float(training_sigma(torch.ones(()), cfg)) == pytest.approx(math.exp(-0.4 + 1.2))
    assert training_sigma(torch.tensor([-10.0, 10.0]), cfg).tolist() == pytest.approx([2e-3, 20])


@given(st.sampled_from(SIGMAS), st.sampled_from(OFFSETS))
def test_perfect_network_denoises_perfectly(sigma: float, offset: float) -> None:
    """A network that outputs the training target returns the clean frame, on the pixel grid."""
    cfg, generator = DenoiserConfig(sigma_offset=offset), torch.Generator().manual_seed(1)
    clean = to_pixel_grid(0.5 * torch.randn(2, 3, 4, 4, generator=generator))
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator)

    def network(scaled: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
        s = scalings(torch.full((2,), sigma), cfg)
        assert torch.allclose(scaled, s.in_ * noisy)
        return (clean - s.skip * noisy) / s.out

    context = torch.zeros(2, 4, 3, 4, 4)
    frame = denoise(network, noisy, torch.full((2,), sigma), context, torch.zeros(2, 4, dtype=torch.long), cfg)
    assert torch.allclose(frame, clean, atol=1e-6)


@pytest.mark.parametrize("published", [False, True])
def test_denoised_frame_is_rounded_unless_published(published: bool) -> None:
    cfg = DenoiserConfig(sigma_offset=0.0, published=published)
    noisy = torch.linspace(-3, 3, 48).reshape(1, 3, 4, 4)
    context, actions = torch.zeros(1, 4, 3, 4, 4), torch.zeros(1, 4, dtype=torch.long)
    frame = denoise(zero_network, noisy, torch.full((1,), 0.1), context, actions, cfg)
    skip = float(scalings(torch.full((1,), 0.1), cfg).skip)
    assert torch.equal(frame, to_pixel_grid(skip * noisy, truncate=published))


def spy(calls: list[Tensor], answer: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A network that notes the contexts and actions it is shown."""

    def network(noisy: Tensor, level: Tensor, context: Tensor, actions: Tensor) -> Tensor:
        calls.append(context)
        calls.append(actions)
        return answer(noisy)

    return network


def test_later_frames_are_predicted_from_earlier_predictions(generator: torch.Generator) -> None:
    """Also in padding, and without gradient through the prediction."""
    cfg = DenoiserConfig(context_length=4, autoregressive_steps=3)
    frames = to_pixel_grid(torch.randn(2, 7, 3, 4, 4, generator=generator))
    valid = torch.tensor([[False] * 6 + [True], [True] * 7])
    noise = torch.randn(2, 3, 3, 4, 4, generator=generator)
    sigma, weight, calls = torch.ones(2, 3), torch.tensor(0.1, requires_grad=True), []
    loss = denoising_loss(spy(calls, lambda noisy: weight * noisy), segment_of(frames, valid), sigma, noise, cfg)
    loss.backward()
    contexts, actions = [cfg.sigma_data * context for context in calls[::2]], calls[1::2]
    predictions = []
    s = scalings(sigma[:, 0], cfg)
    for step in range(2):
        noisy = frames[:, 4 + step] + noise[:, step]
        predictions.append(to_pixel_grid(s.skip * noisy + s.out * 0.1 * s.in_ * noisy))
    seen = torch.cat((frames[:, :4], torch.stack(predictions, dim=1)), dim=1)
    for step, context in enumerate(contexts):
        assert torch.allclose(context, seen[:, step : step + 4], atol=1e-6)
        assert not context.requires_grad
        assert actions[step].tolist() == [[step, step + 1, step + 2, step + 3]] * 2


def test_padding_does_not_count(generator: torch.Generator) -> None:
    """What a padded frame looks like changes neither loss nor gradient."""
    cfg = DenoiserConfig(autoregressive_steps=1)
    frames, noise = torch.randn(2, 5, 3, 4, 4, generator=generator), torch.randn(2, 1, 3, 4, 4, generator=generator)
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[0, 4] = False
    other = frames.clone()
    other[0, 4] = 1.0
    results = []
    for version in (frames, other):
        weight = torch.tensor(0.1, requires_grad=True)
        network = spy([], lambda noisy, weight=weight: weight * noisy)
        loss = denoising_loss(network, segment_of(version, valid), torch.ones(2, 1), noise, cfg)
        loss.backward()
        results.append((loss.item(), weight.grad.item()))
    assert results[0] == results[1]


def test_nothing_but_padding_gives_zero_loss_and_zero_gradient(generator: torch.Generator) -> None:
    """Not NaN, which would destroy the weights."""
    cfg, weight = DenoiserConfig(), torch.tensor(0.1, requires_grad=True)
    segment = segment_of(torch.zeros(2, 6, 3, 4, 4), torch.zeros(2, 6, dtype=torch.bool))
    noise = torch.randn(2, 2, 3, 4, 4, generator=generator)
    loss = denoising_loss(spy([], lambda noisy: weight * noisy), segment, torch.ones(2, 2), noise, cfg)
    loss.backward()
    assert loss.item() == 0
    assert weight.grad.item() == 0


def test_masked_mean() -> None:
    values = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    assert masked_mean(values, torch.tensor([True, False, True])).item() == 3.5
    empty = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    empty.backward()
    assert empty.item() == 0
    assert values.grad.tolist() == [0, 0, 0]


@given(st.lists(st.tuples(st.floats(-100, 100, width=32), st.booleans()), min_size=1, max_size=20))
def test_masked_mean_is_the_mean_of_what_is_left(entries: list[tuple[float, bool]]) -> None:
    values, mask = torch.tensor([value for value, _ in entries]), torch.tensor([kept for _, kept in entries])
    expected = float(values[mask].mean()) if mask.any() else 0.0
    assert float(masked_mean(values, mask)) == pytest.approx(expected, abs=1e-4)
