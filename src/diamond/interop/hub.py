"""Published weights from the Hugging Face hub, by a name such as `hf:eloialonso/diamond/Breakout@main`.

    hf:OWNER/REPO/Game[@REVISION]             the file atari_100k/models/Game.pt, as in `eloialonso/diamond`
    hf:OWNER/REPO/folder/File.pt[@REVISION]   any file

The revision is a branch, a tag or a commit; `main` unless named. The package huggingface_hub (the extra `hub`) asks the
hub and downloads into its cache, taking up connections that break. What the hub said, commit and SHA-256, is kept
there, in `models--OWNER--REPO/diamond/REVISION/<path of the file>.json`; the file is checked against it on every load.

A name with a whole commit needs no network once it was loaded. A branch or tag is asked for on every load; where the
hub does not answer, the commit it last stood for is taken, and a warning is logged that says so.
"""

import contextlib
import dataclasses
import difflib
import errno
import hashlib
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import quote

from diamond.errors import RunError
from diamond.runs.files import cannot_write, write_json

PREFIX = "hf:"
GAMES = "atari_100k/models"
"""Folder of the published agents in their repository."""
_NAME = re.compile(PREFIX + r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@\\]+?)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubName:
    """A file on the hub: what its name says."""

    text: str
    repo: str
    file: str
    """Path in the repository."""
    revision: str

    @classmethod
    def parse(cls, name: PurePath | str) -> "HubName":
        """Take a name apart.

        Raises:
            RunError: it is not of the form above.
        """
        text = _text(name)
        match = _NAME.fullmatch(text)
        file = PurePosixPath(match["file"] if match else "")
        if len(file.parts) == 1 and file.suffix != ".pt":
            file = PurePosixPath(GAMES, f"{file}.pt")
        if match is None or file.suffix != ".pt" or file.is_absolute() or ".." in file.parts:
            raise RunError(
                f"{text!r} names no published weights: write hf:OWNER/REPO/Game or hf:OWNER/REPO/folder/File.pt, "
                "then @REVISION unless it is main"
            )
        return cls(text, match["repo"], str(file), match["revision"] or "main")


@dataclass(frozen=True)
class Resolved:
    """What the hub says about a file."""

    commit: str
    sha256: str


def is_name(path: PurePath | str) -> bool:
    """Whether this is the name of a file on the hub rather than a path."""
    return _text(path).startswith(PREFIX)


def fetch(name: PurePath | str, endpoint: str | None = None, cache: Path | None = None) -> Path:
    """The file on this machine that a name stands for, downloaded unless it is there, its SHA-256 that of the hub.

    Args:
        name: see the module.
        endpoint: address of the hub; by default that of huggingface_hub, which `HF_ENDPOINT` sets.
        cache: folder for downloads; by default that of huggingface_hub, which `HF_HOME` or `HF_HUB_CACHE` sets.

    Raises:
        RunError: the name is malformed, huggingface_hub is not installed, the hub does not have the file or does not
            answer, the download broke off, or the file is damaged.
        DiskError: the disk refuses the download.
    """
    wanted = HubName.parse(name)
    try:
        from huggingface_hub import constants
    except ImportError as error:
        raise RunError(
            f'{wanted.text}: the hub needs the package huggingface_hub; run `pip install "diamond-wm[hub]"`'
        ) from error
    cache = Path(constants.HF_HUB_CACHE) if cache is None else cache
    resolved = _read(_record(cache, wanted, wanted.revision))
    if resolved is None or wanted.revision != resolved.commit:
        resolved = _resolve(wanted, endpoint, resolved)
    path = _download(wanted, resolved, endpoint, cache)
    _verify(wanted, resolved, path)
    for revision in (wanted.revision, resolved.commit):
        record = _record(cache, wanted, revision)
        if _read(record) != resolved:
            write_json(record, dataclasses.asdict(resolved))
    return path


def _text(name: PurePath | str) -> str:
    return name.as_posix() if isinstance(name, PurePath) else name


