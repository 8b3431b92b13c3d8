"""Published weights by name: found, downloaded once, checked, used without a network; or refused with a remedy.

A hub on this machine stands in for the real one.
"""

import errno
import hashlib
import json
import logging
import pickle
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from subprocess import CompletedProcess

import huggingface_hub
import pytest
from fake_hub import REPO, FakeHub, commit, serving

from diamond.errors import DiskError, RunError
from diamond.interop import hub as hub_module
from diamond.interop.hub import HubName, fetch, is_name
from diamond.interop.published import load_published

WEIGHTS = (Path(__file__).parent.parent / "fixtures" / "parity" / "atari_agent.pt").read_bytes()
FOLDER = "atari_100k/models"
PONG = f"hf:{REPO}/Pong"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with the weights for two games, and a file elsewhere."""
    games = {f"{FOLDER}/{game}.pt": WEIGHTS for game in ("Pong", "Breakout")}
    with serving({**games, "others/small.pt": b"small", "README.md": b"agents"}) as serving_hub:
        yield serving_hub


@pytest.fixture
def load(hub: FakeHub, tmp_path: Path) -> Callable[[str], Path]:
    """Fetches a file from the hub into an empty cache."""
    return lambda name: fetch(name, hub.endpoint, tmp_path / "cache")


Load = Callable[[str], Path]


def refusal(load: Load, name: str, kind: type[Exception] = RunError) -> str:
    """What is said to somebody who loads it, in one line."""
    with pytest.raises(kind) as error:
        load(name)
    message = str(error.value)
    assert "\n" not in message
    return message


# Names


@pytest.mark.parametrize(
    ("name", "repo", "file", "revision"),
    [
        ("hf:eloialonso/diamond/Pong", "eloialonso/diamond", f"{FOLDER}/Pong.pt", "main"),
        ("hf:eloialonso/diamond/Pong@v1.0", "eloialonso/diamond", f"{FOLDER}/Pong.pt", "v1.0"),
        ("hf:a/b/Pong@refs/pr/3", "a/b", f"{FOLDER}/Pong.pt", "refs/pr/3"),
        ("hf:a/b/Pong.pt", "a/b", "Pong.pt", "main"),
        ("hf:a/b.c/d/e/My Game.pt@" + commit(7), "a/b.c", "d/e/My Game.pt", commit(7)),
    ],
)
def test_a_name_says_repository_file_and_revision(name: str, repo: str, file: str, revision: str) -> None:
    assert HubName.parse(name) == HubName(name, repo, file, revision)


@pytest.mark.parametrize("kind", [PurePosixPath, PureWindowsPath])
def test_a_name_that_went_through_a_path_is_the_same(kind: type[PurePosixPath | PureWindowsPath]) -> None:
    """The command line makes a path of whatever it is given, with backslashes on Windows."""
    name = "hf:eloialonso/diamond/folder/Pong.pt@v1"
    assert is_name(kind(name))
    assert HubName.parse(kind(name)) == HubName.parse(name)


@pytest.mark.parametrize("path", ["runs/first", "Pong.pt", "/hf:a/b/c", "h:/f", "HF:a/b/c", ""])
def test_other_paths_are_no_names(path: str) -> None:
    assert not is_name(path)
    assert not is_name(Path(path))


@pytest.mark.parametrize(
    "name",
    [
        "hf:",
        "hf:Pong",
        "hf:eloialonso/Pong",
        "hf:eloialonso/diamond/",
        "hf:eloialonso/diamond/Pong@",
        "hf:eloialonso/diamond/Pong@../x",
        "hf:eloialonso/diamond/Pong@a@b",
        "hf:eloialonso/diamond/folder/Pong",
        "hf:eloialonso/diamond/config.yaml/x.yaml",
        "hf:eloialonso/diamond/../../x.pt",
        "hf:eloialonso/diamond//etc/x.pt",
        "hf:eloi alonso/diamond/Pong",
        "hf://eloialonso/diamond/Pong",
    ],
)
def test_malformed_names_are_answered_with_the_form(load: Load, hub: FakeHub, name: str) -> None:
    message = refusal(load, name)
    assert message.startswith(f"{name!r} names no published weights: write hf:OWNER/REPO/Game or ")
    assert hub.asked == []


def test_a_repository_that_cannot_be_is_refused(load: Load, hub: FakeHub) -> None:
    assert "a/b--c cannot be a repository: " in refusal(load, "hf:a/b--c/Pong")
    assert hub.asked == []


# What works


def test_a_game_is_downloaded_and_loads_under_its_own_name(load: Load) -> None:
    """The cache names content by its hash, and the game is read from the file's name."""
    path = load(PONG)
    assert path.read_bytes() == WEIGHTS
    agent = load_published(path)
    assert agent.config.env.game == "Pong"
    assert agent.config.denoiser.published


