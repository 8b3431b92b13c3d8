"""The agent: a convolutional and recurrent actor-critic (paper section 3.2, appendix D).

Axes   b batch | c h w image | f features | a actions
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from diamond.config import ActorCriticConfig
from diamond.networks.blocks import Conv1x1, Conv3x3, GroupNorm, LSTMState, initialise_lstm
from diamond.networks.unet import IMAGE_CHANNELS


class ActorCritic(nn.Module):
    """Action logits and state value from frames seen one after the other; both heads start at zero."""

    def __init__(self, num_actions: int, height: int, width: int, cfg: ActorCriticConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [Conv3x3(IMAGE_CHANNELS, cfg.channels[0])]
        channels = cfg.channels[0]
        for out_channels, halve in zip(cfg.channels, cfg.downsample, strict=True):
            layers.append(EncoderBlock(channels, out_channels))
            channels = out_channels
            if halve:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.encoder = nn.Sequential(*layers)
        self.lstm = nn.LSTMCell(channels * height * width, cfg.lstm_size)
        self.actor = nn.Linear(cfg.lstm_size, num_actions)
        self.critic = nn.Linear(cfg.lstm_size, 1)
        initialise_lstm(self.lstm)
        for head in (self.actor, self.critic):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def initial_state(self, batch: int, device: torch.device | str) -> LSTMState:
        """The state before the first frame of an episode: zeros."""
        size = self.lstm.hidden_size
        return torch.zeros(batch, size, device=device), torch.zeros(batch, size, device=device)

    def forward(
        self, frames: Float[Tensor, "b c h w"], state: LSTMState
    ) -> tuple[Float[Tensor, "b a"], Float[Tensor, "b"], LSTMState]:
        """Logits, value and the state after seeing `frames`."""
        return self.from_features(self.encode(frames), state)

    def encode(self, frames: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
        """The part without memory, so that a whole window can be encoded as one batch."""
        return self.encoder(frames).flatten(1)

    def from_features(
        self, features: Float[Tensor, "b f"], state: LSTMState
    ) -> tuple[Float[Tensor, "b a"], Float[Tensor, "b"], LSTMState]:
        """The part with memory."""
        hidden, cell = self.lstm(features, state)
        return self.actor(hidden), self.critic(hidden).squeeze(1), (hidden, cell)


class EncoderBlock(nn.Module):
    """Group norm, SiLU and a convolution around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(in_channels)
        self.conv = Conv3x3(in_channels, out_channels)
        self.shortcut = nn.Identity() if in_channels == out_channels else Conv1x1(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Residual features."""
        return self.shortcut(x) + self.conv(F.silu(self.norm(x)))
