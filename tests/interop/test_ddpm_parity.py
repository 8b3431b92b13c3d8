"""The published DDPM variant is reproduced: same weights, same inputs, same noise, same outputs."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from diamond.config import UNetConfig
from diamond.diffusion.ddpm import DDPMConfig, ddpm_sample, predict_noise, signal_levels, time_steps
from diamond.interop.published import published_name
from diamond.kernels import accelerate
from diamond.kernels.library import library
from diamond.networks.unet import DenoiserNetwork

FIXTURES = Path(__file__).parent.parent / "fixtures" / "parity"
FACTS = json.loads((FIXTURES / "ddpm_config.json").read_text(encoding="utf-8"))
RECORDED = load_file(FIXTURES / "ddpm_io.safetensors")
CFG = DDPMConfig(
    num_levels=FACTS["num_train_timesteps"],
    beta_start=FACTS["scheduler"]["beta_start"],
    beta_end=FACTS["scheduler"]["beta_end"],
    offset=FACTS["sigma_offset_noise"],
)


@pytest.fixture(scope="module", params=["fused", "PyTorch's operations"])
def network(request: pytest.FixtureRequest) -> DenoiserNetwork:
    inner = FACTS["inner_model"]
    attention = tuple(bool(level) for level in inner["attn_depths"])
    unet = UNetConfig(tuple(inner["channels"]), tuple(inner["depths"]), attention, inner["cond_channels"])
    network = DenoiserNetwork(FACTS["num_actions"], inner["num_steps_conditioning"], unet)
    state = {name.removeprefix("state.noise_model."): tensor for name, tensor in RECORDED.items()}
    ours = {}
    for name, tensor in network.state_dict().items():
        theirs = state[published_name(f"denoiser.{name}").removeprefix("denoiser.inner_model.")]
        ours[name] = theirs.reshape(tensor.shape)
    network.load_state_dict(ours)
    if request.param == "fused":
        if library() is None:
            pytest.skip("no C++ compiler")
        return accelerate(network)
    return network


def assert_same(ours: Tensor, published: Tensor, tolerance: float) -> None:
    assert ours.shape == published.shape
    error = (ours - published).abs().max() / published.abs().max()
    assert error <= tolerance, f"relative error {error:.1e}"


def test_noise_levels() -> None:
    assert_same(signal_levels(CFG), RECORDED["alphas_cumprod"], 1e-5)


@pytest.mark.parametrize("steps", [3, 10])
def test_time_steps(steps: int) -> None:
    assert time_steps(steps, CFG) == RECORDED[f"sample{steps}.timesteps"].tolist()


@torch.no_grad()
def test_predicted_noise(network: DenoiserNetwork) -> None:
    context, actions = RECORDED["predict.obs"], RECORDED["predict.act"]
    noise = predict_noise(network, RECORDED["predict.noisy"], RECORDED["predict.timestep"], context, actions, CFG)
    assert_same(noise, RECORDED["predict.noise"], 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_sampled_frames(network: DenoiserNetwork, steps: int) -> None:
    """Up to a grey level in a pixel of a thousand, where truncation sits on an edge."""
    initial, normal = RECORDED[f"sample{steps}.x0"], RECORDED[f"sample{steps}.step_eps"]
    context, actions = RECORDED["predict.obs"], RECORDED["predict.act"]
    frame = ddpm_sample(network, initial, normal, context, actions, CFG, truncate=True)
    levels = ((frame - RECORDED[f"sample{steps}.out"]) * 127.5).abs()
    assert levels.max() < 1.5
    assert (levels > 0.5).float().mean() <= 1e-3
