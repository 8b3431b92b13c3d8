"""What can be played: a run, weights of the published code, and what is said where neither is whole."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from sources import alike, film, shown

from diamond.errors import ConfigError, DataError, EnvError, RunError
from diamond.experience.episodes import EpisodeFolder
from diamond.loading import load
from diamond.play.game import source as source_module
from diamond.play.game.buttons import all_buttons
from diamond.play.game.session import Session
from diamond.play.game.settings import Settings
from diamond.play.game.source import NUM_STARTS, Source, load_source
from diamond.play.game.worlds import Past

PUBLISHED = Path(__file__).parents[2] / "fixtures" / "parity" / "atari_agent.pt"
"""Weights for six actions and frames of 16 x 16 pixels."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second on Catch, shared by all tests here: read it, copy it, never change it."""
    changes = {"compute.fused": False, "schedule.evaluate_every": 1, "schedule.keep_every": 1}
    return tiny_runs.start(tmp_path_factory.mktemp("play") / "runs" / "catch", changes).path


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A run to damage."""
    return Path(shutil.copytree(run, tmp_path / "runs" / "catch"))


# A run


def test_a_run_is_played(run: Path) -> None:
    """Its dream and its real game, under its own names."""
    source = load_source(run, device="cpu")
    assert (source.title, source.subtitle) == (tiny_runs.CATCH, "run catch")
    assert source.actions == ("LEFT", "NOOP", "RIGHT")
    assert source.real_missing is None
    session = Session(source, Settings(world="both"))
    film(session, [()] * 3)
    assert list(shown(session)) == ["real", "dream"]
    session.close()


def test_dreams_start_from_the_runs_own_episodes(run: Path) -> None:
    """From whole stretches: frames that follow one another in one episode, with the actions between them."""
    source, folder = load_source(run, device="cpu"), EpisodeFolder(run / "episodes")
    real = set()
    for index in folder.indices():
        episode = folder.read(index)
        for first in range(episode.num_steps - 3):
            frames = tuple(frame.tobytes() for frame in episode.frames[first : first + 4])
            real.add((frames, tuple(episode.actions[first : first + 3].tolist())))
    begun = [(tuple(frame.tobytes() for frame in past.frames), past.actions) for past in source.starts]
    assert set(begun) <= real
    assert len(set(begun)) > 5
    assert len(begun) <= NUM_STARTS


def test_a_number_of_a_start_means_the_same_frames_each_time(run: Path) -> None:
    def all_of(pasts: tuple[Past, ...]) -> np.ndarray:
        return np.stack([np.stack(past.frames) for past in pasts])

    one, two = (load_source(run, device="cpu").starts for _ in range(2))
    assert np.array_equal(all_of(one), all_of(two))


def test_a_checkpoint_can_be_chosen(run: Path) -> None:
    for epoch in (1, 2):
        ours = load_source(run, epoch, "cpu").agent.state_dict()
        theirs = load(run, epoch, "cpu").state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    first, last = (load_source(run, which, "cpu").agent.state_dict() for which in (1, "last"))
    assert not all(torch.equal(first[name], last[name]) for name in first)


def test_sources_of_one_run_play_alike(run: Path) -> None:
    films = [film(Session(load_source(run, device="cpu"), Settings(seed=3)), [()] * 4) for _ in range(2)]
    assert alike(*films)


def test_without_a_name_the_newest_run_is_played(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent.parent)
    assert load_source(None, device="cpu").subtitle == "run catch"


def test_without_any_run_the_one_that_comes_with_the_package_is_played(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_module, "BUNDLED", run)
    assert load_source(None, device="cpu").subtitle == "a small run that comes with diamond"


def test_a_run_whose_game_cannot_be_had_is_dreamed_all_the_same(copied: Path) -> None:
    """It says why there is no real game, and keeps the names of its actions."""
    config = copied / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace(tiny_runs.CATCH, "absent/Game-v0"), encoding="utf-8")
    source = load_source(copied, device="cpu")
    assert source.title == "absent/Game-v0"
    assert source.real_missing is not None
    assert source.real_missing.startswith("env.id is 'absent/Game-v0'")
    assert source.actions == ("LEFT", "NOOP", "RIGHT")
    session = Session(source, Settings())
    film(session, [()] * 2)
    with pytest.raises(EnvError, match="^env.id is 'absent/Game-v0'"):
        session.set("world", "both")


def no_episodes(path: Path) -> None:
    for file in (path / "episodes").iterdir():
        file.unlink()


def no_checkpoints(path: Path) -> None:
    shutil.rmtree(path / "checkpoints")


def no_run(path: Path) -> None:
    (path / "run.json").unlink()


@pytest.mark.parametrize(
    ("damage", "error", "reason"),
    [
        (no_episodes, DataError, "episodes holds no finished episode: train the run for longer"),
        (no_checkpoints, RunError, "catch holds no checkpoint yet"),
        (no_run, RunError, "catch is not a run: give a folder made by `diamond train`"),
        (shutil.rmtree, RunError, "catch is not a run: give a folder"),
    ],
    ids=["no episodes", "no checkpoint", "no run", "nothing"],
)
def test_a_run_that_is_not_whole(
    copied: Path, damage: Callable[[Path], None], error: type[Exception], reason: str
) -> None:
    damage(copied)
    with pytest.raises(error, match=re.escape(reason)) as caught:
        load_source(copied, device="cpu")
    assert "\n" not in str(caught.value)


def test_games_too_short_to_start_a_dream_from(copied: Path) -> None:
    """A start needs as many frames of one game as the world model looks back to."""
    assert {EpisodeFolder(copied / "episodes").read(index).num_steps for index in (0, 1)} == {12}
    config = copied / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"context_length": 4', '"context_length": 16'), encoding="utf-8")
    agent = load(PUBLISHED, device="cpu")  # whoever plays there
    with pytest.raises(DataError, match="episodes holds no 16 frames of one game: train the run for longer"):
        source_module._starts_of_run(copied, agent)


# Weights of the published code


@pytest.fixture(scope="module")
def pong() -> tuple[Source, list[str]]:
    heard: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "RECORDED_STEPS", 60)
        return load_source(PUBLISHED, device="cpu", game="Pong", progress=heard.append), heard


def test_published_weights_are_played_in_the_game_that_is_named(pong: tuple[Source, list[str]]) -> None:
    """Its actions are the game's own; frames to start from are recorded."""
    source, heard = pong
    assert (source.title, source.subtitle) == ("Pong", "weights atari_agent.pt")
    assert source.actions == ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
    assert all_buttons(source.actions) == ("RIGHT", "LEFT", "FIRE")
    assert heard == ["recording some frames of Pong to start dreams from"]
    assert len(source.starts) == NUM_STARTS
    assert {len(past.frames) for past in source.starts} == {source.agent.config.denoiser.context_length}
    session = Session(source, Settings(world="both", player="agent"))
    film(session, [()] * 2)
    assert {image.shape for image in shown(session).values()} == {(16, 16, 3)}
    session.close()


