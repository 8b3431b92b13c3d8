"""The published code beside ours: how its process is talked to. The code itself is not part of this repository."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from diamond.config import Config, EnvConfig
from diamond.config.presets import preset
from diamond.errors import ConfigError, DiamondError
from diamond.lab.speed.reference import Reference
from diamond.lab.speed.reference_worker import Missing, confusion_matrix


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Looks like a checkout, and cannot be imported."""
    file = tmp_path / "src" / "envs" / "world_model_env.py"
    file.parent.mkdir(parents=True)
    file.touch()
    return tmp_path


@pytest.fixture
def missing() -> Iterator[Missing]:
    finder = Missing()
    sys.meta_path.append(finder)
    yield finder
    sys.meta_path.remove(finder)
    for name in finder.used:
        sys.modules.pop(name, None)


def test_what_the_published_code_says_when_it_fails_is_passed_on(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DiamondError, match="the published code failed: ModuleNotFoundError: No module named 'models'"):
        Reference(checkout, None, preset("debug"), "cpu", num_actions=4)
    assert "Traceback" in capfd.readouterr().err


def test_an_interpreter_that_ends_at_once_is_an_error(checkout: Path) -> None:
    with pytest.raises(DiamondError, match="the published code failed: its process ended"):
        Reference(checkout, "/bin/true", preset("debug"), "cpu", num_actions=4)


def test_it_needs_square_frames(checkout: Path) -> None:
    config = Config(env=EnvConfig(height=64, width=48))
    with pytest.raises(ConfigError, match="the published code needs square frames"):
        Reference(checkout, None, config, "cpu", num_actions=4)


def test_a_package_that_is_not_there_can_be_imported_but_not_used(missing: Missing) -> None:
    functional = importlib.import_module("torcheval.metrics.functional")
    assert functional.multiclass_confusion_matrix is confusion_matrix
    assert missing.used == ["torcheval", "torcheval.metrics", "torcheval.metrics.functional"]
    with pytest.raises(RuntimeError, match="needed after all"):
        importlib.import_module("h5py").File("episode.h5")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_package_at_all")


def test_the_stand_in_counts_as_torcheval_does() -> None:
    scores = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 9.0, 0], [0, 0, 9.0]])
    counts = confusion_matrix(scores, torch.tensor([0, 1, 2, 2]), num_classes=3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
