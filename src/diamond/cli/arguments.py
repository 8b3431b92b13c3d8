"""Typed arguments from the words of a command line."""

import contextlib
import dataclasses
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import tyro

from diamond.config import Config
from diamond.config.presets import DEFAULT_PRESET, preset
from diamond.errors import ConfigError
from diamond.lab.studies.scale import STUDIES


def parse(kind: type, program: str, verb: str, words: list[str]) -> Any:
    """The arguments of a verb as the dataclass `kind`.

    Its field `config`, if it has one, starts from the preset or the run that the words name, a field `scale` from that
    of the study that they name; a field `resume` may be given without a value.

    Raises:
        ConfigError: what tyro has to say about wrong words, on one line.
    """
    fields = {field.name for field in dataclasses.fields(kind)}
    if "resume" in fields:
        words = _name_resumed_run(words)
    default = None
    if "config" in fields:
        default = kind(_base_config(words))
    elif "scale" in fields:
        default = _base_study(kind, words)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=words, default=default, prog=f"{program} {verb}")
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(_first_sentence(complaint.getvalue(), f"{program} {verb}")) from None


def _base_config(words: list[str]) -> Config:
    """The configuration that overrides apply to: a resumed run's own, else that of the preset named."""
    from diamond.runs.folder import RunFolder

    run, folder = _value_of("--run", words), _value_of("--resume", words)
    if folder is not None:
        if run is not None:
            raise ConfigError(f"--run is {run!r} beside --resume: a resumed run stays in its folder, leave out --run")
        return RunFolder.open(Path(folder)).config
    config = preset(_value_of("--preset", words) or DEFAULT_PRESET)
    game = _value_of("--env.game", words)
    if game is not None and config.env.id is not None and _value_of("--env.id", words) is None:
        raise ConfigError(
            f"env.game is {game!r}, but the preset {config.preset} plays {config.env.id} in "
            f"{config.env.height}x{config.env.width} pixels: for an Atari game choose --preset atari100k"
        )
    return config


def _base_study(kind: type, words: list[str]) -> Any:
    """The study named first, at its own scale."""
    name = words[0] if words else None
    if name in STUDIES:
        return kind(name, STUDIES[name][1])
    if "--help" in words:
        return kind()
    raise ConfigError(f"study is {name!r}: name one of {', '.join(STUDIES)} before any option")


def _name_resumed_run(words: list[str]) -> list[str]:
    """`--resume` alone goes on with the newest run."""
    from diamond.runs.folder import newest_run

    if "--resume" not in words:
        return words
    place = words.index("--resume") + 1
    named = place < len(words) and not words[place].startswith("--")
    return words if named else [*words[:place], str(newest_run()), *words[place:]]


def _value_of(option: str, words: list[str]) -> str | None:
    for word, following in pairwise([*words, None]):
        if word == option:
            return following
        if word is not None and word.startswith(f"{option}="):
            return word.removeprefix(f"{option}=")
    return None


def _first_sentence(complaint: str, command: str) -> str:
    """The heart of an error box: what stands between its title and the next rule, and what tyro suggests instead."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip("│ ") for line in complaint.splitlines()]
    # Boxes are drawn with lines where standard output can show them, else with hyphens under a title.
    box = "\n".join(line for line in lines[1:] if line)
    paragraphs = [" ".join(part.split()) for part in re.split(r"^[╭╰─].*$|^-{9,}$", box, flags=re.MULTILINE)]
    first, *others = filter(None, paragraphs)
    first = first.rstrip(".")
    # The group that a value was given in tells more than the field, which may be in several: updates.denoiser.
    if named := re.match(r"Error parsing config\.([\w.-]+): [\w.]*?(\w+) is ", first):
        first = f"{named[1].replace('-', '_')}.{named[2]} is {first[named.end() :]}"
    close = re.match(r"Perhaps you meant: (--\S+)", "".join(others))
    hint = f"; did you mean {close[1]}?" if close else ""
    return f"{first}{hint} (see `{command} --help`)"
