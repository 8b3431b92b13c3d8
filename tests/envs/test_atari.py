"""The Atari protocol against two references: the bare emulator, and ALE's own vectorised environment."""

import sys
import tracemalloc
from enum import Enum

import ale_py
import gymnasium
import numpy as np
import pytest
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

from diamond.config import EnvConfig
from diamond.envs import make_env
from diamond.envs.atari import AtariGame, known_games
from diamond.envs.resize import AreaResize
from diamond.errors import EnvError

GAMES = """
    Alien Amidar Assault Asterix BankHeist BattleZone Boxing Breakout ChopperCommand CrazyClimber DemonAttack Freeway
    Frostbite Gopher Hero Jamesbond Kangaroo Krull KungFuMaster MsPacman Pong PrivateEye Qbert RoadRunner Seaquest
    UpNDown
""".split()  # noqa: SIM905
"""The 26 games of the Atari 100k benchmark."""


def rom(game: str) -> str:
    return gymnasium.spec(f"{game}NoFrameskip-v4").kwargs["game"]


def bare_emulator(game: str) -> ale_py.ALEInterface:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    emulator = ale_py.ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.setInt("random_seed", 0)
    emulator.loadROM(str(roms.get_rom_path(rom(game))))
    return emulator


def ale_vector_env(game: str, size: int = 64, **arguments: int) -> AtariVectorEnv:
    return AtariVectorEnv(
        rom(game),
        1,
        img_height=size,
        img_width=size,
        grayscale=False,
        stack_num=1,
        noop_max=0,
        reward_clipping=False,
        use_fire_reset=False,
        autoreset_mode="SameStep",
        **arguments,
    )


class Reference:
    """A game on the bare emulator, written out; `frames` are the raw frames since its start."""

    def __init__(self, game: str, noops: int = 0) -> None:
        self.emulator = bare_emulator(game)
        self.actions = self.emulator.getMinimalActionSet()
        self.noops = noops
        self.restart()

    def restart(self) -> None:
        self.emulator.setInt("random_seed", 0)
        self.emulator.reset_game()
        for _ in range(self.noops):
            self.emulator.act(self.actions[0])
        self.frames = [self.emulator.getScreenRGB()]

    def advance(self, action: int, frame_skip: int = 4) -> tuple[int, int]:
        """Returns the reward and how many frames it took."""
        reward = frames = 0
        while frames < frame_skip and not self.emulator.game_over():
            frames += 1
            reward += self.emulator.act(self.actions[action])
            self.frames.append(self.emulator.getScreenRGB())
        return reward, frames

    def pooled(self, size: int = 64) -> np.ndarray:
        return AreaResize((210, 160), (size, size))(np.maximum(self.frames[-1], self.frames[-2]))


@pytest.mark.parametrize(("game", "size"), [("Breakout", 64), ("MsPacman", 64), ("Pong", 48), ("Qbert", 32)])
def test_frames_and_rewards_equal_ales_own_environment(game: str, size: int) -> None:
    """Bit by bit, which also proves the resize equal to the area interpolation that others use."""
    env = make_env(EnvConfig(game=game, height=size, width=size, max_noops=0), 1, training=False)
    reference = ale_vector_env(game, size)
    assert np.array_equal(env.reset(seed=0)[0], reference.reset(seed=0)[0][:, 0])
    rng = np.random.default_rng(0)
    for _ in range(250):
        actions = rng.integers(len(env.action_meanings), size=1)
        obs, rewards, terminated, _, _ = env.step(actions)
        expected_obs, expected_rewards, expected_terminated, _, _ = reference.step(actions)
        assert np.array_equal(obs, expected_obs[:, 0])
        assert np.array_equal(rewards, expected_rewards)
        assert np.array_equal(terminated, expected_terminated)