def test_any_file_can_be_named(load: Load) -> None:
    assert load(f"hf:{REPO}/others/small.pt@main").read_bytes() == b"small"


def test_what_was_downloaded_is_used_again(load: Load, hub: FakeHub) -> None:
    """A branch is asked for again, as it may have moved; its content is not."""
    first = load(PONG)
    assert len(hub.downloads()) == 1
    hub.asked.clear()
    assert load(PONG) == first
    assert hub.asked == [f"HEAD /{REPO}/resolve/main/{FOLDER}/Pong.pt"]
    assert load(f"hf:{REPO}/Breakout").read_bytes() == WEIGHTS
    assert hub.downloads() == [], "the same content was there already"


def test_commit_and_hash_are_kept_beside_the_download(load: Load, tmp_path: Path) -> None:
    load(PONG)
    folder = tmp_path / "cache" / "models--eloialonso--diamond" / "diamond"
    for revision in ("main", commit(1)):
        record = json.loads((folder / revision / FOLDER / "Pong.pt.json").read_text(encoding="utf-8"))
        assert record == {"commit": commit(1), "sha256": hashlib.sha256(WEIGHTS).hexdigest()}


def test_a_branch_that_moved_is_followed_and_a_commit_is_not(load: Load, hub: FakeHub) -> None:
    first = load(PONG)
    hub.files, hub.revisions = {f"{FOLDER}/Pong.pt": b"newer"}, {"main": commit(2)}
    assert load(PONG).read_bytes() == b"newer"
    assert load(f"{PONG}@{commit(1)}") == first
    assert first.read_bytes() == WEIGHTS


