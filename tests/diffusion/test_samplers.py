"""Sampling where the answer is known: for Gaussian data, the ideal denoiser and its path are closed forms.

Data N(mean, spread^2) under noise sigma:

    denoised(x, sigma) = mean + (x - mean) * spread^2 / (spread^2 + sigma^2)
    path:    x(sigma) - mean  is proportional to  sqrt(spread^2 + sigma^2)
"""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.config import SamplerConfig
from diamond.diffusion.samplers import noise_schedule, sample, uses_churn

MEAN, SPREAD = 0.2, 0.5


def ideal(x: Tensor, sigma: float) -> Tensor:
    """The expected clean image, given the noisy one."""
    return MEAN + (x - MEAN) * SPREAD**2 / (SPREAD**2 + sigma**2)


def start() -> Tensor:
    """Some starting images, in double precision so that only the discretisation errs."""
    return torch.linspace(-5, 5, 24, dtype=torch.float64).reshape(2, 3, 2, 2)


def exact_end(cfg: SamplerConfig) -> Tensor:
    """Where the exact path from `start()` ends at noise 0."""
    return MEAN + (start() - MEAN) * SPREAD / math.sqrt(SPREAD**2 + cfg.sigma_max**2)


def end_error(num_steps: int, order: int) -> float:
    cfg = SamplerConfig(num_steps=num_steps, order=order, sigma_min=1e-4)
    return float((sample(ideal, start(), cfg)[-1] - exact_end(cfg)).abs().max())


# Noise levels


def test_default_schedule() -> None:
    """Three steps visit 5, 0.283 and 0.002."""
    assert noise_schedule(SamplerConfig()) == [5.0, pytest.approx(0.283, abs=1e-3), 2e-3, 0.0]


def test_one_step_starts_at_the_top() -> None:
    assert noise_schedule(SamplerConfig(num_steps=1)) == [5.0, 0.0]


def test_two_steps_visit_both_ends() -> None:
    assert noise_schedule(SamplerConfig(num_steps=2)) == [5.0, 2e-3, 0.0]


def test_rho_one_is_evenly_spaced() -> None:
    cfg = SamplerConfig(num_steps=4, rho=1.0, sigma_min=1.0, sigma_max=4.0)
    assert noise_schedule(cfg) == pytest.approx([4, 3, 2, 1, 0])


@given(st.integers(1, 50), st.floats(1, 10), st.floats(1e-3, 0.5), st.floats(1, 80))
def test_schedule_is_even_in_the_root_of_sigma(n: int, rho: float, low: float, high: float) -> None:
    """EDM equation 5, its ends exact."""
    cfg = SamplerConfig(num_steps=n, rho=rho, sigma_min=low, sigma_max=high)
    sigmas = noise_schedule(cfg)
    assert len(sigmas) == n + 1
    assert sigmas[0] == high
    assert sigmas[-1] == 0
    assert n == 1 or sigmas[-2] == low
    assert all(before > after for before, after in pairwise(sigmas))
    roots = torch.tensor([sigma ** (1 / rho) for sigma in sigmas[:-1]], dtype=torch.float64)
    steps = roots.diff()
    assert torch.allclose(steps, steps.mean().expand_as(steps))


# Order


def test_euler_converges_at_first_order() -> None:
    """Twice the steps, half the error."""
    errors = [end_error(n, order=1) for n in (33, 65, 129)]
    assert errors[-1] < 0.02
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.15)


def test_heun_converges_at_second_order() -> None:
    """Twice the steps, a quarter of the error."""
    errors = [end_error(n, order=2) for n in (33, 65, 129)]
    assert errors[-1] < 1e-3
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize(("order", "calls"), [(1, 5), (2, 9)])
def test_number_of_network_calls(order: int, calls: int) -> None:
    """Heun takes two a step, but one in the last step, which ends at noise 0."""
    seen: list[float] = []

    def counting(x: Tensor, sigma: float) -> Tensor:
        seen.append(sigma)
        return ideal(x, sigma)

    sample(counting, start(), SamplerConfig(num_steps=5, order=order))
    assert len(seen) == calls


@pytest.mark.parametrize("order", [1, 2])
def test_the_sample_is_the_last_denoised_image(order: int) -> None:
    """The last step goes all the way, so a sample lies on the denoiser's pixel grid."""
    denoised: list[Tensor] = []

    def noting(x: Tensor, sigma: float) -> Tensor:
        denoised.append(ideal(x, sigma))
        return denoised[-1]

    trajectory = sample(noting, start(), SamplerConfig(num_steps=4, order=order))
    assert len(trajectory) == 5
    assert torch.equal(trajectory[0], start())
    assert torch.allclose(trajectory[-1], denoised[-1])


