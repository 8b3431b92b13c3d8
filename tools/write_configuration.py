"""Writes docs/configuration.md from the fields of `diamond.config` and their docstrings; run it after changing them."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from diamond.config import FREE_ON_RESUME, Config
from diamond.config.presets import PRESETS
from diamond.config.ranges import ranges

PAGE = Path(__file__).parent.parent / "docs/configuration.md"
INTRODUCTION = """\
# Configuration

Every hyper-parameter: its value in each preset, the values allowed, its meaning and its unit.
`python tools/write_configuration.py` writes this page from `src/diamond/config/experiment.py`, and a test checks that
both agree.

Each name is an option of `diamond train`:

| kind | example |
|---|---|
| a value | `--env.num-envs 2` (dashes and underscores mean the same) |
| a list | `--denoiser.unet.channels 32 64` |
| a switch | `--compute.bfloat16`, `--compute.no-bfloat16` |

A run stores its values in `config.json`. Values that are not allowed are refused before anything is written. "Or more"
ends at 10^9. A range holds for each number of a list. A resumed run may change only {free}.
"""


def page() -> str:
    """The whole page."""
    presets = {name: make() for name, make in PRESETS.items()}
    free = ", ".join(f"`{name}`" for name in FREE_ON_RESUME[:-1]) + f" and `{FREE_ON_RESUME[-1]}`"
    return INTRODUCTION.format(free=free) + "".join(sections(presets, Config, ""))


def sections(values: dict[str, Any], kind: type, prefix: str) -> Iterator[str]:
    """A heading, a sentence and a table for a group of fields, then the groups inside it.

    Args:
        values: the group in each preset, by the preset's name.
        kind: the group's class.
        prefix: the group's dotted name with a final dot, empty for the whole configuration.
    """
    fields, documented = dataclasses.fields(kind), field_docstrings(kind)
    groups = [f.name for f in fields if dataclasses.is_dataclass(getattr(next(iter(values.values())), f.name))]
    yield f"\n## {f'`{prefix[:-1]}`' if prefix else 'The run'}\n\n{inspect.getdoc(kind)}\n\n"
    if len(groups) < len(fields):
        yield f"| name | {' | '.join(values)} | allowed | meaning |\n|{'---|' * (len(values) + 3)}\n"
    for name in (f.name for f in fields if f.name not in groups):
        assert name in documented, f"{kind.__name__}.{name} has no docstring"
        cells = " | ".join(literal(getattr(group, name)) for group in values.values())
        yield f"| `{prefix}{name}` | {cells} | {allowed(kind, name)} | {documented[name]} |\n"
    for name in groups:
        inner = {preset: getattr(group, name) for preset, group in values.items()}
        yield from sections(inner, type(next(iter(inner.values()))), f"{prefix}{name}.")


def field_docstrings(kind: type) -> dict[str, str]:
    """The string below each field of a class, on one line."""
    body = next(node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(meaning))):
                found[name] = " ".join(meaning.split()).replace("|", r"\|")
    return found


def allowed(kind: type, name: str) -> str:
    """What a field may hold: its range, the values to choose from, or a dash for any text."""
    hint = get_type_hints(kind)[name]
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    if bool in (hint, *get_args(hint)):
        return "yes, no"
    return str(ranges(kind).get(name, "-"))


def literal(value: object) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, tuple):
        return " ".join(literal(item) for item in value) or "(none)"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
