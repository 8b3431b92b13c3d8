"""Typed arguments from the words of a command line, by tyro.

Options change a configuration that other options choose: `--preset` and `--resume` name it, and every study has its own
scale. So tyro reads the words of `train` and `bench` twice, first for the options that choose; studies are subcommands.
"""

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from diamond.cli.options import Resume, Study, Train
from diamond.config import Config
from diamond.config.presets import DEFAULT_PRESET, preset
from diamond.errors import ConfigError
from diamond.lab.studies.scale import STUDIES
from diamond.runs.folder import RunFolder, newest_run


def parse(kind: type, program: str, words: list[str]) -> Any:
    """The arguments of a verb as the dataclass `kind`; `program` is what was typed before the words.

    Raises:
        ConfigError: an option is unknown, or a value is out of range.
        RunError: what should be resumed is not a run.
        SystemExit: help was printed (status 0), or tyro's message about a value that it cannot read (status 1).
    """
    _refuse_unknown(kind, program, words)
    form: Any = kind
    default: Any = tyro.MISSING_NONPROP
    if kind is Study:
        form = _studies()
    elif "config" in {item.name for item in dataclasses.fields(kind)}:
        default = kind(_base_config(kind is Train, program, words))
    with _failure_is_one():
        return tyro.cli(form, prog=program, description=kind.__doc__, args=words, default=default)


def resumed_run(resume: tuple[Path, ...] | None) -> Path | None:
    """The run that `--resume` names; the newest one if it is given alone, None if it is not given.

    Raises:
        ConfigError: it names several.
        RunError: there is no run.
    """
    if resume is None:
        return None
    if len(resume) > 1:
        raise ConfigError(f"--resume is '{' '.join(map(str, resume))}': name one run, or none to take the newest")
    return resume[0] if resume else newest_run()


@contextlib.contextmanager
def _failure_is_one() -> Iterator[None]:
    """Whatever tyro refuses ends with the status of all that is refused."""
    try:
        yield
    except SystemExit as stop:
        raise SystemExit(1 if stop.code else 0) from None


@dataclass(frozen=True)
class _Game:
    game: str | None = None
    id: str = ""


@dataclass(frozen=True)
class _Choice:
    """The options that choose a configuration, and those that must fit it."""

    preset: str = DEFAULT_PRESET
    env: _Game = field(default_factory=_Game)


@dataclass(frozen=True)
class _RunChoice(_Choice):
    resume: Resume = None
    run: str | None = None


def _base_config(resumes: bool, program: str, words: list[str]) -> Config:
    """The configuration that all options change: a resumed run's own, else that of the preset named."""
    kind: type[_Choice] = _RunChoice if resumes else _Choice
    with _failure_is_one():
        chosen, _ = tyro.cli(kind, prog=program, args=words, return_unknown_args=True, add_help=False)
    if isinstance(chosen, _RunChoice) and chosen.resume is not None and chosen.run is not None:
        raise ConfigError(
            f"--run is {chosen.run!r} beside --resume: a resumed run stays in its folder, leave out --run"
        )
    run = resumed_run(chosen.resume) if isinstance(chosen, _RunChoice) else None
    if run is not None:
        return RunFolder.open(run).config
    config, game = preset(chosen.preset), chosen.env.game
    if game is not None and config.env.id is not None and not chosen.env.id:
        raise ConfigError(
            f"env.game is {game!r}, but the preset {config.preset} plays {config.env.id} in "
            f"{config.env.height}x{config.env.width} pixels: for an Atari game choose --preset atari100k"
        )
    return config


def _studies() -> Any:
    """Every study at its own scale, as a subcommand."""
    return tyro.extras.subcommand_type_from_defaults(
        {name: Study(name, scale) for name, (_, scale, _) in STUDIES.items()},
        {name: meaning for name, (_, _, meaning) in STUDIES.items()},
    )


def _refuse_unknown(kind: type, program: str, words: list[str]) -> None:
    """Name an option that does not exist in one line; tyro describes up to ten others at length."""
    options = list(_options(kind))
    known = {"--", "--help", *options, *(re.sub(r"(--|\.)([^.]+)$", r"\1no-\2", option) for option in options)}
    for word in words:
        name = _dashed(word.partition("=")[0])
        if name.startswith("--") and name not in known:
            same_end = [option for option in options if option.endswith(f".{name.removeprefix('--')}")]
            close = same_end or difflib.get_close_matches(name, options, n=2, cutoff=0.7)
            hint = f"did you mean {' or '.join(close)}?" if close else "leave it out"
            raise ConfigError(f"{name} is not an option of `{program}`: {hint} (see `{program} --help`)")


def _options(kind: Any, prefix: str = "--") -> Iterator[str]:
    """The options of a dataclass and of the groups inside it."""
    hints = get_type_hints(kind, include_extras=True)
    for item in dataclasses.fields(kind):
        hint = hints[item.name]
        metadata = getattr(hint, "__metadata__", ())
        inner = hint.__origin__ if metadata else hint
        if dataclasses.is_dataclass(inner):
            # A group with metadata is one whose name is left out.
            yield from _options(inner, prefix if metadata else _dashed(f"{prefix}{item.name}."))
        elif not {tyro.conf.Positional, tyro.conf.Suppress} & set(metadata):
            yield _dashed(prefix + item.name)


def _dashed(name: str) -> str:
    """An option as tyro writes it: dashes inside, an underscore at the end as it is."""
    return re.sub("-$", "_", name.replace("_", "-")) if len(name) > 2 else name
