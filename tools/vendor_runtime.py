"""Write what exported pages run on: the files of ONNX Runtime Web that browsers load, packed.

python tools/vendor_runtime.py FOLDER

FOLDER is the unpacked npm package. It has no licence text of its own: that and the notices of what is built in are
taken from the Python package of the same project, which must be installed.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path

from diamond.export.runtime import ARCHIVE, FACTS, LEGAL
from diamond.runs.files import write_bytes, write_json

FILES = (
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
)


def main() -> None:
    """Write `src/diamond/export/runtime`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        raise SystemExit("the Python package onnxruntime, which holds the licence, is not installed")
    legal = Path(found.origin).parent

    # Not every web server knows that .mjs is JavaScript.
    contents = {name.replace(".mjs", ".js"): (folder / "dist" / name).read_bytes() for name in FILES}
    contents |= {name: (legal / name).read_bytes() for name in LEGAL}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    write_bytes(ARCHIVE, packed.getvalue())
    facts = {name: package[name] for name in ("name", "version", "license")}
    facts["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    write_json(FACTS, facts)
    print(f"{ARCHIVE}: {package['name']} {package['version']}, {ARCHIVE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
