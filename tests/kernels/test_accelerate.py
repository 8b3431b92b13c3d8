"""A copy for inference has the same weights by the same names, no gradient, and is renewed when it is told to."""

import copy
import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from random_weights import randomised
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.config import ComputeConfig
from diamond.config.presets import debug
from diamond.errors import DiamondError
from diamond.kernels import FUSED, Copies, accelerate, for_inference, in_use
from diamond.kernels.library import library
from diamond.networks.blocks import Conv3x3, ResidualBlock

pytestmark = pytest.mark.skipif(library() is None, reason="no C++ compiler")
CPU = torch.device("cpu")


def images(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def agent(seed: int = 0, **compute: bool) -> Agent:
    config = dataclasses.replace(debug(), compute=ComputeConfig(**compute))
    made = Agent.create(config, num_actions=4, seed=seed)
    for network in made.networks.values():
        randomised(network, seed)
    return made


@torch.no_grad()
def acts(playing: Agent) -> Tensor:
    size = playing.config.env.height, playing.config.env.width
    logits, _, _ = playing.actor_critic(images(9, 2, 3, *size), playing.actor_critic.initial_state(2, "cpu"))
    return logits


def test_every_kind_of_module_is_replaced_and_keeps_its_name() -> None:
    plain = agent()
    for name, network in for_inference(plain).networks.items():
        was = {path: type(module) for path, module in plain.networks[name].named_modules()}
        assert {path: type(module) for path, module in network.named_modules()} == {
            path: FUSED.get(kind, kind) for path, kind in was.items()
        }
    kinds = {type(module) for network in plain.networks.values() for module in network.modules()}
    assert kinds >= set(FUSED)


def test_weights_are_the_same_by_name_and_number() -> None:
    plain = agent()
    fused = for_inference(plain)
    assert list(fused.state_dict()) == list(plain.state_dict())
    assert fused.fingerprint() == plain.fingerprint()
    assert not any(parameter.requires_grad for net in fused.networks.values() for parameter in net.parameters())
    assert all(parameter.requires_grad for net in plain.networks.values() for parameter in net.parameters())


def step(conv: nn.Module) -> None:
    optimizer = torch.optim.AdamW(conv.parameters(), lr=0.1, fused=True)
    conv(images(0, 1, 16, 8, 8)).square().sum().backward()
    optimizer.step()


def average(conv: nn.Module) -> None:
    with torch.no_grad():
        conv.weight.lerp_(torch.ones_like(conv.weight), 0.5)


def load(conv: nn.Module) -> None:
    conv.load_state_dict(randomised(Conv3x3(16, 16), 5).state_dict())


def move(conv: nn.Module) -> None:
    conv.weight.data = conv.weight.data * 3


@pytest.mark.parametrize("change", [step, average, load, move])
@pytest.mark.parametrize("renew", [lambda copies, net: copies.of(net, 1), lambda copies, net: copies.forget()])
def test_a_copy_is_a_snapshot_until_it_is_renewed(
    change: Callable[[nn.Module], None], renew: Callable[[Copies, nn.Module], object]
) -> None:
    conv, x, copies = randomised(Conv3x3(16, 16)), images(1, 1, 16, 8, 8), Copies(wanted=True)
    before = copies.of(conv, 0)(x)
    change(conv)
    assert torch.equal(copies.of(conv, 0)(x), before)
    renew(copies, conv)
    after = copies.of(conv, 1)(x)
    assert not torch.allclose(before, after, rtol=1e-2)
    assert torch.equal(after, accelerate(conv)(x))


def test_renewing_loads_into_the_same_copy() -> None:
    """Whoever holds it, as a world model does, sees the new weights."""
    conv, x, copies = randomised(Conv3x3(16, 16)), images(0, 1, 16, 8, 8), Copies(wanted=True)
    held = copies.of(conv, 0)
    randomised(conv, 1)
    assert copies.of(conv, 1) is held
    assert torch.equal(held(x), accelerate(conv)(x))


def test_a_copy_of_a_copy_has_weights_of_its_own() -> None:
    conv, x = accelerate(randomised(Conv3x3(16, 16))), images(1, 1, 16, 8, 8)
    before, copied = conv(x), copy.deepcopy(conv)
    copied.load_state_dict(randomised(Conv3x3(16, 16), 5).state_dict())
    assert not torch.allclose(copied(x), before)
    assert torch.equal(conv(x), before)


def test_copying_draws_no_random_number() -> None:
    plain, before = agent(), torch.random.get_rng_state()
    for_inference(plain)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_gradient_is_pytorchs_or_refused() -> None:
    block, x = randomised(ResidualBlock(16, 16, 4, attention=True)), images(0, 1, 16, 8, 8).requires_grad_()
    fused, condition = accelerate(block), torch.zeros(1, 4)
    block(x, condition).sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    for inputs in ((x, condition), (x.detach(), condition.clone().requires_grad_())):
        with pytest.raises(DiamondError, match=r"fused=False"):
            fused(*inputs)
        with torch.no_grad():
            assert torch.equal(fused(*inputs), fused(x.detach(), condition))
    assert not fused(x.detach(), condition).requires_grad


def test_inference_mode_computes_the_same() -> None:
    x, conv = images(1, 1, 16, 8, 8), randomised(Conv3x3(16, 16))
    with torch.inference_mode():
        inside = accelerate(conv)(x)
    torch.testing.assert_close(accelerate(conv)(x), inside)


def test_networks_that_cannot_have_kernels_are_left_as_they_are() -> None:
    double, elsewhere = Conv3x3(4, 4).double(), Conv3x3(4, 4).to("meta")
    assert accelerate(double) is double
    assert accelerate(elsewhere) is elsewhere
    assert Copies(wanted=True).of(double, 0) is double


@pytest.mark.parametrize(
    ("compute", "device", "expected"),
    [
        ({}, "cpu", True),
        ({"fused": False}, "cpu", False),
        ({"compile": True}, "cpu", False),
        ({"bfloat16": True}, "cpu", False),
        ({}, "cuda", False),
    ],
)
def test_the_configuration_decides(compute: dict[str, bool], device: str, expected: bool) -> None:
    assert in_use(ComputeConfig(**compute), torch.device(device)) == expected
    if device == "cpu":
        plain = agent(**compute)
        assert (for_inference(plain) is plain) != expected


def test_two_agents_in_one_process_do_not_influence_each_other() -> None:
    """One on kernels, one without, in whatever order they are made and act."""
    with_kernels, without = for_inference(agent(fused=True)), for_inference(agent(fused=False))
    fused, plain = acts(with_kernels), acts(without)
    assert not torch.equal(fused, plain)
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)
    for_inference(agent(fused=False))
    assert torch.equal(acts(with_kernels), fused)
    for_inference(agent(fused=True))
    assert torch.equal(acts(without), plain)


FOREIGN = """
import torch
def versions():
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    for _ in range(3):
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    return [p._version for p in layer.parameters()]
before = versions()
import diamond.kernels, diamond.training.loop
assert versions() == before, (versions(), before)
from torch.optim.optimizer import _global_optimizer_post_hooks
assert not _global_optimizer_post_hooks
"""


def test_models_that_are_not_ours_are_left_alone() -> None:
    """Importing this package changes nothing in how PyTorch trains."""
    subprocess.run([sys.executable, "-c", FOREIGN], check=True)
