"""What a player can turn while the game runs."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from diamond.config import SamplerConfig
from diamond.errors import ConfigError

Player = Literal["agent", "human", "random"]
World = Literal["dream", "real", "both"]
Ranges = dict[str, tuple[int | float, int | float]]

SEED_LIMIT = 2**31 - 1
"""Greatest seed that environments take."""


@dataclass(frozen=True)
class Settings:
    """All that a player can change, with the values of a new game."""

    player: Player = "agent"
    world: World = "dream"
    paused: bool = False
    speed: int = 15
    """Frames a second; 15 is how Atari runs at frame skip 4."""
    horizon: int = 0
    """Steps after which a dream ends; 0 never."""
    denoising_steps: int = 3
    order: int = 1
    """1 Euler, 2 Heun."""
    churn: float = 0.0
    start_noise: float = 1.0
    """Standard deviation of the image that denoising starts from."""
    temperature: float = 1.0
    """Divides the policy's logits before the agent's action is drawn."""
    seed: int = 0
    start: int = -1
    """Number of the start segment; -1 lets the seed decide."""
    show_denoising: bool = False
    recording: bool = False
    """Whether what is played is kept as episodes."""

    @classmethod
    def of(cls, sampler: SamplerConfig, seed: int) -> "Settings":
        """The settings under which a world model was trained."""
        return cls(
            denoising_steps=sampler.num_steps,
            order=sampler.order,
            churn=sampler.s_churn,
            start_noise=sampler.initial_noise_std,
            seed=seed,
        )

    def sampler(self, base: SamplerConfig) -> SamplerConfig:
        """A sampler as `base`, but for what the player has turned."""
        return dataclasses.replace(
            base,
            num_steps=self.denoising_steps,
            order=2 if self.order == 2 else 1,
            s_churn=self.churn,
            initial_noise_std=self.start_noise,
        )

    def changed(self, name: str, value: Any, limits: Ranges) -> "Settings":
        """These settings but for one; `value` comes from outside and is checked.

        Raises:
            ConfigError: there is no such setting, or the value is of another type or out of range.
        """
        kind = get_type_hints(Settings).get(name)
        if kind is None:
            raise ConfigError(f"setting is {name!r}: choose one of {', '.join(as_dict(self))}")
        return dataclasses.replace(self, **{name: _checked(name, value, kind, limits.get(name))})


def ranges(num_starts: int) -> Ranges:
    """Least and greatest value of each numeric setting."""
    return {
        "speed": (1, 60),
        "horizon": (0, 100_000),
        "denoising_steps": (1, 20),
        "order": (1, 2),
        "churn": (0, 20),
        "start_noise": (0.05, 10),
        "temperature": (0.05, 5),
        "seed": (0, SEED_LIMIT),
        "start": (-1, num_starts - 1),
    }


def as_dict(settings: Settings) -> dict[str, Any]:
    """The settings by name, ready for JSON."""
    return dataclasses.asdict(settings)


def _checked(name: str, value: Any, kind: Any, limits: tuple[int | float, int | float] | None) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}: give true or false")
        return value
    if limits is None:
        if value not in get_args(kind):
            raise ConfigError(f"{name} is {value!r}: choose {', '.join(get_args(kind))}")
        return value
    least, most = limits
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Whatever is in range is finite; NaN is in none, and whole numbers may be too great for a float.
    if not is_number or not least <= value <= most or (kind is int and value != int(value)):
        noun = "whole number" if kind is int else "number"
        raise ConfigError(f"{name} is {value!r}: give a {noun} from {least} to {most}")
    return kind(value)
