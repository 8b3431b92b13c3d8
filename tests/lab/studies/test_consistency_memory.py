"""Every byte is written into the emulator's memory; the screen that follows must show what the byte is said to mean."""

import numpy as np
import pytest

from diamond.config import EnvConfig
from diamond.envs.atari import AtariGame, make_atari_games
from diamond.lab.studies.consistency import memory
from diamond.lab.studies.consistency.detectors import detect
from diamond.lab.studies.consistency.wall import find_ball, read_score, read_wall


def console(game: str, steps: int) -> tuple[AtariGame, object]:
    """A game that has run for a while, and its state to come back to."""
    (game_console,) = make_atari_games(EnvConfig(game=game), 1)
    game_console.start(1)
    for _ in range(steps):
        game_console.advance(0)
    return game_console, game_console.save()


def write_wall(game: AtariGame, wall: np.ndarray) -> None:
    known = game.memory()[:36].reshape(6, 6).astype(int)
    for column, (group, bit) in enumerate(memory._BRICKS):
        for half in (bit, bit ^ 1):
            known[group] = known[group] & ~(1 << half) | wall[::-1, column].astype(int) << half
    for address, value in enumerate(known.ravel()):
        game._emulator.setRAM(address, int(value))


def flying_ball() -> tuple[AtariGame, object]:
    """Breakout after the serve: before it, the game itself fills the wall."""
    game, _ = console("Breakout", 1)
    game.advance(game.action_meanings.index("FIRE"))
    for _ in range(5):
        game.advance(0)
    return game, game.save()


def test_every_brick_of_breakout_stands_where_its_bits_say():
    """Random walls: also the upper rows, which simple play never reaches."""
    game, moment = flying_ball()
    rng = np.random.default_rng(0)
    for _ in range(50):
        wall = rng.random((6, 18)) < rng.random()
        game.load(moment)
        write_wall(game, wall)
        game.advance(0)
        np.testing.assert_array_equal(memory.read_bricks(game.memory()), wall)
        np.testing.assert_array_equal(read_wall(game.frame()), wall)


def test_every_score_of_breakout_is_read_as_the_memory_has_it():
    game, moment = console("Breakout", 1)
    for score in range(0, 1000, 7):
        game.load(moment)
        game._emulator.setRAM(76, score // 100)
        game._emulator.setRAM(77, score // 10 % 10 * 16 + score % 10)
        game.advance(0)
        assert memory.read_points(game.memory()) == score
        assert read_score(game.frame()) == score


def test_the_ball_of_breakout_flies_where_it_is_written():
    game, moment = flying_ball()
    for x in range(70, 190, 10):
        game.load(moment)
        game._emulator.setRAM(99, x)
        game.advance(0)
        known = game.memory()
        ball = find_ball(game.frame(), read_wall(game.frame()))
        assert ball == pytest.approx(((int(known[99]) - 48) / 2.5, (int(known[101]) + 11) / 3.28), abs=2)


@pytest.mark.parametrize("lane", [0, 1, 2, 4, 5, 6, 7])  # on the fourth lane, points are shown at this moment
@pytest.mark.parametrize("kind, bit", [("enemy", 1), ("reward", 0)])
def test_an_object_of_asterix_has_the_class_and_place_that_are_written(lane, kind, bit):
    game, _ = console("Asterix", 60)
    game._emulator.setRAM(29 + lane, int(game.memory()[29 + lane]) & 0xFE | bit)
    game._emulator.setRAM(42 + lane, 60)
    game.advance(0)
    (truth,) = (truth for truth in memory.read_objects("Asterix", game.memory()) if truth.lane == lane)
    (seen,) = (seen for seen in detect("Asterix", game.frame()).objects if seen.lane == lane)
    assert seen.kind == truth.kind == kind
    assert seen.x == pytest.approx(truth.x, abs=1) and truth.x == pytest.approx(64 / 2.5, abs=4)


@pytest.mark.parametrize("pattern", range(8))
@pytest.mark.parametrize("origin", [40, 130])
def test_the_seeds_of_road_runner_lie_where_their_pattern_says(pattern, origin):
    game, _ = console("RoadRunner", 60)
    for address, value in ((36, 31), (37, 31), (38, 31), (39, 31), (89, origin), (90, pattern)):
        game._emulator.setRAM(address, value)
    game.advance(0)
    assert memory.readable("RoadRunner", game.memory())
    truths = [t for t in memory.read_objects("RoadRunner", game.memory()) if t.whole and t.x < 58]
    seen = detect("RoadRunner", game.frame()).objects
    assert truths
    for truth in truths:
        assert any(o.lane == truth.lane and abs(o.x - truth.x) < 1.5 for o in seen)


def test_what_the_detectors_do_not_know_is_not_readable():
    """Asterix's later waves have other objects."""
    game, _ = console("Asterix", 60)
    assert memory.readable("Asterix", game.memory())
    game._emulator.setRAM(54, 2)
    assert not memory.readable("Asterix", game.memory())
