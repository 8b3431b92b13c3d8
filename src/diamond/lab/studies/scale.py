"""How large a study is: small by default, as large as the paper's where there is a machine for it."""

from dataclasses import dataclass

from diamond.config import DenoiserConfig, EnvConfig, UNetConfig, UpdateConfig
from diamond.errors import ConfigError


@dataclass(frozen=True)
class Scale:
    """Data, network, training and measurement of a study; the defaults suit one CPU core for an hour or two.

    Raises:
        ConfigError: a value is out of range.
    """

    data_steps: int = 20_000
    """Real steps that the world models are trained on."""
    size: int = 32
    """Height and width of frames in pixels."""
    channels: tuple[int, ...] = (16, 32, 32)
    """Feature channels of each level of the denoiser, one residual block a level."""
    condition_channels: int = 64
    """Width of the conditioning vector."""
    updates: int = 3_000
    """Gradient steps of each world model."""
    batch_size: int = 16
    """Segments per gradient step."""
    learning_rate: float = 1e-3
    """Step size after the warm-up."""
    ema_decay: float = 0.995
    """Decay of the averaged weights that dream."""
    trajectories: int = 16
    """Held-out real games that dreams start from and are compared with."""
    horizon: int = 1_000
    """Imagined steps of each."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training; data and held-out games are the same for all."""
    agents: bool = False
    """Study denoising-steps alone: also train the preset laptop's agent with each number of steps, a quarter of an hour
    each."""
    device: str = "auto"
    """Device to train and dream on."""
    threads: int = 1
    """CPU threads."""

    def __post_init__(self) -> None:
        for name in ("data_steps", "updates", "batch_size", "horizon", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}: use at least 1")
        if self.trajectories < 2:
            raise ConfigError(f"--trajectories is {self.trajectories}: use at least 2, real games are compared too")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"--seeds are {self.seeds}: give different numbers from 0 on")
        _ = self.updates_cfg, self.env("Breakout"), self.denoiser()  # their own checks

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


STUDIES: dict[str, tuple[str, Scale]] = {
    "edm-vs-ddpm": ("Breakout", Scale()),
    "denoising-steps": ("Boxing", Scale(size=64, channels=(16, 16, 32, 32), updates=2_000, horizon=400)),
    "start-noise": ("Breakout", Scale()),
    "consistency": ("Asterix", Scale(size=64, channels=(16, 16, 32, 32), updates=2_000, horizon=150, seeds=(0,))),
}
"""Every study's game, the paper's, and its default scale."""