def test_recorded_starts_move(pong: tuple[Source, list[str]]) -> None:
    """They are stretches of a running game, each with an action between two frames."""
    source, _ = pong
    assert all(len(past.actions) == len(past.frames) - 1 for past in source.starts)
    assert all(action in range(6) for past in source.starts for action in past.actions)
    assert sum(not np.array_equal(past.frames[0], past.frames[-1]) for past in source.starts) > NUM_STARTS / 2


@pytest.mark.parametrize("game", ["Breakout", "Boxing"])
def test_weights_of_another_game_are_refused(game: str) -> None:
    """Breakout has fewer actions than these were trained for, Boxing has more."""
    with pytest.raises(RunError, match=rf"{game} has \d+ actions, the weights were trained for 6: .* with --game"):
        load_source(PUBLISHED, device="cpu", game=game)


def test_weights_without_a_game_cannot_record_frames_to_start_from() -> None:
    """The file's name is not that of a game."""
    with pytest.raises(EnvError, match="env.game is 'atari_agent': no such Atari game"):
        load_source(PUBLISHED, device="cpu")


def test_a_run_has_its_own_game(run: Path) -> None:
    with pytest.raises(ConfigError, match="--game is 'Pong': .* is a run and has its own game"):
        load_source(run, game="Pong", device="cpu")
