"""The range of a field, kept beside it as data: `num_steps: Annotated[int, AtLeast(1)] = 3`."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, get_type_hints

from diamond.errors import ConfigError

Number = int | float
LARGEST = 10**9
"""The largest number that a field without an upper end of its own may hold."""


def require(holds: bool, name: str, value: object, remedy: str) -> None:
    """Raise a `ConfigError` that names the field, its value and the remedy, unless the condition holds."""
    if not holds:
        raise ConfigError(f"{name} is {value!r}: {remedy}")


@dataclass(frozen=True)
class Between:
    """Numbers from `low` to `high`, in a unit; `high` itself only if `closed`. NaN is outside every range."""

    low: Number
    high: Number
    unit: str = ""
    closed: bool = True

    def holds(self, value: Number) -> bool:
        """Whether a number is inside."""
        return self.low <= value <= self.high and (self.closed or value < self.high)

    def remedy(self, value: Number) -> str:
        """What to do about a number outside."""
        return f"choose from {self}"

    def __str__(self) -> str:
        return f"{_text(self.low)} to {'' if self.closed else 'below '}{_text(self.high)} {self.unit}".rstrip()


@dataclass(frozen=True)
class AtLeast(Between):
    """Numbers from `low` on."""

    high: Number = LARGEST

    def remedy(self, value: Number) -> str:
        """What to do about a number outside."""
        if value > self.high:
            return f"use at most {_text(self.high)}"
        return "use 0 or more" if self.low == 0 else f"use at least {_text(self.low)}"

    def __str__(self) -> str:
        return f"{_text(self.low)} or more" if self.high >= LARGEST else super().__str__()


@dataclass(frozen=True)
class Positive(Between):
    """Numbers above 0 that are neither so small nor so large that 32-bit arithmetic with them fails."""

    low: Number = 1e-6
    high: Number = 1e6

    def remedy(self, value: Number) -> str:
        """What to do about a number outside."""
        return f"use a positive number, {self}"

    def __str__(self) -> str:
        return super().__str__() if self.high < float("inf") else f"{_text(self.low)} or more"


class Checked:
    """Base of dataclasses whose fields name their ranges; refuses values outside as soon as they are given.

    `class EnvConfig(Checked, prefix="env.")` calls its field `env.height` in messages; the prefix "--" writes names as
    options. A class without a prefix is checked by the class that holds it, under the name that it has there.
    """

    _prefix: ClassVar[str | None] = None

    def __init_subclass__(cls, prefix: str | None = None) -> None:
        cls._prefix = prefix

    def __post_init__(self) -> None:
        if self._prefix is not None:
            _check_ranges(self, self._prefix)
            self.check_together()

    def check_together(self) -> None:
        """Refuse values that do not fit each other."""


@cache
def ranges(kind: Any) -> dict[str, Between]:
    """The ranges of a dataclass's fields, by name."""
    hints = get_type_hints(kind, include_extras=True)
    found = {
        name: [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Between)] for name, hint in hints.items()
    }
    return {name: metadata[0] for name, metadata in found.items() if metadata}


def _check_ranges(config: Any, prefix: str) -> None:
    allowed = ranges(config.__class__)
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        if prefix == "--":
            name = name.replace("_", "-")
        if isinstance(value, Checked) and value._prefix is None:
            _check_ranges(value, f"{name}.")
        elif field.name in allowed and value is not None:
            _check(value, name, allowed[field.name])


def _check(value: Any, name: str, allowed: Between) -> None:
    several = isinstance(value, tuple)
    for number in value if several else (value,):
        require(allowed.holds(number), name, value, allowed.remedy(number) + (" each" if several else ""))


def _text(number: Number) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
