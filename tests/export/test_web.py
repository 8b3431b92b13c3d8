"""The folder of a page that plays by itself: whole, and without a thing from anywhere else."""

import hashlib
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from playing import catch_source

from diamond.errors import ExportError
from diamond.export import folder as folder_module
from diamond.export import runtime
from diamond.export.folder import IN_PAGE, PAGE, Exported, export
from diamond.play.game.source import Source

SCRIPTS = sorted([*PAGE.glob("*.js"), *IN_PAGE.rglob("*.js")])


@pytest.fixture(scope="module")
def source() -> Source:
    return catch_source()


@pytest.fixture(scope="module")
def exported(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """An exported page without its networks, which do not matter here."""
    folder = tmp_path_factory.mktemp("export") / "page"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_module, "make_graphs", lambda agent, half: {})
        for name in ("differences", "trial"):
            patch.setattr(folder_module, name, lambda *arguments: {})
        return folder, export(source, folder, "web", half=False, progress=lambda text: None)


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "dream/dream.json").read_text(encoding="utf-8"))


def test_every_file_that_is_named_is_there_as_it_was(exported: tuple[Path, Exported]) -> None:
    folder, written = exported
    facts = facts_of(folder)
    for part, files in (("dream", facts["files"]), ("runtime", facts["runtime"]["files"])):
        for name, expected in files.items():
            content = (folder / part / name).read_bytes()
            assert len(content) == expected["bytes"]
            assert hashlib.sha256(content).hexdigest() == expected["sha256"], name
    assert written.total_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_runtime_has_its_version_and_licence(exported: tuple[Path, Exported]) -> None:
    folder, _ = exported
    facts = json.loads((folder / "runtime/runtime.json").read_text(encoding="utf-8"))
    assert (facts["name"], facts["license"]) == ("onnxruntime-web", "MIT")
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"])
    assert "Copyright (c) Microsoft Corporation" in (folder / "runtime/LICENSE").read_text(encoding="utf-8")
    assert (folder / "runtime/ThirdPartyNotices.txt").stat().st_size > 0
    assert {path.name for path in (folder / "runtime").iterdir()} == {*facts["files"], "runtime.json"}


def test_the_page_is_checked_against_the_types_of_this_runtime() -> None:
    package = json.loads((Path(__file__).parents[2] / "package.json").read_text(encoding="utf-8"))
    assert package["devDependencies"]["onnxruntime-common"] == runtime.runtime_facts()["version"]


def test_a_damaged_runtime_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = runtime.runtime_facts()
    facts["files"] = {"LICENSE": {"bytes": 1, "sha256": "0"}}
    monkeypatch.setattr(runtime, "runtime_facts", lambda: facts)
    with pytest.raises(ExportError, match="LICENSE in .* is damaged: install the package again"):
        runtime.runtime_files()


def test_the_page_is_that_of_the_server_but_for_its_connection(exported: tuple[Path, Exported]) -> None:
    folder, _ = exported
    for path in PAGE.iterdir():
        same = (folder / path.name).read_bytes() == path.read_bytes()
        assert same == (path.name not in ("connection.js", "index.html")), path.name
    assert (folder / "connection.js").read_bytes() == (IN_PAGE / "connection.js").read_bytes()


def test_the_two_connections_offer_the_same() -> None:
    for path in (PAGE / "connection.js", IN_PAGE / "connection.js"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^export \w+ (\w+)\((.*)\)", text, re.M) == [
            ("openConnection", "{ onMessage, onFrame, onState }")
        ]


@pytest.mark.parametrize("script", SCRIPTS, ids=[f"{path.parent.name}/{path.name}" for path in SCRIPTS])
def test_scripts_load_only_what_lies_beside_them(script: Path, exported: tuple[Path, Exported]) -> None:
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\bwss?://", text)
    home = exported[0] / (script.relative_to(IN_PAGE if script.is_relative_to(IN_PAGE) else PAGE)).parent
    for name in re.findall(r"""(?:from|import) '([^']+)'|new URL\('([^']+)', import""", text):
        assert (home / "".join(name)).is_file(), name


def test_the_page_may_ask_nobody_else(exported: tuple[Path, Exported]) -> None:
    folder, _ = exported
    html = (folder / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert {source for rule in rules.values() for source in rule.split() if not source.startswith("'sha256-")} == {
        "'none'",
        "'self'",
        "'wasm-unsafe-eval'",
        "blob:",
    }
    assert html.index("Content-Security-Policy") < html.index("<link")
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert (folder / address).is_file(), address


def test_starts_come_back_as_they_were(source: Source, exported: tuple[Path, Exported]) -> None:
    folder, _ = exported
    facts = facts_of(folder)
    pixels = np.frombuffer(zlib.decompress((folder / "dream/starts.bin").read_bytes()), np.uint8)
    frames = pixels.reshape(facts["starts"]["count"], facts["starts"]["frames"], facts["height"], facts["width"], 3)
    assert (frames == np.stack([past.frames for past in source.starts])).all()
