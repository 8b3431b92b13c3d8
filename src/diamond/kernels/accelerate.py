"""Copies of networks for inference on a CPU, whose modules are replaced by fused ones.

A copy is a snapshot: it has weights of its own, which are rearranged once. Whoever trains the network renews the copy.
"""

import copy
import dataclasses
from typing import TypeVar

import torch
from torch import nn

from diamond.agents.agent import Agent
from diamond.config import ComputeConfig
from diamond.kernels import modules
from diamond.kernels.library import library
from diamond.networks.actor_critic import EncoderBlock
from diamond.networks.blocks import Conv1x1, Conv3x3, GroupNorm, ResidualBlock, SelfAttention, Upsample
from diamond.networks.unet import DenoiserNetwork

Network = TypeVar("Network", bound=nn.Module)

FUSED: dict[type[nn.Module], type[nn.Module]] = {
    Conv3x3: modules.FusedConv3x3,
    Conv1x1: modules.FusedConv1x1,
    GroupNorm: modules.FusedGroupNorm,
    Upsample: modules.FusedUpsample,
    SelfAttention: modules.FusedSelfAttention,
    ResidualBlock: modules.FusedResidualBlock,
    EncoderBlock: modules.FusedEncoderBlock,
    DenoiserNetwork: modules.FusedDenoiserNetwork,
}
"""What replaces a module in a copy for inference; subclasses of the keys stay as they are."""


def accelerate(network: Network) -> Network:
    """A copy of a network for inference, on fused kernels; the network itself if it cannot have them.

    The copy computes the same up to rounding, and its `state_dict()` is the same. It has no gradient: its weights are
    frozen, and it refuses inputs that need a gradient with a `DiamondError`. Change its weights only by
    `load_state_dict`, and leave it on the CPU in float32.

    There are no kernels for networks on other devices or of other types, on other systems than Linux, and without a C++
    compiler; a missing compiler is told in one line of warning.
    """
    weights = [*network.parameters(), *network.buffers()]
    if any(w.device.type != "cpu" or w.dtype != torch.float32 for w in weights) or library() is None:
        return network
    twin = copy.deepcopy(network).requires_grad_(False)
    for module in twin.modules():
        module.__class__ = FUSED.get(type(module), type(module))
        if isinstance(module, modules.Leaf):
            module.arrange()
    return twin


def in_use(cfg: ComputeConfig, device: torch.device) -> bool:
    """Whether networks on `device` run on kernels under a configuration; builds the kernels if that was not tried."""
    wanted = cfg.fused and not cfg.compile and not cfg.bfloat16
    return wanted and device.type == "cpu" and library() is not None


def for_inference(agent: Agent) -> Agent:
    """The agent as its own configuration wants it to act and dream: accelerated, or as it is."""
    if not in_use(agent.config.compute, agent.device):
        return agent
    return dataclasses.replace(
        agent,
        denoiser=accelerate(agent.denoiser),
        reward_model=accelerate(agent.reward_model),
        actor_critic=accelerate(agent.actor_critic),
    )


class Copies:
    """Accelerated copies of networks that are in training.

    Args:
        wanted: False gives the networks themselves; see `in_use`.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._copies: dict[nn.Module, tuple[nn.Module, int]] = {}

    def of(self, network: Network, updates: int) -> Network:
        """A copy with the network's present weights, or the network itself if there can be no copy.

        Args:
            network: in training.
            updates: how often its weights have changed so far; the copy is renewed if this number is a new one.
        """
        if not self._wanted:
            return network
        if network not in self._copies:
            self._copies[network] = accelerate(network), updates
        twin, at = self._copies[network]
        if at != updates and twin is not network:
            twin.load_state_dict(network.state_dict())
            self._copies[network] = twin, updates
        assert isinstance(twin, type(network))
        return twin

    def forget(self) -> None:
        """Drop all copies, because the weights were changed by something else than an update."""
        self._copies.clear()