def test_one_step_is_the_conditional_mean() -> None:
    """What a single denoising step returns is the average of all possible frames, which blurs."""
    trajectory = sample(ideal, start(), SamplerConfig(num_steps=1))
    assert torch.allclose(trajectory[-1], ideal(start(), 5.0))


# Churn

CHURN = SamplerConfig(num_steps=6, s_churn=1.5, s_tmin=0.01, s_tmax=3.0, s_noise=1.01)


def algorithm_2(x: Tensor, noise: Tensor, cfg: SamplerConfig) -> Tensor:
    """EDM algorithm 2, line by line."""
    t = noise_schedule(cfg)
    for i in range(cfg.num_steps):
        gamma = min(cfg.s_churn / cfg.num_steps, math.sqrt(2) - 1) if cfg.s_tmin <= t[i] <= cfg.s_tmax else 0
        t_hat = t[i] + gamma * t[i]
        x_hat = x + math.sqrt(t_hat**2 - t[i] ** 2) * cfg.s_noise * noise[i]
        d = (x_hat - ideal(x_hat, t_hat)) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if cfg.order == 2 and t[i + 1] != 0:
            d_next = (x - ideal(x, t[i + 1])) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (d / 2 + d_next / 2)
    return x


@pytest.mark.parametrize("order", [1, 2])
def test_sampler_is_edm_algorithm_2(order: int, generator: torch.Generator) -> None:
    cfg = SamplerConfig(**{**vars(CHURN), "order": order})
    noise = torch.randn(6, *start().shape, generator=generator, dtype=torch.float64)
    ours = sample(ideal, start(), cfg, noise)[-1]
    assert torch.allclose(ours, algorithm_2(start(), noise, cfg), atol=1e-12)
    published = sample(ideal, start(), cfg, noise, published=True)[-1]
    assert not torch.allclose(published, ours, atol=1e-3)


@pytest.mark.parametrize("published", [False, True])
def test_the_denoiser_is_told_the_noise_it_sees(published: bool, generator: torch.Generator) -> None:
    """The level after churn; the published code says the level before."""
    told: list[float] = []

    def noting(x: Tensor, sigma: float) -> Tensor:
        told.append(sigma)
        return ideal(x, sigma)

    noise = torch.randn(6, *start().shape, generator=generator, dtype=torch.float64)
    sample(noting, start(), CHURN, noise, published)
    before = noise_schedule(CHURN)[:-1]
    churned = [sigma * 1.25 if 0.01 <= sigma <= 3 else sigma for sigma in before]  # 1 + 1.5 / 6
    assert told == pytest.approx(before if published else churned)


def test_churn_is_limited() -> None:
    """Noise grows by at most a factor of sqrt(2), that is twice the variance."""
    told: list[float] = []

    def noting(x: Tensor, sigma: float) -> Tensor:
        told.append(sigma)
        return x

    cfg = SamplerConfig(num_steps=1, s_churn=100.0)
    sample(noting, start(), cfg, torch.zeros(1, *start().shape, dtype=torch.float64))
    assert told == pytest.approx([5.0 * math.sqrt(2)])


def test_the_edges_of_the_churn_interval_are_inside() -> None:
    told: list[float] = []

    def noting(x: Tensor, sigma: float) -> Tensor:
        told.append(sigma)
        return x

    cfg = SamplerConfig(num_steps=3, s_churn=0.3, sigma_min=0.1, sigma_max=7.0, s_tmin=0.1, s_tmax=7.0)
    sample(noting, start(), cfg, torch.zeros(3, *start().shape, dtype=torch.float64))
    assert told == pytest.approx([sigma * 1.1 for sigma in noise_schedule(cfg)[:-1]])


@pytest.mark.parametrize("published", [False, True])
def test_churn_keeps_the_distribution(published: bool, generator: torch.Generator) -> None:
    """Many small steps with churn still sample N(mean, spread^2); too wide if the denoiser is told too little noise."""
    cfg = SamplerConfig(num_steps=100, order=2, s_churn=20.0)
    shape = (20_000, 1, 1, 1)
    start = MEAN + math.hypot(SPREAD, cfg.sigma_max) * torch.randn(shape, generator=generator)
    noise = torch.randn(100, *shape, generator=generator)
    end = sample(ideal, start, cfg, noise, published)[-1]
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.03)
    if published:
        assert float(end.std()) > 1.05 * SPREAD
    else:
        assert float(end.std()) == pytest.approx(SPREAD, rel=0.03)


def test_without_churn_no_noise_is_needed() -> None:
    assert not uses_churn(SamplerConfig())
    assert uses_churn(CHURN)
    no_churn = SamplerConfig(num_steps=2)
    noise = torch.ones(2, *start().shape, dtype=torch.float64)
    assert torch.equal(sample(ideal, start(), no_churn, noise)[-1], sample(ideal, start(), no_churn)[-1])
