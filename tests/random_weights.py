"""Networks in which nothing is hidden by a zero, for tests."""

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def randomised(network: Network, seed: int = 0) -> Network:
    """Replace all weights by noise, those that start at zero too, and return the network."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network
