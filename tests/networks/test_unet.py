"""The denoiser's network: the paper's size, any picture size, and a quiet start."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_weights import randomised
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.config import UNetConfig
from diamond.config.presets import atari100k
from diamond.networks.unet import DenoiserNetwork, UNet

SMALL = UNetConfig(channels=(4, 8, 6), depths=(1, 2, 1), attention=(False, True, False), condition_channels=8)


def inputs(height: int = 8, width: int = 8) -> dict[str, Tensor]:
    """Two samples with a context of 4 frames."""
    generator = torch.Generator().manual_seed(1)
    return {
        "noisy": torch.randn(2, 3, height, width, generator=generator),
        "level": torch.tensor([-0.3, 0.4]),
        "context": torch.randn(2, 4, 3, height, width, generator=generator),
        "actions": torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]]),
    }


def test_parameters_of_the_paper() -> None:
    """4.4, 5.9 and 3.2 million with Breakout's four actions; the Fourier frequencies are not trained."""
    networks = Agent.create(atari100k(), num_actions=4, seed=0).networks
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    assert counts["denoiser"] == 4_405_955
    assert round(counts["reward_model"] / 1e6, 2) == 5.90
    assert round(counts["actor_critic"] / 1e6, 2) == 3.23
    buffers = dict(networks["denoiser"].named_buffers())
    assert {name: buffer.numel() for name, buffer in buffers.items()} == {"noise_embedding.frequencies": 128}


def test_fresh_network_outputs_its_bias() -> None:
    """Exactly, whatever it is shown: training starts from "no opinion", where the loss is about 1."""
    network = DenoiserNetwork(4, 4, SMALL)
    output = network(**inputs())
    assert torch.equal(output, network.conv_out.bias[None, :, None, None].expand_as(output))


@settings(max_examples=25)
@given(st.integers(1, 21), st.integers(1, 21))
@torch.no_grad()
def test_any_height_and_width(height: int, width: int) -> None:
    unet = randomised(UNet(SMALL))
    generator = torch.Generator().manual_seed(height * 100 + width)
    x, condition = torch.randn(2, 4, height, width, generator=generator), torch.randn(2, 8, generator=generator)
    output = unet(x, condition)
    assert output.shape == x.shape
    assert output.isfinite().all()


@torch.no_grad()
def test_other_sizes_are_padded_right_and_below_and_cropped() -> None:
    """The features, not the frame, and by no more than the levels need."""
    unet = randomised(UNet(SMALL))
    x, condition = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0)), torch.ones(1, 8)
    padded = nn.functional.pad(x, (0, 2, 0, 3))
    assert torch.equal(unet(x, condition), unet(padded, condition)[..., :5, :6])


@pytest.mark.parametrize("changed", ["noisy", "level", "context", "actions"])
@torch.no_grad()
def test_every_input_matters_and_samples_do_not_mix(changed: str) -> None:
    network = randomised(DenoiserNetwork(4, 4, SMALL))
    before, other = inputs(), inputs()
    other[changed][1] = other[changed][1].flip(0) + (changed == "level")
    first, second = network(**before), network(**other)
    assert torch.allclose(first[0], second[0], atol=1e-5)
    assert not torch.allclose(first[1], second[1], atol=1e-3)


def test_every_weight_learns() -> None:
    """Once nothing is zero any more, the gradient reaches every parameter: no block is left out."""
    network = randomised(DenoiserNetwork(4, 4, SMALL))
    network(**inputs()).square().mean().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert dead == []


def test_one_level_needs_no_resampling() -> None:
    one = UNetConfig(channels=(4,), depths=(1,), attention=(False,), condition_channels=8)
    network = DenoiserNetwork(4, 4, one)
    assert network(**inputs(7, 3)).shape == (2, 3, 7, 3)
