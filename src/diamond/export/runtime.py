"""ONNX Runtime Web as it is packed in this package: read, and checked before it is handed on.

`tools/vendor_runtime.py` writes what is read here.
"""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from diamond.errors import ExportError

VENDORED = Path(__file__).parent / "vendored"
ARCHIVE = VENDORED / "onnxruntime-web.tar.xz"
FACTS = VENDORED / "onnxruntime-web.json"
LEGAL = ("LICENSE", "ThirdPartyNotices.txt")


def runtime_facts() -> dict[str, Any]:
    """Name, version and licence of the runtime, and size and SHA-256 of each of its files."""
    return json.loads(FACTS.read_text(encoding="utf-8"))


def runtime_files() -> dict[str, bytes]:
    """The runtime's files by name, its licence among them.

    Raises:
        ExportError: one is not what was packed.
    """
    contents: dict[str, bytes] = {}
    facts = runtime_facts()["files"]
    with tarfile.open(ARCHIVE, "r:xz") as archive:
        for name in facts:
            member = archive.extractfile(name)
            assert member is not None, f"{name} is no file"
            contents[name] = member.read()
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != facts[name]["sha256"]:
            raise ExportError(f"{name} in {ARCHIVE} is damaged: install the package again")
    return contents
