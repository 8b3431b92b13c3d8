"""From the logits of a network to a choice: the one place where an action, a reward or an end is drawn.

Axes   *batch any | k classes | n environments
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sample_categorical(
    logits: Float[Tensor, "*batch k"], uniform: Float[Tensor, "*batch"], temperature: float = 1.0
) -> Int[Tensor, "*batch"]:
    """Draw a class by inverting the cumulative distribution.

    Args:
        logits: unnormalised log-probabilities.
        uniform: numbers in [0, 1), one a draw.
        temperature: divides the logits; 1 is the distribution itself, towards 0 the most probable class wins.
    """
    if temperature != 1:
        # The largest logit becomes 0 first, so that no temperature, however small, overflows.
        logits = (logits - logits.amax(dim=-1, keepdim=True)) / temperature
    cumulative = logits.softmax(dim=-1).cumsum(dim=-1)
    return (cumulative[..., :-1] <= uniform[..., None]).sum(dim=-1)


def explore(
    actions: Int[Tensor, "n"], num_actions: int, epsilon: float, uniform: Float[Tensor, "2 n"]
) -> Int[Tensor, "n"]:
    """Replace each action with probability `epsilon` by a uniformly random one.

    Args:
        uniform: numbers in [0, 1): the first row gives the random actions, the second decides where they are taken.
    """
    random = (uniform[0] * num_actions).long().clamp(max=num_actions - 1)
    return torch.where(uniform[1] < epsilon, random, actions)
