"""Training on static data: repeatable, and unmoved by being stopped."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from diamond.errors import DataError
from diamond.experience.segments import Segment
from diamond.lab.studies import world_models
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.scale import Scale
from diamond.lab.studies.static_data import TrainingGames, training_games
from diamond.lab.studies.world_models import DDPM, EDM, Diffusion, trained
from diamond.networks.unet import DenoiserNetwork

CPU = torch.device("cpu")
SMALL = Scale(
    data_steps=60, size=16, channels=(8, 8), condition_channels=16, updates=4, batch_size=2, trajectories=2, horizon=8
)
KINDS: dict[str, Callable[[], Diffusion]] = {
    "EDM": lambda: EDM(SMALL.denoiser()),
    "DDPM": lambda: DDPM(SMALL.denoiser()),
}


def silent(text: str) -> None:
    pass


def folder(path: Path) -> StudyFolder:
    return StudyFolder(path, "Breakout", SMALL, CPU, silent)


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> TrainingGames:
    return training_games(tmp_path_factory.mktemp("data"), SMALL.env("Breakout"), SMALL.data_steps)


def weights(network: DenoiserNetwork) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("name", KINDS)
def test_stopping_changes_nothing(
    name: str, games: TrainingGames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]()
    whole = trained(kind, name, games, folder(tmp_path / "whole"), 0)
    monkeypatch.setattr(world_models, "UPDATES_BETWEEN_SAVES", 2)

    def stop(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(kind, name, games, StudyFolder(tmp_path / "part", "Breakout", SMALL, CPU, stop), 0)
    assert torch.equal(weights(trained(kind, name, games, folder(tmp_path / "part"), 0)), weights(whole))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_trained_is_not_trained_again(name: str, games: TrainingGames, tmp_path: Path) -> None:
    kind = KINDS[name]()
    first = trained(kind, name, games, folder(tmp_path), 0)
    said: list[str] = []
    again = trained(kind, name, games, StudyFolder(tmp_path, "Breakout", SMALL, CPU, said.append), 0)
    assert torch.equal(weights(first), weights(again))
    assert said == []
    assert not torch.equal(weights(first), weights(trained(kind, name, games, folder(tmp_path), 1)))


def test_both_kinds_see_the_same_frames(games: TrainingGames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: dict[str, list[Tensor]] = {}
    for name, make in KINDS.items():
        kind = make()
        seen = batches.setdefault(name, [])
        loss = type(kind).loss

        def watched(self: Diffusion, network: DenoiserNetwork, segment: Segment, chance: torch.Generator) -> Tensor:
            seen.append(segment.frames)  # noqa: B023  (used before the next turn of the loop)
            return loss(self, network, segment, chance)  # noqa: B023

        monkeypatch.setattr(type(kind), "loss", watched)
        trained(kind, name, games, folder(tmp_path), 0)
    assert len(batches["EDM"]) == SMALL.updates
    assert all(torch.equal(a, b) for a, b in zip(batches["EDM"], batches["DDPM"], strict=True))


@pytest.mark.parametrize("content", [b"nothing", safetensors.torch.save({"network.other": torch.zeros(2)})])
def test_a_damaged_file_is_named_with_its_remedy(content: bytes, games: TrainingGames, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "EDM-seed0.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"EDM-seed0.safetensors cannot be read .*: remove it"):
        trained(KINDS["EDM"](), "EDM", games, folder(tmp_path), 0)


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_dreams_are_on_the_pixel_grid_and_repeatable(name: str) -> None:
    kind = KINDS[name]()
    torch.manual_seed(0)
    network = DenoiserNetwork(4, 4, SMALL.denoiser().unet)
    frames, actions = torch.rand(3, 4, 3, 16, 16), torch.zeros(3, 4, dtype=torch.int64)
    draws = [kind.predictor(network, 2, torch.Generator().manual_seed(seed))(frames, actions) for seed in (0, 0, 1)]
    levels = (draws[0] + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3
    assert torch.equal(draws[0], draws[1])
    assert not np.allclose(draws[0], draws[2])