def test_the_final_frame_is_the_games_last_moment_wherever_in_the_skip_it_ends() -> None:
    """ALE's own environment stops before it captures that moment; should this change, it could be used instead."""
    env = make_env(EnvConfig(max_noops=0), 1, training=False)
    reference, ale, rng = Reference("Breakout"), ale_vector_env("Breakout"), np.random.default_rng(1)
    env.reset(seed=0)
    ale.reset(seed=0)
    ended_at, stale = set(), 0
    while ended_at != {1, 2, 3, 4}:
        actions = rng.integers(4, size=1)
        _, rewards, _, _, info = env.step(actions)
        reward, frames = reference.advance(actions[0])
        *_, ale_info = ale.step(actions)
        assert rewards[0] == reward
        assert np.array_equal(info["final_obs"][0], reference.pooled())
        assert info["game_over"][0] == reference.emulator.game_over()
        if info["game_over"][0]:
            ended_at.add(frames)
            stale += not np.array_equal(ale_info["final_obs"][0, 0], reference.pooled())
            reference.restart()
    assert stale > 0


def test_at_a_truncation_the_final_frame_is_an_ordinary_one() -> None:
    env = make_env(EnvConfig(max_noops=0, max_episode_steps=30), 2, training=True)
    reference = Reference("Breakout")
    env.reset(seed=0)
    for step in range(30):
        *_, terminated, truncated, info = env.step(np.full(2, step % 4))
        reference.advance(step % 4)
    assert truncated.all()
    assert not terminated.any()
    assert info["game_over"].all()
    assert np.array_equal(info["final_obs"], np.stack([reference.pooled()] * 2))


def test_life_losses_end_episodes_and_nothing_else_changes() -> None:
    training, whole = (make_env(EnvConfig(height=32, width=32), 2, training=flag) for flag in (True, False))
    training.reset(seed=0)
    whole.reset(seed=0)
    rng, losses, games = np.random.default_rng(0), 0, 0
    for _ in range(400):
        actions = rng.integers(4, size=2)
        obs, rewards, terminated, truncated, info = training.step(actions)
        expected, expected_rewards, over, expected_truncated, expected_info = whole.step(actions)
        assert np.array_equal(obs, expected)
        assert np.array_equal(rewards, expected_rewards)
        assert np.array_equal(truncated, expected_truncated)
        assert np.array_equal(info["final_obs"], expected_info["final_obs"])
        assert np.array_equal(info["game_over"], over)
        assert (terminated | ~over).all()
        losses += int((terminated & ~over).sum())
        games += int(over.sum())
    assert games >= 2
    assert losses >= 4 * games  # five lives in Breakout: four losses before the end


def test_life_losses_can_be_left_to_the_game() -> None:
    env = make_env(EnvConfig(life_loss_ends_episode=False), 1, training=True)
    assert not env.life_loss_ends_episode


class Button(Enum):
    NOOP = 0


class ScriptedEmulator:
    """An emulator that shows its frame number and has a given number of lives at each frame."""

    def __init__(self, *lives: int) -> None:
        self.script, self.number = lives, 0

    def cloneState(self, include_rng: bool) -> int:
        return self.number

    def restoreState(self, state: int) -> None:
        self.number = state

    def reset_game(self) -> None:
        self.number = 0

    def act(self, action: Button) -> int:
        self.number += 1
        return 2

    def lives(self) -> int:
        return self.script[self.number]

    def game_over(self) -> bool:
        return self.number == len(self.script) - 1

    def getMinimalActionSet(self) -> list[Button]:
        return [Button.NOOP]

    def getScreenDims(self) -> tuple[int, int]:
        return 8, 8

    def getScreenRGB(self, frame: np.ndarray) -> None:
        frame[:] = self.number


@pytest.mark.parametrize(
    ("lives", "lost"),
    [
        ([3, 3, 3, 3, 2, 2, 2, 2, 0], [False, True, False, True]),
        ([3, 3, 3, 4, 4, 3, 3, 3, 0], [False, False, True, True]),
        ([3, 2, 3, 3, 3, 3, 3, 3, 0], [True, False, False, True]),
        ([3, 3, 4, 4, 4, 4, 4, 5, 5], [False, False, False, False]),
    ],
    ids=["death", "death after a bonus life", "death and bonus life in one step", "bonus lives only"],
)
def test_every_fall_of_the_life_counter_counts(lives: list[int], lost: list[bool]) -> None:
    game = AtariGame(ScriptedEmulator(*lives), EnvConfig(frame_skip=2, max_noops=0, height=8, width=8))
    game.start(0)
    outcomes = [game.advance(0) for _ in range(4)]
    assert [outcome.life_lost for outcome in outcomes] == lost
    assert [outcome.terminated for outcome in outcomes] == [False, False, False, True]
    assert [outcome.reward for outcome in outcomes] == [4.0] * 4