def test_a_commit_once_loaded_needs_no_hub(load: Load, hub: FakeHub, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it was named so, or resolved from a branch."""
    first = load(PONG)
    hub.asked.clear()
    assert load(f"{PONG}@{commit(1)}") == first
    assert hub.asked == []
    assert caplog.messages == []


def test_a_branch_without_a_hub_is_what_it_was_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving({f"{FOLDER}/Pong.pt": WEIGHTS}) as hub:
        first = fetch(PONG, hub.endpoint, tmp_path)
    with caplog.at_level(logging.WARNING, logger=hub_module.__name__):
        assert fetch(PONG, hub.endpoint, tmp_path) == first
    assert caplog.messages == [f"{PONG}: the hub does not answer; using the cached commit {commit(1)}"]


def test_a_connection_that_breaks_is_taken_up_where_it_was(
    load: Load, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as whole blocks were received."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.breaks = 1
    assert load(PONG).read_bytes() == WEIGHTS
    content, received = f"GET /content/{FOLDER}/Pong.pt", len(WEIGHTS) // 2 // 10_000 * 10_000
    assert hub.downloads() == [content, f"{content} bytes={received}-"]


def test_a_damaged_record_is_written_anew(load: Load, tmp_path: Path) -> None:
    load(PONG)
    (record,) = tmp_path.rglob("main/**/Pong.pt.json")
    whole = record.read_bytes()
    for damaged in (b"", b"[]", b"{}", b'{"commit": "'):
        record.write_bytes(damaged)
        load(PONG)
        assert record.read_bytes() == whole


# What can be wrong


def test_without_a_hub_a_new_name_is_refused(tmp_path: Path) -> None:
    with serving({}) as hub:
        pass
    message = refusal(lambda name: fetch(name, hub.endpoint, tmp_path), PONG)
    assert re.fullmatch(
        rf"{PONG}: the hub does not answer \(\w+: .+\), and this name was never loaded here: "
        "connect to the network, or give the path of a file",
        message,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_content_that_is_not_the_hubs_is_refused(load: Load, hub: FakeHub, tmp_path: Path) -> None:
    """The file in the cache is named, to be deleted; then it can be loaded again."""
    wrong = hashlib.sha256(b"other weights").hexdigest()
    hub.etags[f"{FOLDER}/Pong.pt"] = wrong
    message = refusal(load, PONG)
    found = re.fullmatch(
        rf"{PONG}: (.+) is damaged \(its SHA-256 is {hashlib.sha256(WEIGHTS).hexdigest()}, the hub's {wrong}\): "
        "delete it and load it again",
        message,
    )
    assert found is not None
    assert not list(tmp_path.rglob("*.pt.json")), "nothing is kept of it"
    Path(found[1]).unlink()
    hub.etags.clear()
    assert load(PONG).read_bytes() == WEIGHTS


def test_a_download_damaged_later_is_noticed_and_mended(load: Load) -> None:
    path = load(PONG).resolve()
    path.write_bytes(WEIGHTS[:-1] + b"?")
    for name in (PONG, f"{PONG}@{commit(1)}"):
        assert f"{path} is damaged" in refusal(load, name)
    path.unlink()
    assert load(f"{PONG}@{commit(1)}").read_bytes() == WEIGHTS


def test_a_truncated_download_is_refused_and_can_be_made_again(
    load: Load, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.breaks = 100
    message = refusal(load, PONG)
    assert message.startswith(f"{PONG}: the download broke off (")
    assert message.endswith("): check the network and load it again")
    hub.breaks = 0
    assert load(PONG).read_bytes() == WEIGHTS


def test_a_content_shorter_than_announced_is_refused(load: Load, hub: FakeHub) -> None:
    hub.sizes[f"{FOLDER}/Pong.pt"] = len(WEIGHTS) + 1
    assert "the download broke off (OSError: Consistency check failed" in refusal(load, PONG)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hf:eloialonso/diamond/pongg", "did you mean Pong?"),
        ("hf:eloialonso/diamond/smal", "did you mean others/small.pt?"),
        ("hf:eloialonso/diamond/Zaxxon", "see the repository's page for what it has"),
    ],
)
def test_a_missing_file_is_answered_with_the_likeliest(load: Load, name: str, remedy: str) -> None:
    file = f"{FOLDER}/{PurePosixPath(name).name}.pt"
    assert refusal(load, name) == f"{name}: {REPO} has no file {file} at main: {remedy}"


def test_a_missing_file_needs_no_list_of_files(load: Load, hub: FakeHub) -> None:
    hub.lists_files = False
    assert refusal(load, f"hf:{REPO}/Pongg").endswith("see the repository's page for what it has")


def test_a_missing_repository_is_named(load: Load) -> None:
    message = refusal(load, "hf:nobody/nothing/Pong")
    assert message.startswith(
        "hf:nobody/nothing/Pong: nobody/nothing does not exist on the hub, or you have no access: check"
    )


def test_an_unknown_revision_is_named(load: Load) -> None:
    message = refusal(load, f"{PONG}@v9")
    assert message.startswith(f"{PONG}@v9: {REPO} has no revision 'v9': give a branch, a tag or a whole commit")


@pytest.mark.parametrize("told", ["commit", "hash"])
def test_a_server_that_is_no_hub_is_refused(load: Load, hub: FakeHub, told: str) -> None:
    if told == "commit":
        hub.revisions["main"] = "../../escape"
    else:
        hub.etags[f"{FOLDER}/Pong.pt"] = hashlib.sha1(WEIGHTS).hexdigest()  # as for small files, kept by git itself
    assert "gives no commit with a SHA-256" in refusal(load, PONG)
    assert hub.downloads() == []


@pytest.mark.parametrize("fault", ["a full disk", "a file in the place of the cache"])
def test_a_place_that_cannot_be_written_is_told(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def full(*arguments: object, **options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    if fault == "a full disk":
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    else:
        (tmp_path / "cache").write_text("not a folder", encoding="utf-8")
    message = refusal(load, PONG, DiskError)
    assert message.startswith(f"{tmp_path / 'cache'} cannot be written (")


def test_without_the_package_its_installation_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert refusal(load, PONG).endswith('needs the package huggingface_hub; run `pip install "diamond-wm[hub]"`')


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.victim,))


def test_code_from_the_hub_is_never_run(load: Load, hub: FakeHub, tmp_path: Path) -> None:
    """A right SHA-256 says who sent the file, not that it is harmless."""
    hub.files[f"{FOLDER}/Pong.pt"] = pickle.dumps(Harmful(tmp_path / "harmed"))
    with pytest.raises(RunError, match="not a file of PyTorch weights"):
        load_published(load(PONG))
    assert not (tmp_path / "harmed").exists()


# The command line


def test_an_agent_on_the_hub_is_scored(
    hub: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    diamond_command: Callable[..., CompletedProcess[str]],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    options = ("--episodes", "1", "--max-steps", "3", "--device", "cpu")
    scored = diamond_command("evaluate", PONG, *options, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout.startswith(f"{PONG}, Pong: mean return ")
    assert len(hub.downloads()) == 1

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = diamond_command("evaluate", PONG, *options, cwd=tmp_path)
    assert again.stdout == scored.stdout
    assert f"{PONG}: the hub does not answer; using the cached commit {commit(1)}" in again.stderr
    refused = diamond_command("evaluate", f"hf:{REPO}/Breakout", *options, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"diamond: hf:{REPO}/Breakout: the hub does not answer (OfflineModeIsEnabled: ")
    assert refused.stderr.count("\n") == 1
