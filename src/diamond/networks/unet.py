"""The denoiser's network F: a U-Net conditioned on noise level and actions (paper appendix D).

Axes   b batch | n past frames | c h w image | k conditioning
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from diamond.config import UNetConfig
from diamond.networks.blocks import Conv3x3, Downsample, FourierFeatures, GroupNorm, ResidualBlock, Upsample

IMAGE_CHANNELS = 3


class UNet(nn.Module):
    """Residual blocks on the way down, two with attention in the middle, and back up; any height and width."""

    def __init__(self, cfg: UNetConfig) -> None:
        super().__init__()
        down, up = [], []
        widths = (cfg.channels[0], *cfg.channels)
        for before, width, depth, attention in zip(widths[:-1], widths[1:], cfg.depths, cfg.attention, strict=True):
            ins = [before] + [width] * (depth - 1)
            down.append(nn.ModuleList(ResidualBlock(i, width, cfg.condition_channels, attention) for i in ins))
            # The last block on the way up joins the tensor that entered this level, which has the width of the level
            # above.
            pairs = [(2 * width, width)] * depth + [(before + width, before)]
            up.append(nn.ModuleList(ResidualBlock(i, o, cfg.condition_channels, attention) for i, o in pairs))
        self.down_blocks = nn.ModuleList(down)
        self.up_blocks = nn.ModuleList(reversed(up))
        deepest = cfg.channels[-1]
        self.middle_blocks = nn.ModuleList(
            ResidualBlock(deepest, deepest, cfg.condition_channels, attention=True) for _ in range(2)
        )
        self.downsamples = nn.ModuleList(Downsample(c) for c in cfg.channels[:-1])
        self.upsamples = nn.ModuleList(Upsample(c) for c in reversed(cfg.channels[:-1]))

    def forward(self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        """Features of the size of `x`; inside, rows and columns are zero-padded to a multiple of 2^(levels - 1)."""
        height, width = x.shape[-2:]
        multiple = 2 ** len(self.downsamples)
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple))
        skips: list[list[Tensor]] = []
        for level, blocks in enumerate(self.down_blocks):
            if level > 0:
                x = self.downsamples[level - 1](x)
            skips.append([x])
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, condition)
                skips[-1].append(x)
        for block in self.middle_blocks:
            x = block(x, condition)
        for level, blocks in enumerate(self.up_blocks):
            if level > 0:
                x = self.upsamples[level - 1](x)
            level_skips = skips.pop()
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, condition, level_skips.pop())
        return x[..., :height, :width]


class DenoiserNetwork(nn.Module):
    """F(scaled noisy frame, noise level, scaled context, actions) of the paper's equation 6 (EDM equation 7).

    Inputs are already scaled by the preconditioning of `diffusion.edm`. The output layer starts at zero.
    """

    def __init__(self, num_actions: int, context_length: int, cfg: UNetConfig) -> None:
        super().__init__()
        self.noise_embedding = FourierFeatures(cfg.condition_channels)
        self.action_embedding = nn.Embedding(num_actions, cfg.condition_channels // context_length)
        self.condition = nn.Sequential(
            nn.Linear(cfg.condition_channels, cfg.condition_channels),
            nn.SiLU(),
            nn.Linear(cfg.condition_channels, cfg.condition_channels),
        )
        self.conv_in = Conv3x3((context_length + 1) * IMAGE_CHANNELS, cfg.channels[0])
        self.unet = UNet(cfg)
        self.norm_out = GroupNorm(cfg.channels[0])
        self.conv_out = Conv3x3(cfg.channels[0], IMAGE_CHANNELS)
        nn.init.zeros_(self.conv_out.weight)

    def forward(
        self,
        noisy: Float[Tensor, "b c h w"],
        level: Float[Tensor, "b"],
        context: Float[Tensor, "b n c h w"],
        actions: Int[Tensor, "b n"],
    ) -> Float[Tensor, "b c h w"]:
        """The raw prediction; `diffusion.edm` turns it into a denoised frame."""
        condition = self.condition(self.noise_embedding(level) + self.action_embedding(actions).flatten(1))
        x = self.conv_in(torch.cat((context.flatten(1, 2), noisy), dim=1))
        return self.head(self.unet(x, condition))

    def head(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b c h w"]:
        """The prediction from the last features."""
        return self.conv_out(F.silu(self.norm_out(x)))
