"""Configurations as JSON-ready dictionaries and back, and what a resumed run may change."""

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from diamond.config.experiment import Config
from diamond.config.ranges import require

FREE_ON_RESUME = ("schedule", "compute", "logging", "collection.total_steps")
"""Groups and fields that a resumed run may change; everything else decides what is learned and must stay."""


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as JSON-ready nested dictionaries; infinity becomes the string "inf"."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return "inf" if value == float("inf") else value

    return plain(dataclasses.asdict(config))


def from_dict(values: Any, kind: type = Config, name: str = "config") -> Any:
    """The inverse of `to_dict`. Missing fields take their defaults.

    Raises:
        ConfigError: a field is unknown, of the wrong type or out of range.
    """
    require(isinstance(values, dict), name, values, "must be a table of fields")
    types = get_type_hints(kind)
    hints = {item.name: types[item.name] for item in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(hints))
    require(not unknown, f"{name}.{unknown[0]}" if unknown else name, "unknown", f"known fields are {', '.join(hints)}")
    return kind(**{key: _parse(item, hints[key], f"{name}.{key}") for key, item in values.items()})


def _parse(value: Any, hint: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(value, hint, name)
    if get_origin(hint) is tuple:
        require(isinstance(value, (list, tuple)), name, value, "must be a list")
        return tuple(_parse(item, get_args(hint)[0], name) for item in value)
    if get_origin(hint) is Literal:
        require(
            any(value == option and type(value) is type(option) for option in get_args(hint)),
            name,
            value,
            f"choose one of {get_args(hint)}",
        )
        return value
    if hint is float and (value == "inf" or (isinstance(value, int) and not isinstance(value, bool))):
        return float(value)
    accepted = tuple(get_args(hint)) or (hint,)
    require(type(value) in accepted, name, value, f"must be of type {getattr(hint, '__name__', hint)}")
    return value


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted field names and their values, for example `denoiser.unet.channels`.

    Args:
        config: a configuration or the table that its file holds.
        prefix: stands before each name.
    """
    flat: dict[str, Any] = {}
    for name, value in (config if isinstance(config, dict) else vars(config)).items():
        if dataclasses.is_dataclass(value) or (isinstance(value, dict) and value):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def changes_that_forbid_resume(old: Config, new: Config) -> list[str]:
    """What differs between a run's configuration and the one it is asked to resume with, beyond what may differ."""
    before, after = flatten(old), flatten(new)
    return [
        f"{name} was {before[name]!r}, now {value!r}"
        for name, value in after.items()
        if before[name] != value and not any(name == free or name.startswith(free + ".") for free in FREE_ON_RESUME)
    ]
