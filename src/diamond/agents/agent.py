"""The three networks of an agent and the configuration they were made from."""

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from diamond.config import Config
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.reward_termination import RewardTerminationModel
from diamond.networks.unet import DenoiserNetwork

NETWORKS = ("denoiser", "reward_model", "actor_critic")


@dataclass
class Agent:
    """A world model (denoiser, reward and termination model) and the actor-critic that lives in it."""

    config: Config
    num_actions: int
    denoiser: DenoiserNetwork
    reward_model: RewardTerminationModel
    actor_critic: ActorCritic
    action_meanings: tuple[str, ...] = field(default=())

    @classmethod
    def create(cls, config: Config, num_actions: int, seed: int, action_meanings: tuple[str, ...] = ()) -> "Agent":
        """Freshly initialised networks on the CPU; the same seed gives the same weights, whatever ran before."""
        height, width = config.env.height, config.env.width
        # PyTorch's initialisers draw from the global stream: it is set for the moment and put back.
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            return cls(
                config,
                num_actions,
                DenoiserNetwork(num_actions, config.denoiser.context_length, config.denoiser.unet),
                RewardTerminationModel(num_actions, height, width, config.reward_model),
                ActorCritic(num_actions, height, width, config.actor_critic),
                action_meanings,
            )

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name, in the order in which an epoch trains them."""
        return {name: getattr(self, name) for name in NETWORKS}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.actor_critic.actor.weight.device

    def to(self, device: torch.device | str) -> "Agent":
        """Move the networks, in channels-last memory order, which convolutions are fastest in."""
        for network in self.networks.values():
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """All weights, flat, with the network's name as prefix."""
        return {
            f"{name}.{key}": value for name, net in self.networks.items() for key, value in net.state_dict().items()
        }

    def fingerprint(self) -> str:
        """SHA-256 of all weights: equal for equal agents, wherever they come from."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set all weights from `state_dict()`; raises KeyError or RuntimeError if names or shapes differ."""
        for name, network in self.networks.items():
            prefix = f"{name}."
            network.load_state_dict(
                {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            )
