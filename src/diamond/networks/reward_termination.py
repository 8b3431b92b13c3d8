"""The recurrent model of reward sign and termination (paper section 3.2, appendix D).

Axes   b batch | t time | c h w image | r reward classes (-1, 0, +1) | d termination classes (goes on, ends)
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from diamond.config import RewardModelConfig
from diamond.networks.blocks import Conv3x3, Downsample, LSTMState, ResidualBlock, initialise_lstm
from diamond.networks.unet import IMAGE_CHANNELS

REWARD_CLASSES = 3
TERMINATION_CLASSES = 2
LSTM_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class RewardTerminationModel(nn.Module):
    """Logits of reward sign and termination for each transition, given all transitions of the segment before it."""

    def __init__(self, num_actions: int, height: int, width: int, cfg: RewardModelConfig) -> None:
        super().__init__()
        self.encoder = TransitionEncoder(cfg)
        self.action_embedding = nn.Embedding(num_actions, cfg.condition_channels)
        for _ in cfg.channels[1:]:
            height, width = (height + 1) // 2, (width + 1) // 2
        self.lstm = nn.LSTM(cfg.channels[-1] * height * width, cfg.lstm_size, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(cfg.lstm_size, cfg.lstm_size),
            nn.SiLU(),
            nn.Linear(cfg.lstm_size, REWARD_CLASSES + TERMINATION_CLASSES, bias=False),
        )
        initialise_lstm(self.lstm)

    def initial_state(self, batch: int, device: torch.device | str) -> LSTMState:
        """The state before the first transition: zeros."""
        size = self.lstm.hidden_size
        return torch.zeros(batch, size, device=device), torch.zeros(batch, size, device=device)

    def forward(
        self,
        frames: Float[Tensor, "b t c h w"],
        actions: Int[Tensor, "b t"],
        next_frames: Float[Tensor, "b t c h w"],
        state: LSTMState,
    ) -> tuple[Float[Tensor, "b t r"], Float[Tensor, "b t d"], LSTMState]:
        """Logits for transitions (frame, action, next frame), and the state after the last of them."""
        batch, time = actions.shape
        pairs = torch.cat((frames, next_frames), dim=2).flatten(0, 1)
        features = self.encoder(pairs, self.action_embedding(actions.flatten()))
        hidden, state = self._remember(features.reshape(batch, time, -1), state)
        reward, termination = self.head(hidden).split((REWARD_CLASSES, TERMINATION_CLASSES), dim=-1)
        return reward, termination, state

    def _remember(self, features: Float[Tensor, "b t f"], state: LSTMState) -> tuple[Float[Tensor, "b t m"], LSTMState]:
        if features.shape[1] == 1:  # in the dream: calling the whole layer for a single step costs more than the step
            weights: list[Tensor] = [getattr(self.lstm, name) for name in LSTM_WEIGHTS]
            hidden, cell = torch.lstm_cell(features[:, 0], state, *weights)
            return hidden[:, None], (hidden, cell)
        hidden, (h, c) = self.lstm(features, (state[0][None], state[1][None]))
        return hidden, (h[0], c[0])


class TransitionEncoder(nn.Module):
    """Convolutional features of a pair of frames under an action; attention in two blocks at the lowest resolution."""

    def __init__(self, cfg: RewardModelConfig) -> None:
        super().__init__()
        self.conv_in = Conv3x3(2 * IMAGE_CHANNELS, cfg.channels[0])
        widths = (cfg.channels[0], *cfg.channels)
        levels = []
        for before, width, depth, attention in zip(widths[:-1], widths[1:], cfg.depths, cfg.attention, strict=True):
            ins = [before] + [width] * (depth - 1)
            levels.append(nn.ModuleList(ResidualBlock(i, width, cfg.condition_channels, attention) for i in ins))
        last = cfg.channels[-1]
        levels.append(
            nn.ModuleList(ResidualBlock(last, last, cfg.condition_channels, attention=True) for _ in range(2))
        )
        self.levels = nn.ModuleList(levels)
        self.downsamples = nn.ModuleList(Downsample(c) for c in cfg.channels[:-1])

    def forward(self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k"]) -> Float[Tensor, "b d h2 w2"]:
        """Features at the lowest resolution."""
        x = self.conv_in(x)
        for level, blocks in enumerate(self.levels):
            if 0 < level <= len(self.downsamples):
                x = self.downsamples[level - 1](x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, condition)
        return x
