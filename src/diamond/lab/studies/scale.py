"""How large a study is: small by default, as large as the paper's where there is a machine for it."""

from dataclasses import dataclass
from typing import Annotated

from diamond.config import DenoiserConfig, EnvConfig, UNetConfig, UpdateConfig
from diamond.config.ranges import AtLeast, Between, Checked, Positive
from diamond.errors import ConfigError


@dataclass(frozen=True)
class Scale(Checked, prefix="--"):
    """Data, network, training and measurement of a study; the defaults suit one CPU core for an hour or two.

    Raises:
        ConfigError: a value is out of range.
    """

    data_steps: Annotated[int, AtLeast(1)] = 20_000
    """Real steps that the world models are trained on."""
    size: Annotated[int, Between(8, 1_024, "pixels")] = 32
    """Height and width of frames in pixels."""
    channels: Annotated[tuple[int, ...], AtLeast(1, 65_536)] = (16, 32, 32)
    """Feature channels of each level of the denoiser, one residual block a level."""
    condition_channels: Annotated[int, AtLeast(2, 65_536)] = 64
    """Width of the conditioning vector."""
    updates: Annotated[int, AtLeast(1)] = 3_000
    """Gradient steps of each world model."""
    batch_size: Annotated[int, AtLeast(1)] = 16
    """Segments per gradient step."""
    learning_rate: Annotated[float, Positive(1e-12, 1)] = 1e-3
    """Step size after the warm-up."""
    ema_decay: Annotated[float, Between(0, 1, closed=False)] = 0.995
    """Decay of the averaged weights that dream."""
    trajectories: Annotated[int, AtLeast(2)] = 16
    """Held-out real games that dreams start from and are compared with."""
    horizon: Annotated[int, AtLeast(1)] = 1_000
    """Imagined steps of each."""
    seeds: Annotated[tuple[int, ...], Between(0, 2**32 - 1)] = (0, 1, 2)
    """Seeds of training; data and held-out games are the same for all."""
    agents: bool = False
    """Study denoising-steps alone: also train the preset laptop's agent with each number of steps, a quarter of an hour
    each."""
    device: str = "auto"
    """Device to train and dream on."""
    threads: Annotated[int, AtLeast(1)] = 1
    """CPU threads."""

    def check_together(self) -> None:
        """Seeds differ, and the denoiser is one that can be built."""
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"--seeds are {self.seeds}: give different numbers from 0 on")
        self.denoiser()

    @property
    def updates_cfg(self) -> UpdateConfig:
        """The optimiser."""
        return UpdateConfig(
            batch_size=self.batch_size, learning_rate=self.learning_rate, ema_decay=self.ema_decay, warmup_updates=50
        )

    def env(self, game: str) -> EnvConfig:
        """The real game at this size of frames."""
        return EnvConfig(game=game, height=self.size, width=self.size)

    def denoiser(self, sigma_offset: float = 0.3, autoregressive_steps: int = 1) -> DenoiserConfig:
        """The denoiser, trained on single steps as in the paper's algorithm 1 unless told otherwise."""
        levels = len(self.channels)
        unet = UNetConfig(self.channels, (1,) * levels, (False,) * levels, self.condition_channels)
        return DenoiserConfig(unet, sigma_offset=sigma_offset, autoregressive_steps=autoregressive_steps)


STUDIES: dict[str, tuple[str, Scale, str]] = {
    "edm-vs-ddpm": ("Breakout", Scale(), "Which diffusion keeps a dream from drifting away, EDM or DDPM."),
    "denoising-steps": (
        "Boxing",
        Scale(size=64, channels=(16, 16, 32, 32), updates=2_000, horizon=400),
        "What a single denoising step blurs.",
    ),
    "start-noise": ("Breakout", Scale(), "How much noise sampling should begin with."),
    "consistency": (
        "Asterix",
        Scale(size=64, channels=(16, 16, 32, 32), updates=2_000, horizon=150, seeds=(0,)),
        "Objects that change or vanish.",
    ),
}
"""Every study's game, the paper's, its default scale and its question."""
