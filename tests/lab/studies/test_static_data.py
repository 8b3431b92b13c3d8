"""Scripted players and what they leave on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from diamond.config import EnvConfig
from diamond.envs.atari import make_atari_games
from diamond.errors import DataError
from diamond.experience.episodes import EpisodeFolder
from diamond.lab.studies import experts
from diamond.lab.studies.static_data import held_out_games, play, training_games

BREAKOUT = EnvConfig(game="Breakout", height=16, width=16)


def test_the_memory_tells_where_breakout_s_paddle_and_ball_are() -> None:
    """At full size, the paddle's and the ball's columns are found in the picture where the memory says."""
    (game,) = make_atari_games(EnvConfig(game="Breakout", height=210, width=160, frame_skip=1), 1)
    act = experts.player("Breakout", game, np.random.default_rng(0))
    game.start(0)
    seen = 0
    for step in range(400):
        game.advance(act(step))
        frame, memory = game.frame(), game.memory()
        red = (frame == (200, 72, 72)).all(axis=-1)
        paddle = np.flatnonzero(red[190:193].all(axis=0) & (np.arange(160) > 8) & (np.arange(160) < 152))
        ball = np.flatnonzero(red[100:185, 8:152].any(axis=0)) + 8
        if len(ball) == 2 and len(paddle) == 16:
            assert abs(int(memory[72]) - 47 - paddle[0]) <= 1
            assert abs(int(memory[99]) - 49 - ball[0]) <= 4  # the ball has moved on since it was drawn
            seen += 1
    assert seen > 50


@pytest.mark.parametrize("name", sorted(experts.READERS))
def test_the_script_plays_better_than_chance(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (game,) = make_atari_games(EnvConfig(game=name, height=16, width=16), 1)
    scripted = [play(game, name, seed, 700).rewards.sum() for seed in range(3)]
    monkeypatch.setattr(experts, "EXPLORATION", 1.0)
    random = [play(game, name, seed, 700).rewards.sum() for seed in range(3)]
    assert np.mean(scripted) > np.mean(random) + (5 if name == "Breakout" else 0)


def test_a_game_without_a_script_is_played_by_chance() -> None:
    (game,) = make_atari_games(EnvConfig(game="Pong", height=16, width=16), 1)
    actions = play(game, "Pong", 0, 100).actions
    assert set(actions) == set(range(len(game.action_meanings)))
    assert (actions[1:] != actions[:-1]).mean() > 0.7


def test_wanderers_hold_their_actions() -> None:
    (game,) = make_atari_games(EnvConfig(game="RoadRunner", height=16, width=16), 1)
    actions = play(game, "RoadRunner", 0, 120).actions.reshape(-1, 6)
    assert (actions == actions[:, :1]).all()
    left = [number for number, meaning in enumerate(game.action_meanings) if meaning.endswith("LEFT")]
    assert np.isin(actions[:, 0], left).mean() > 0.7


def test_recording_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diamond.lab.studies.static_data.LONGEST_GAME", 60)
    whole = training_games(tmp_path / "whole", BREAKOUT, 150)
    assert whole.replay.num_steps == 150
    assert [EpisodeFolder(tmp_path / "whole").read(i).num_steps for i in range(3)] == [60, 60, 30]
    (tmp_path / "part").mkdir()
    shutil.copy(tmp_path / "whole" / "000000.npz", tmp_path / "part")
    resumed = training_games(tmp_path / "part", BREAKOUT, 150)
    assert np.array_equal(resumed.some_frames, whole.some_frames)
    assert np.array_equal(training_games(tmp_path / "whole", BREAKOUT, 150).some_frames, whole.some_frames)


def test_held_out_games_are_other_games_and_go_on_where_they_were(tmp_path: Path) -> None:
    games = held_out_games(tmp_path / "whole", BREAKOUT, 3, 40)
    assert games.frames.shape == (3, 41, 16, 16, 3)
    assert games.actions.shape == (3, 40)
    training_games(tmp_path / "training", BREAKOUT, 40)
    trained_on = EpisodeFolder(tmp_path / "training").read(0)
    assert not any(np.array_equal(actions, trained_on.actions) for actions in games.actions)
    (tmp_path / "part").mkdir()
    shutil.copy(tmp_path / "whole" / "000000.npz", tmp_path / "part")
    assert np.array_equal(held_out_games(tmp_path / "part", BREAKOUT, 3, 40).actions, games.actions)


def test_games_may_be_too_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diamond.lab.studies.static_data.MOST_ATTEMPTS", 2)
    with pytest.raises(DataError, match="ends before 2000 steps too often: use a smaller --horizon"):
        held_out_games(tmp_path, EnvConfig(game="RoadRunner", height=16, width=16), 1, 2_000)
