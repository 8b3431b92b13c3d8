"""Building blocks shared by the networks (paper appendix D).

Axes   b batch | c channels | h w image | k conditioning
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS_PER_GROUP = 32
LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state of an LSTM, each (b, size)."""
NORM_EPSILON = 1e-5
CHANNELS_PER_HEAD = 8


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution that keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)


class Conv1x1(nn.Conv2d):
    """A linear map of the channels at each pixel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)


def num_groups(channels: int) -> int:
    """Groups of a group normalisation: one for every full 32 channels, at least one."""
    return max(1, channels // CHANNELS_PER_GROUP)


class GroupNorm(nn.GroupNorm):
    """Group normalisation with a learned scale and shift per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(num_groups(channels), channels, eps=NORM_EPSILON)


class AdaptiveGroupNorm(nn.Module):
    """Group normalisation whose scale and shift are a linear map of the conditioning vector: y * (1 + scale) +
    shift."""

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.num_groups = num_groups(channels)
        self.linear = nn.Linear(condition_channels, 2 * channels)

    def forward(self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        """Normalise `x` and modulate it by `condition`."""
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, F.group_norm(x, self.num_groups, eps=NORM_EPSILON), 1 + scale)


class SelfAttention(nn.Module):
    """Group norm, then residual self-attention over all pixels, 8 channels a head; starts as the group norm.

    The shortcut carries the normalised features, as in the published code (usually it carries the features themselves).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_heads = max(1, channels // CHANNELS_PER_HEAD)
        self.norm = GroupNorm(channels)
        self.qkv = Conv1x1(channels, 3 * channels)
        self.out = Conv1x1(channels, channels)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Let every pixel look at every other."""
        b, c, h, w = x.shape
        x = self.norm(x)
        qkv = self.qkv(x).reshape(b, 3, self.num_heads, c // self.num_heads, h * w)
        query, key, value = qkv.transpose(3, 4).unbind(dim=1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return x + self.out(mixed.transpose(2, 3).reshape(b, c, h, w))


class ResidualBlock(nn.Module):
    """Two conditioned convolutions around a shortcut, then optional attention; starts as the shortcut plus a bias."""

    def __init__(self, in_channels: int, out_channels: int, condition_channels: int, attention: bool) -> None:
        super().__init__()
        self.shortcut = nn.Identity() if in_channels == out_channels else Conv1x1(in_channels, out_channels)
        self.norm1 = AdaptiveGroupNorm(in_channels, condition_channels)
        self.conv1 = Conv3x3(in_channels, out_channels)
        self.norm2 = AdaptiveGroupNorm(out_channels, condition_channels)
        self.conv2 = Conv3x3(out_channels, out_channels)
        self.attention = SelfAttention(out_channels) if attention else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        condition: Float[Tensor, "b k"],
        skip: Float[Tensor, "b e h w"] | None = None,
    ) -> Float[Tensor, "b d h w"]:
        """Transform `x`, with the channels of `skip` behind its own, under `condition`."""
        x = x if skip is None else torch.cat((x, skip), dim=1)
        y = self.conv1(F.silu(self.norm1(x, condition)))
        y = self.conv2(F.silu(self.norm2(y, condition)))
        return self.attention(y + self.shortcut(x))


class FourierFeatures(nn.Module):
    """[cos, sin](2 pi f x) at random frequencies f ~ N(0, 1), drawn once and not trained."""

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(size // 2))

    def forward(self, x: Float[Tensor, "b"]) -> Float[Tensor, "b k"]:
        """Embed a number per sample."""
        angle = 2 * math.pi * x[:, None] * self.frequencies
        return torch.cat((angle.cos(), angle.sin()), dim=-1)


class Downsample(nn.Module):
    """Halve the resolution by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)
        nn.init.orthogonal_(self.conv.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Keep every second row and column, rounded up."""
        return self.conv(x)


class Upsample(nn.Module):
    """Double the resolution by repeating pixels, then convolve."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Twice the height and width."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def initialise_lstm(lstm: nn.LSTM | nn.LSTMCell) -> None:
    """Xavier input weights, orthogonal recurrent weights (each over the stacked gates), forget bias 1."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                quarter = parameter.shape[0] // 4
                nn.init.ones_(parameter[quarter : 2 * quarter])
