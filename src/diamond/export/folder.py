"""The folder that an export writes: whole, under its name only once it is finished.

dream/    the networks, `starts.bin` (frames that dreams start from) and `dream.json` (all else that there is to know)
engine/   what dreams in the page
runtime/  ONNX Runtime Web with its licence
          and the page of `diamond play`; an export of ONNX files alone holds what else lies in `dream/`
"""

import base64
import hashlib
import importlib.metadata
import math
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diamond.errors import ExportError
from diamond.export.check import differences, require_agreement, trial
from diamond.export.graphs import make_graphs
from diamond.export.runtime import runtime_facts, runtime_files
from diamond.extras import require
from diamond.play.game.buttons import all_buttons, buttons_of, default_keys
from diamond.play.game.settings import Settings, as_dict, ranges
from diamond.play.game.source import Source
from diamond.runs.files import cannot_write, write_bytes, write_json
from diamond.version import __version__

Format = Literal["web", "onnx"]
Progress = Callable[[str], None]

FORMAT_VERSION = 1
"""Of `dream.json`."""
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
PAGE = Path(__file__).parent.parent / "play/web"
IN_PAGE = Path(__file__).parent / "web"
"""What takes the server's place, and the module `connection.js` instead of the one that calls it."""

FROM_A_FILE = (
    "if (location.protocol === 'file:') document.getElementById('placeholder').textContent = "
    "'Browsers do not let a page that is opened as a file load its parts. Put this folder on a web server; to try it: "
    "python -m http.server --directory FOLDER';"
)
"""A script that runs where the page's own, which are modules, are not loaded."""
POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' blob:; style-src 'self'; worker-src 'self'; "
    "script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'"
)
"""What the page may do: nothing that leaves the place it came from."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    sizes: dict[str, int]
    """Bytes of each network's file."""
    differences: dict[str, float]
    """To PyTorch, of each network."""
    dream_bytes: int
    """Networks, starts and facts."""
    total_bytes: int


def require_ready(folder: Path) -> None:
    """Refuse, before anything takes long, what could not be written in the end.

    Raises:
        ExportError: the folder holds something, or is a file; a package is missing.
    """
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty:
        raise ExportError(f"{folder} already exists: choose a new folder, or remove this one")
    for package in PACKAGES:
        require(package, "export", ExportError)


def export(source: Source, folder: Path, form: Format, half: bool, progress: Progress = print) -> Exported:
    """Write a dream for use without this package.

    Args:
        source: what to export; its networks must be on the CPU.
        folder: to write; new, or empty.
        form: the page with all it needs, or the ONNX files alone.
        half: whether weights are stored with 16 bits.
        progress: told what takes long.

    Raises:
        ExportError: a package is missing, the folder is taken, or a graph computes something else than PyTorch.
        DiskError: the folder cannot be written.
    """
    require_ready(folder)
    progress("making the ONNX graphs")
    graphs = make_graphs(source.agent, half)
    progress("comparing them with PyTorch")
    found = differences(source.agent, graphs, source.starts)
    require_agreement(found, half)
    dream = {f"{name}.onnx": graph.onnx for name, graph in graphs.items()}
    dream["starts.bin"] = _starts(source)
    facts = dream_facts(source, half, found) | {"files": {name: _file(content) for name, content in dream.items()}}

    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    inside = partial / "dream" if form == "web" else partial
    try:
        partial.mkdir(parents=True)
        if form == "web":
            progress("unpacking the runtime")
            facts["runtime"] = runtime_facts()
            facts["trial"] = trial(source.agent, graphs)
            _write_page(partial)
        for name, content in dream.items():
            write_bytes(inside / name, content)
        write_json(inside / "dream.json", facts)
        if folder.is_dir():
            folder.rmdir()  # it is empty, but not every system replaces one folder by another
        os.replace(partial, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    inside = folder / inside.relative_to(partial)
    sizes = {name: len(graph.onnx) for name, graph in graphs.items()}
    return Exported(sizes, found, _bytes_in(inside), _bytes_in(folder))


def dream_facts(source: Source, half: bool, found: dict[str, float]) -> dict[str, Any]:
    """What is to be known of a dream besides its files, ready for JSON."""
    config, actions = source.agent.config, source.actions
    sampler, buttons = config.sampler, all_buttons(actions)
    return {
        "format": FORMAT_VERSION,
        "title": source.title,
        "subtitle": source.subtitle,
        "height": config.env.height,
        "width": config.env.width,
        "context_length": config.denoiser.context_length,
        "actions": [{"name": name, "buttons": buttons_of(name)} for name in actions],
        "buttons": buttons,
        "keys": default_keys(buttons),
        "settings": as_dict(Settings.of(sampler, seed=0)),
        "ranges": ranges(len(source.starts)),
        "sampler": {
            "sigma_min": sampler.sigma_min,
            "sigma_max": sampler.sigma_max,
            "rho": sampler.rho,
            "s_tmin": sampler.s_tmin,
            "s_tmax": None if math.isinf(sampler.s_tmax) else sampler.s_tmax,
            "s_noise": sampler.s_noise,
        },
        "published": config.denoiser.published,
        "memory": {"reward_model": config.reward_model.lstm_size, "actor_critic": config.actor_critic.lstm_size},
        "starts": {
            "count": len(source.starts),
            "frames": len(source.starts[0].frames),
            "actions": [list(past.actions) for past in source.starts],
        },
        "weights": {"sha256": source.model, "stored_bits": 16 if half else 32},
        "differences": found,
        "versions": {"diamond-wm": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _starts(source: Source) -> bytes:
    """Frames as uint8 (start, frame, row, column, RGB), compressed with zlib."""
    return zlib.compress(np.stack([past.frames for past in source.starts]).tobytes(), level=9)


def _file(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _write_page(folder: Path) -> None:
    for path in sorted(PAGE.iterdir()):
        write_bytes(folder / path.name, path.read_bytes())
    for path in sorted(IN_PAGE.rglob("*.js")):
        write_bytes(folder / path.relative_to(IN_PAGE), path.read_bytes())
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    write_bytes(folder / "index.html", _without_server(html).encode())
    for name, content in runtime_files().items():
        write_bytes(folder / "runtime" / name, content)
    write_json(folder / "runtime/runtime.json", runtime_facts())


def _without_server(html: str) -> str:
    """The page with the policy that the server would send, and a word for who opens it as a file."""
    digest = base64.b64encode(hashlib.sha256(FROM_A_FILE.encode()).digest()).decode()
    policy = POLICY.format(digest=digest)
    head, body = '<meta charset="utf-8">', "</body>"
    assert html.count(head) == html.count(body) == 1
    html = html.replace(head, f'{head}\n    <meta http-equiv="Content-Security-Policy" content="{policy}">')
    return html.replace(body, f"  <script>{FROM_A_FILE}</script>\n  {body}")


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
