"""What is played is kept: whole episodes, in the format of collected ones, that tell where they come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sources
from tiny_runs import newest, resume, start

from diamond.config.presets import debug
from diamond.errors import DataError, DiskError
from diamond.experience.episodes import Episode, EpisodeFolder
from diamond.experience.recordings import recorded_episodes
from diamond.play.game.session import Session
from diamond.play.game.settings import Settings
from diamond.play.game.source import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """The real game of Catch, which lasts 12 steps, and a dream without end; recordings of this test alone."""
    return replace(sources.source(sources.drawn()), recordings=tmp_path / "recordings", model="a1b2")


def session(source: Source) -> Session:
    """A game that is being recorded."""
    return Session(source, Settings.of(debug().sampler, seed=0).changed("recording", True, {}))


def recorded(source: Source) -> list[Episode]:
    """What is on disk."""
    folder = EpisodeFolder(source.recordings)
    return [folder.read(index) for index in folder.indices()]


def test_a_real_game_is_recorded_with_all_its_frames_the_true_last_one_too(source: Source) -> None:
    game = session(source)
    game.set("world", "real")
    frames = [game.picture.views[0].image]
    while game.picture.views[0].tally is None or game.picture.views[0].tally.ended is None:
        game.advance()
        frames.append(game.picture.views[0].image)
    (episode,) = recorded(source)
    assert np.array_equal(episode.frames, np.stack(frames))
    assert episode.terminated and not episode.truncated
    assert episode.num_steps == 12
    assert episode.rewards[-1] != 0


def test_an_episode_tells_the_world_the_players_and_the_model(source: Source) -> None:
    game = session(source)
    for player in ("agent", "human"):
        game.set("player", player)
        game.advance()
    game.close()
    (episode,) = recorded(source)
    assert episode.origin is not None
    assert (episode.origin.game, episode.origin.world) == (source.title, "dream")
    assert episode.origin.players == ("agent", "human")
    assert episode.origin.model == "a1b2"


def test_what_is_interrupted_is_truncated_not_lost(source: Source) -> None:
    game = session(source)
    game.advance()
    game.reset()  # the first ends here
    game.advance()
    game.advance()
    game.set("recording", False)  # and the second here
    game.advance()
    assert [(episode.num_steps, episode.truncated) for episode in recorded(source)] == [(1, True), (2, True)]


def test_side_by_side_each_world_has_an_episode_under_the_same_actions(source: Source) -> None:
    game = session(source)
    game.set("world", "both")
    game.set("player", "random")
    for _ in range(5):
        game.advance()
    game.close()
    by_world = {episode.origin.world: episode for episode in recorded(source) if episode.origin is not None}
    assert by_world.keys() == {"real", "dream"}
    real, dream = by_world["real"], by_world["dream"]
    assert np.array_equal(real.frames[0], dream.frames[0])
    assert np.array_equal(real.actions, dream.actions)


def test_a_branch_names_the_recording_it_left_and_the_step(source: Source) -> None:
    game = session(source)
    game.set("world", "real")
    for _ in range(6):
        game.advance()
    game.rewind(game.picture.newest - 4)
    game.advance()
    game.advance()
    game.close()
    trunk, branch = recorded(source)
    assert branch.origin is not None
    assert (branch.origin.parent, branch.origin.parent_step) == (0, 2)
    assert np.array_equal(branch.frames[0], trunk.frames[2])
    assert (trunk.num_steps, branch.num_steps) == (6, 2)


def test_nothing_is_written_while_recording_is_off(source: Source) -> None:
    game = Session(source, Settings.of(debug().sampler, seed=0))
    for _ in range(30):
        game.advance()
    game.close()
    assert not source.recordings.exists()


def test_two_sessions_record_into_one_folder_without_overwriting(source: Source) -> None:
    games = [session(source), session(source)]
    for game in games:
        game.advance()
    for game in games:
        game.close()
    assert len(recorded(source)) == 2


def test_when_the_disk_refuses_recording_stops_and_the_game_goes_on(source: Source) -> None:
    game = session(source)
    game.advance()
    source.recordings.write_text("a file where the folder should be")
    with pytest.raises(DiskError, match="recordings"):
        game.reset()
    before = game.picture.newest
    assert not game.settings.recording
    game.advance()
    assert game.picture.newest == before + 1


def test_when_the_disk_refuses_nothing_stays_open_to_be_refused_again(source: Source) -> None:
    game = session(source)
    game.set("world", "both")
    game.advance()
    source.recordings.write_text("a file where the folder should be")
    with pytest.raises(DiskError):
        game.set("recording", False)
    game.set("speed", 30)
    game.close()


def play(source: Source, world: str, steps: int) -> None:
    """Record an episode."""
    game = session(source)
    game.set("world", world)
    for _ in range(steps):
        game.advance()
    game.close()


def chosen(source: Source, dreamed: bool, game: str | None = None, num_actions: int = 3) -> list[Episode]:
    """The recordings that training would take."""
    folders, shape = [str(source.recordings)], source.starts[0].frames[0].shape
    return list(recorded_episodes(folders, game or source.title, num_actions, shape, dreamed))


def test_training_takes_only_what_was_played_in_reality_unless_told_otherwise(source: Source) -> None:
    play(source, "dream", 3)
    play(source, "real", 4)
    assert [episode.num_steps for episode in chosen(source, dreamed=False)] == [4]
    assert [episode.num_steps for episode in chosen(source, dreamed=True)] == [3, 4]


def test_recordings_that_do_not_fit_are_refused_with_a_remedy(source: Source) -> None:
    play(source, "dream", 3)
    with pytest.raises(DataError, match="dreamed_recordings"):
        chosen(source, dreamed=False)
    with pytest.raises(DataError, match="was recorded in diamond/Catch-v0, not in Pong"):
        chosen(source, dreamed=True, game="Pong")
    with pytest.raises(DataError, match="collection.recordings"):
        list(recorded_episodes(["nowhere"], source.title, 3, (16, 16, 3), True))


def test_a_run_that_begins_with_recordings_learns_from_them_and_resumes_without_them(
    source: Source, tmp_path: Path
) -> None:
    play(source, "real", 12)
    changes = {"collection.recordings": [str(source.recordings)]}
    path = tmp_path / "new"
    start(path, changes)
    taken = EpisodeFolder(path / "episodes").read(0)
    assert np.array_equal(taken.frames, recorded(source)[0].frames)
    assert newest(path).facts["episodes"][0] == 0
    source.recordings.rename(tmp_path / "moved")
    resume(path, {"schedule.epochs": 3})
    assert newest(path).epoch == 3


def test_recordings_that_are_missing_are_found_before_there_is_a_run(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with pytest.raises(DataError, match="nowhere"):
        start(path, {"collection.recordings": [str(tmp_path / "nowhere")]})
    assert not path.exists()
