"""The losses of the reward and termination model and of the actor-critic (paper section 3.2, appendix F).

The denoiser's loss is `diffusion.edm.denoising_loss`.

Axes   b batch | t time | c h w image | a actions
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from diamond.config import ActorCriticConfig
from diamond.diffusion.edm import masked_mean
from diamond.experience.segments import Segment, reward_sign
from diamond.networks.reward_termination import RewardTerminationModel

Metrics = dict[str, Tensor]
"""Scalar tensors without gradient, by name."""


def reward_termination_loss(model: RewardTerminationModel, segment: Segment) -> tuple[Float[Tensor, ""], Metrics]:
    """Cross entropy of reward sign plus cross entropy of termination, over transitions whose first frame is valid."""
    frames, valid = segment.frames, segment.valid[:, :-1]
    state = model.initial_state(len(frames), frames.device)
    reward_logits, termination_logits, _ = model(frames[:, :-1], segment.actions[:, :-1], frames[:, 1:], state)
    reward_class = reward_sign(segment.rewards[:, :-1]).long() + 1
    reward_loss = _masked_cross_entropy(reward_logits, reward_class, valid)
    termination_loss = _masked_cross_entropy(termination_logits, segment.terminated[:, :-1].long(), valid)
    loss = reward_loss + termination_loss
    return loss, {
        "loss": loss.detach(),
        "reward_loss": reward_loss.detach(),
        "termination_loss": termination_loss.detach(),
    }


def _masked_cross_entropy(
    logits: Float[Tensor, "b t k"], target: Int[Tensor, "b t"], valid: Tensor
) -> Float[Tensor, ""]:
    losses = F.cross_entropy(logits.float().flatten(0, 1), target.flatten(), reduction="none")
    return masked_mean(losses, valid.flatten())


def actor_critic_loss(
    logits: Float[Tensor, "t b a"],
    values: Float[Tensor, "t b"],
    actions: Int[Tensor, "t b"],
    returns: Float[Tensor, "t b"],
    cfg: ActorCriticConfig,
) -> tuple[Float[Tensor, ""], Metrics]:
    """REINFORCE with the value as baseline, its squared error, entropy bonus (paper appendix F, equations 15, 16)."""
    log_policy = logits.log_softmax(dim=-1)
    log_probability = log_policy.gather(-1, actions[..., None]).squeeze(-1)
    entropy = -(log_policy.exp() * log_policy).sum(dim=-1).mean()
    policy_loss = -(log_probability * (returns - values).detach()).mean()
    value_loss = (values - returns).square().mean()
    loss = policy_loss + cfg.value_weight * value_loss - cfg.entropy_weight * entropy
    return loss, {
        "loss": loss.detach(),
        "policy_loss": policy_loss.detach(),
        "value_loss": value_loss.detach(),
        "entropy": entropy.detach(),
        "return_mean": returns.mean(),
    }