@pytest.mark.parametrize(("frame_skip", "frame"), [(1, 1), (2, 2), (4, 4), (6, 6)])
def test_an_action_lasts_frame_skip_frames(frame_skip: int, frame: int) -> None:
    game = AtariGame(ScriptedEmulator(*[1] * 9), EnvConfig(frame_skip=frame_skip, max_noops=0, height=8, width=8))
    game.start(0)
    game.advance(0)
    assert (game.frame() == frame).all()


def test_two_frames_are_pooled_only_if_frames_are_skipped() -> None:
    for frame_skip in (1, 2, 3):
        env = make_env(EnvConfig(game="Pong", max_noops=0, frame_skip=frame_skip), 1, training=False)
        reference = Reference("Pong")
        env.reset(seed=0)
        for step in range(60):
            obs, *_ = env.step(np.array([step % 6]))
            reference.advance(step % 6, frame_skip)
            last = reference.frames[-1]
            expected = AreaResize((210, 160), (64, 64))(last) if frame_skip == 1 else reference.pooled()
            assert np.array_equal(obs[0], expected)


def test_games_start_with_one_to_max_noops() -> None:
    cfg = EnvConfig(height=8, width=8, max_noops=5)
    emulator = ScriptedEmulator(*[1] * 20)
    game = AtariGame(emulator, cfg)
    drawn = []
    for seed in range(80):
        game.start(seed)
        drawn.append(emulator.number)
    assert set(drawn) == {1, 2, 3, 4, 5}
    game = AtariGame(emulator, EnvConfig(height=8, width=8, max_noops=0))
    game.start(0)
    assert emulator.number == 0


def test_the_first_frame_is_the_one_after_the_noops() -> None:
    env = make_env(EnvConfig(game="Pong", max_noops=1), 1, training=False)
    expected = AreaResize((210, 160), (64, 64))(Reference("Pong", noops=1).frames[-1])
    assert np.array_equal(env.reset(seed=9)[0][0], expected)


def play_through(game: AtariGame, actions: np.ndarray) -> list[np.ndarray]:
    """The frames of the game so far as the actions last."""
    frames = [game.frame().copy()]
    for action in actions.tolist():
        over = game.advance(action).terminated
        frames.append(game.frame().copy())
        if over:
            break
    return frames