def _record(cache: Path, wanted: HubName, revision: str) -> Path:
    """Where is kept what the hub last said about a file at a revision."""
    folder = cache / f"models--{wanted.repo.replace('/', '--')}" / "diamond" / quote(revision, safe="")
    return folder / f"{wanted.file}.json"


def _read(record: Path) -> Resolved | None:
    """A record, or nothing where it is missing or damaged: the hub is asked again then."""
    try:
        return Resolved(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None


def _resolve(wanted: HubName, endpoint: str | None, known: Resolved | None) -> Resolved:
    """Ask the hub which commit and which content a name stands for; what is known serves where it does not answer."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    where = f"{wanted.text}: {wanted.repo}"
    try:
        url = hf_hub_url(wanted.repo, wanted.file, revision=wanted.revision, endpoint=endpoint)
        told = get_hf_file_metadata(url)
    except errors.RepositoryNotFoundError as error:
        raise RunError(
            f"{where} does not exist on the hub, or you have no access: check its spelling, or log in with "
            "`hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RunError(
            f"{where} has no revision {wanted.revision!r}: give a branch, a tag or a whole commit, or leave it out"
        ) from error
    except errors.EntryNotFoundError as error:
        raise RunError(
            f"{where} has no file {wanted.file} at {wanted.revision}: {_close_files(wanted, endpoint)}"
        ) from error
    except errors.HFValidationError as error:
        raise RunError(f"{where} cannot be a repository: {_reason(error)}; check its spelling") from error
    except Exception as error:  # no network, or a hub that fails: which class is up to the HTTP library underneath
        if known is None:
            raise RunError(
                f"{wanted.text}: the hub does not answer ({_reason(error)}), and this name was never loaded here: "
                "connect to the network, or give the path of a file"
            ) from error
        logging.getLogger(__name__).warning(
            "%s: the hub does not answer; using the cached commit %s",
            wanted.text,
            known.commit,
        )
        return known
    commit, sha256 = told.commit_hash or "", told.etag or ""
    if not _COMMIT.fullmatch(commit) or not _SHA256.fullmatch(sha256):
        raise RunError(
            f"{wanted.text}: {url} gives no commit with a SHA-256, as a hub does for weights: check name and "
            "HF_ENDPOINT, or download the file yourself and give its path"
        )
    return Resolved(commit, sha256)


def _close_files(wanted: HubName, endpoint: str | None) -> str:
    """The remedy for a file that is not there: those of a similar name, if the hub lists its files."""
    from huggingface_hub import HfApi

    files: list[str] = []
    with contextlib.suppress(Exception):  # this only makes an error's text better
        files = HfApi(endpoint).list_repo_files(wanted.repo, revision=wanted.revision)
    names = {PurePosixPath(file).stem: file for file in files if file.endswith(".pt")}
    folded = {name.lower(): name for name in names}
    close = [folded[name] for name in difflib.get_close_matches(PurePosixPath(wanted.file).stem.lower(), folded)]
    meant = [name if names[name] == f"{GAMES}/{name}.pt" else names[name] for name in close]
    return f"did you mean {' or '.join(meant)}?" if meant else "see the repository's page for what it has"


def _download(wanted: HubName, resolved: Resolved, endpoint: str | None, cache: Path) -> Path:
    """The file in the cache; no network is used if it is there."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(wanted.repo, wanted.file, revision=resolved.commit, endpoint=endpoint, cache_dir=cache)
        )
    except Exception as error:  # as above
        if isinstance(error, OSError) and (error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise cannot_write(cache, error) from error
        raise RunError(
            f"{wanted.text}: the download broke off ({_reason(error)}): check the network and load it again"
        ) from error


def _verify(wanted: HubName, resolved: Resolved, path: Path) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != resolved.sha256:
        raise RunError(
            f"{wanted.text}: {path.resolve()} is damaged (its SHA-256 is {found}, the hub's {resolved.sha256}): "
            "delete it and load it again"
        )


def _reason(error: Exception) -> str:
    """One line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
