"""The modules of a network that has been accelerated: same weights by the same names, same results up to rounding.

Leaves keep their weights rearranged; blocks compute with one kernel what a plain block computes in several steps.
Nothing here has a gradient.

Axes   b batch | c d e channels | h w image | k conditioning
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from diamond.kernels import operations, weights
from diamond.kernels.weights import Normalisation, Weights
from diamond.networks.actor_critic import EncoderBlock
from diamond.networks.blocks import (
    NORM_EPSILON,
    AdaptiveGroupNorm,
    Conv1x1,
    Conv3x3,
    GroupNorm,
    ResidualBlock,
    SelfAttention,
    Upsample,
)
from diamond.networks.unet import DenoiserNetwork


class Leaf(nn.Module):
    """A module with weights that a kernel reads in another order."""

    def arrange(self) -> None:
        """Rearrange the weights as they are now."""
        raise NotImplementedError

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.arrange()


class FusedConv3x3(Leaf, Conv3x3):
    """`Conv3x3` by Winograd's method."""

    arranged: Weights

    def arrange(self) -> None:
        """See `Leaf`."""
        self.arranged = weights.winograd(self)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Convolve."""
        return operations.convolution(x, self.arranged)


class FusedConv1x1(Leaf, Conv1x1):
    """`Conv1x1`, whose weights the block around it reads."""

    arranged: Weights

    def arrange(self) -> None:
        """See `Leaf`."""
        self.arranged = weights.matrix(self)


class FusedGroupNorm(Leaf, GroupNorm):
    """`GroupNorm`, whose weights the block around it reads."""

    arranged: Normalisation

    def arrange(self) -> None:
        """See `Leaf`."""
        self.arranged = weights.normalisation(self)


class FusedUpsample(Upsample):
    """`Upsample`, which never writes the repeated pixels down."""

    conv: FusedConv3x3

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Twice the height and width."""
        return operations.convolution(x, self.conv.arranged, upsample=True)


class FusedSelfAttention(SelfAttention):
    """`SelfAttention` with its normalisation and both linear maps."""

    norm: FusedGroupNorm
    qkv: FusedConv1x1
    out: FusedConv1x1

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Let every pixel look at every other."""
        return operations.attention(x, self.norm.arranged, self.qkv.arranged, self.out.arranged, self.num_heads)


class FusedResidualBlock(ResidualBlock):
    """`ResidualBlock` but for its attention, which is a module of its own."""

    conv1: FusedConv3x3
    conv2: FusedConv3x3

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        condition: Float[Tensor, "b k"],
        skip: Float[Tensor, "b e h w"] | None = None,
    ) -> Float[Tensor, "b d h w"]:
        """Transform `x`, with the channels of `skip` behind its own, under `condition`."""
        first = _adaptive(self.norm1, condition), self.conv1.arranged
        second = _adaptive(self.norm2, condition), self.conv2.arranged
        return self.attention(operations.residual_block(x, skip, first, second, _shortcut(self.shortcut)))


class FusedEncoderBlock(EncoderBlock):
    """`EncoderBlock` as one kernel."""

    norm: FusedGroupNorm
    conv: FusedConv3x3

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Residual features."""
        shortcut, norm = _shortcut(self.shortcut), self.norm.arranged
        return operations.convolution(x, self.conv.arranged, normalisation=norm, residual=True, shortcut=shortcut)


class FusedDenoiserNetwork(DenoiserNetwork):
    """`DenoiserNetwork` whose last normalisation and convolution are one kernel."""

    norm_out: FusedGroupNorm
    conv_out: FusedConv3x3

    def head(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b c h w"]:
        """The prediction from the last features."""
        return operations.convolution(x, self.conv_out.arranged, normalisation=self.norm_out.arranged)


def _adaptive(norm: AdaptiveGroupNorm, condition: Float[Tensor, "b k"]) -> Normalisation:
    return Normalisation(norm.num_groups, NORM_EPSILON, norm.linear(condition), offset=1.0)


def _shortcut(module: nn.Module) -> Weights | None:
    """None for the identity."""
    return module.arranged if isinstance(module, FusedConv1x1) else None