def assert_games_forget(name: str, steps: int) -> None:
    cfg = EnvConfig(game=name, height=32, width=32)
    game, fresh = AtariGame(bare_emulator(name), cfg), AtariGame(bare_emulator(name), cfg)
    rng = np.random.default_rng(0)
    actions = rng.integers(len(game.action_meanings), size=steps)
    fresh.start(7)
    expected = play_through(fresh, actions)
    for before in (steps, steps // 3):
        game.start(before)
        play_through(game, rng.integers(len(game.action_meanings), size=before))
        game.start(7)
        assert np.array_equal(np.stack(play_through(game, actions)), np.stack(expected)), name


@pytest.mark.parametrize("name", ["Seaquest", "Krull", "Assault"])
def test_a_game_remembers_nothing_of_the_one_before(name: str) -> None:
    """In these games the emulator's own reset is not enough."""
    assert_games_forget(name, 150)


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_no_game_of_the_benchmark_remembers_the_one_before(name: str) -> None:
    assert_games_forget(name, 300)


def test_going_back_shows_the_games_last_moment_as_it_was() -> None:
    """Also where the game ends in the first frame of a skip, which is pooled with the last frame before the step."""
    env = make_env(EnvConfig(height=32, width=32, max_noops=0), 1, training=False)
    reference, rng, ended_at = Reference("Breakout"), np.random.default_rng(1), set()
    env.reset(seed=0)
    while ended_at != {1, 2, 3, 4}:
        moment, actions = env.state(), rng.integers(4, size=1)
        _, frames = reference.advance(actions[0])
        _, rewards, _, _, info = env.step(actions)
        if info["game_over"][0]:
            ended_at.add(frames)
            env.step(actions)  # into the next game, which looks otherwise
            env.return_to(moment)
            _, again, terminated, _, info = env.step(actions)
            assert np.array_equal(info["final_obs"][0], reference.pooled(32))
            assert np.array_equal(again, rewards)
            assert terminated[0]
            reference.restart()


def assert_games_come_back(name: str, steps: int) -> None:
    cfg = EnvConfig(game=name, height=32, width=32)
    game, rng = AtariGame(bare_emulator(name), cfg), np.random.default_rng(0)
    actions, others = rng.integers(len(game.action_meanings), size=(2, steps)).tolist()
    game.start(7)
    saved, expected = [], []
    for action in actions:
        saved.append(game.save())
        outcome = game.advance(action)
        expected.append((outcome, game.frame().copy()))
        if outcome.terminated:
            break
    length = len(expected)
    for back in (length - 1, length // 3, 0, 2 * length // 3):
        game.load(saved[back])
        for action, (outcome, frame) in zip(actions[back:length], expected[back:], strict=True):
            assert game.advance(action) == outcome, name
            assert np.array_equal(game.frame(), frame), name
        for action in others[: 2 + back % 5]:
            game.advance(action)


@pytest.mark.parametrize("name", ["Breakout", "MsPacman", "Seaquest"])
def test_a_game_goes_on_from_a_saved_moment(name: str) -> None:
    """Rewards, lives lost, ends and frames, bit by bit, whatever was played in between."""
    assert_games_come_back(name, 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_every_game_of_the_benchmark_goes_on_from_a_saved_moment(name: str) -> None:
    assert_games_come_back(name, 400)


def test_a_life_lost_before_the_moment_is_not_lost_again() -> None:
    """The emulator does not tell of losses, only how many lives there are: the moment remembers that too."""
    game = AtariGame(ScriptedEmulator(3, 3, 2, 2, 2, 1, 1), EnvConfig(frame_skip=1, max_noops=0, height=8, width=8))
    game.start(0)
    saved = [game.save()]
    for _ in range(5):
        game.advance(0)
        saved.append(game.save())
    lost = []
    for moment in saved[:5]:
        game.load(moment)
        lost.append(game.advance(0).life_lost)
    assert lost == [False, True, False, False, True]


def test_a_saved_moment_is_much_smaller_than_a_screen() -> None:
    env = make_env(EnvConfig(game="Seaquest", height=16, width=16), 1, training=False)
    env.reset(seed=0)
    env.step(np.zeros(1, np.int64))
    moments = [env.state()]
    tracemalloc.start()
    for step in range(100):
        env.step(np.array([step % 18]))
        moments.append(env.state())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(moments) < 210 * 160 * 3 / 10


def test_actions_are_the_minimal_set_by_name() -> None:
    assert make_env(EnvConfig(), 1, training=True).action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT")
    assert len(make_env(EnvConfig(game="MsPacman"), 1, training=True).action_meanings) == 9


def test_all_games_of_the_benchmark_are_known() -> None:
    assert set(GAMES) <= set(known_games())


@pytest.mark.parametrize(
    ("game", "hint"),
    [("Brekout", "did you mean Breakout"), ("ms_pacman", "did you mean MsPacman"), ("zzz", "it must be one of .*Pong")],
)
def test_an_unknown_game_is_named_with_what_was_meant(game: str, hint: str) -> None:
    with pytest.raises(EnvError, match=rf"env.game is '{game}': no such Atari game; {hint}") as caught:
        make_env(EnvConfig(game=game), 1, training=True)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(EnvError, match=r"env.game is 'Breakout': .* run `pip install ale-py`"):
        make_env(EnvConfig(), 1, training=True)
