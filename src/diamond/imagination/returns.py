"""The return that the agent learns from (paper appendix F, equation 14).

Axes   t time | b batch
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@torch.no_grad()
def lambda_returns(
    reward: Float[Tensor, "t b"],
    next_value: Float[Tensor, "t b"],
    terminated: Bool[Tensor, "t b"],
    truncated: Bool[Tensor, "t b"],
    discount: float,
    lambda_: float,
) -> Float[Tensor, "t b"]:
    """R_t = r_t + discount * [(1 - lambda) * V(s_{t+1}) + lambda * R_{t+1}], cut where episodes are.

    `next_value` is the value of the true successor, before any restart. It stands for R_{t+1} at a truncation and at
    the end of the window; after a termination nothing follows.
    """
    alive = discount * (~terminated).float()
    mixing = lambda_ * (~truncated).float()
    future, returns = next_value[-1], []
    for t in reversed(range(len(reward))):
        future = reward[t] + alive[t] * torch.lerp(next_value[t], future, mixing[t])
        returns.append(future)
    return torch.stack(returns[::-1])
