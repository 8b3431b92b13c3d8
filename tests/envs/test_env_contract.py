"""What `RealEnv` promises, for every kind of environment and, on scripted games, for every order of events."""

import io
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from gymnasium import error
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode

from diamond.config import EnvConfig
from diamond.envs import Game, Outcome, RealEnv, make_env
from diamond.errors import EnvError

KINDS = {
    "atari": EnvConfig(game="Breakout", height=24, width=20, max_episode_steps=70),
    "catch": EnvConfig(id="diamond/Catch-v0", height=8, width=12, max_episode_steps=30),
    "minatar": EnvConfig(id="MinAtar/Breakout-v1", height=10, width=10, max_episode_steps=15),
    "minigrid": EnvConfig(id="MiniGrid-Empty-5x5-v0", height=20, width=28, max_episode_steps=40),
}


@pytest.fixture(params=list(KINDS))
def cfg(request: pytest.FixtureRequest) -> EnvConfig:
    return KINDS[request.param]


def random_actions(env: RealEnv, steps: int, seed: int = 0) -> np.ndarray:
    """Actions drawn for each environment from a stream of its own, so that env 0 of 1 and env 0 of 3 act alike."""
    streams = [np.random.default_rng((seed, i)) for i in range(env.num_envs)]
    return np.stack([stream.integers(len(env.action_meanings), size=steps) for stream in streams], axis=1)


def rollout(env: RealEnv, actions: np.ndarray) -> list[np.ndarray]:
    """What steps return, stacked over time: obs, rewards, terminated, truncated, final_obs, game_over."""
    steps = []
    for row in actions:
        *outputs, info = env.step(row)
        steps.append((*outputs, info["final_obs"], info["game_over"]))
    return [np.stack(values) for values in zip(*steps, strict=True)]


def assert_equal(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> None:
    for left, right in zip(a, b, strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_spaces_shapes_and_types(cfg: EnvConfig, num_envs: int) -> None:
    env = make_env(cfg, num_envs, training=True)
    assert env.single_observation_space == Box(0, 255, (cfg.height, cfg.width, 3), np.uint8)
    assert env.single_action_space == Discrete(len(env.action_meanings))
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert env.num_envs == num_envs
    obs, _ = env.reset(seed=0)
    assert obs in env.observation_space
    env.action_space.seed(0)
    obs, rewards, terminated, truncated, info = env.step(env.action_space.sample())
    assert obs in env.observation_space
    assert info["final_obs"] in env.observation_space
    for value, dtype in (
        (rewards, np.float32),
        (terminated, np.bool_),
        (truncated, np.bool_),
        (info["_final_obs"], np.bool_),
        (info["game_over"], np.bool_),
    ):
        assert value.shape == (num_envs,)
        assert value.dtype == dtype
    env.close()


def test_games_restart_in_the_step_that_ends_them(cfg: EnvConfig) -> None:
    env = make_env(cfg, 3, training=True)
    env.reset(seed=1)
    obs, _, terminated, truncated, final_obs, game_over = rollout(env, random_actions(env, 150))
    assert game_over.any()
    assert not (terminated & truncated).any()
    assert ((terminated | truncated) | ~game_over).all()
    assert np.array_equal(obs[~game_over], final_obs[~game_over])
    assert (obs[game_over] != final_obs[game_over]).any()


def test_one_seed_is_one_trajectory_and_another_is_another(cfg: EnvConfig) -> None:
    env, twin = make_env(cfg, 2, training=True), make_env(cfg, 2, training=True)
    actions = random_actions(env, 100)
    env.reset(seed=5)
    first = rollout(env, actions)
    twin.reset(seed=5)
    assert_equal(first, rollout(twin, actions))
    twin.reset(seed=6)
    env.reset(seed=5)
    assert_equal(first, rollout(env, actions))
    if cfg.name != "MiniGrid-Empty-5x5-v0":  # which starts from the one same place
        assert any(not np.array_equal(a, b) for a, b in zip(first, rollout(twin, actions), strict=True))


def test_an_environment_does_not_depend_on_its_neighbours(cfg: EnvConfig) -> None:
    alone, together = make_env(cfg, 1, training=True), make_env(cfg, 3, training=True)
    alone.reset(seed=2)
    together.reset(seed=2)
    single = rollout(alone, random_actions(alone, 100))
    several = rollout(together, random_actions(together, 100))
    assert_equal(single, [values[:, :1] for values in several])


def test_returned_arrays_are_the_callers_to_keep(cfg: EnvConfig) -> None:
    env = make_env(cfg, 1, training=True)
    obs, _ = env.reset(seed=0)
    kept, copy = [obs], [obs.copy()]
    for action in random_actions(env, 20):
        obs, *_, info = env.step(action)
        kept += [obs, info["final_obs"]]
        copy += [obs.copy(), info["final_obs"].copy()]
        obs[:] = 0
        copy[-2][:] = 0
    assert_equal(kept, copy)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("steps_before", [0, 1, 29, 90])
def test_restored_games_go_on_bit_equal(cfg: EnvConfig, num_envs: int, steps_before: int) -> None:
    """Also through life losses, truncations and game numbers, and through a file without pickled objects."""
    env = make_env(cfg, num_envs, training=True)
    obs, _ = env.reset(seed=3)
    actions = random_actions(env, 200, seed=1)
    if steps_before:
        obs = rollout(env, actions[:steps_before])[0][-1]
    file = io.BytesIO()
    np.savez(file, **env.snapshot())
    file.seek(0)
    resumed = make_env(cfg, num_envs, training=True)
    with np.load(file, allow_pickle=False) as snapshot:
        assert np.array_equal(resumed.restore(dict(snapshot)), obs)
    onwards = rollout(env, actions[steps_before:])
    assert_equal(onwards, rollout(resumed, actions[steps_before:]))
    if cfg.life_loss_ends_episode and cfg.id is None:
        _, _, terminated, truncated, _, game_over = onwards
        assert (terminated & ~game_over).any()
        assert truncated.any()
    assert_equal(list(env.snapshot().values()), list(resumed.snapshot().values()))


def test_an_environment_can_go_back_in_time(cfg: EnvConfig) -> None:
    env = make_env(cfg, 2, training=True)
    env.reset(seed=3)
    actions = random_actions(env, 60)
    rollout(env, actions[:20])
    snapshot = env.snapshot()
    first = rollout(env, actions[20:])
    env.restore(snapshot)
    assert_equal(first, rollout(env, actions[20:]))


@pytest.mark.parametrize("training", [True, False])
def test_what_follows_a_moment_follows_it_again_bit_by_bit(cfg: EnvConfig, training: bool) -> None:
    """From whichever moment, in whichever order, over ends of games and losses of lives."""
    env = make_env(cfg, 2, training=training)
    frames, _ = env.reset(seed=4)
    actions = random_actions(env, 90, seed=2)
    moments, seen, first = [], [frames], []
    for row in actions:
        moments.append(env.state())
        first.append(rollout(env, row[None]))
        seen.append(first[-1][0][0])
    expected = [np.concatenate(values) for values in zip(*first, strict=True)]
    assert expected[-1].any(), "games end on the way"
    for back in (89, 0, 45, 46, 30, 12):
        assert np.array_equal(env.return_to(moments[back]), seen[back])
        assert_equal([values[back:] for values in expected], rollout(env, actions[back:]))
    assert_equal(list(env.snapshot().values()), list(replayed(cfg, actions, training).snapshot().values()))


def replayed(cfg: EnvConfig, actions: np.ndarray, training: bool) -> RealEnv:
    env = make_env(cfg, 2, training=training)
    env.reset(seed=4)
    rollout(env, actions)
    return env


def test_moments_stay_as_they_were_when_the_game_branches_off_before_them(cfg: EnvConfig) -> None:
    """Only what led to a moment decides what follows it, not what was tried from earlier ones since."""
    env, twin = make_env(cfg, 1, training=False), make_env(cfg, 1, training=False)
    stem, branch, other = (random_actions(env, steps, seed) for seed, steps in enumerate((7, 5, 30)))
    env.reset(seed=8)
    rollout(env, stem)
    fork = env.state()
    rollout(env, branch)
    tip = env.state()
    for _ in range(2):  # another branch, and one from the branch's own beginning
        env.return_to(fork)
        rollout(env, other)
        rollout(env, stem)
    env.return_to(tip)
    twin.reset(seed=8)
    rollout(twin, np.concatenate((stem, branch)))
    assert_equal(rollout(twin, other), rollout(env, other))
    assert_equal(list(twin.snapshot().values()), list(env.snapshot().values()))


def test_a_moment_before_the_games_end_goes_on_in_that_game(cfg: EnvConfig) -> None:
    """Its number and its length come back with it, so that the game after it is the same one too."""
    env = make_env(cfg, 1, training=False)
    env.reset(seed=1)
    actions = random_actions(env, 300, seed=5)
    moments, ends = [], []
    for row in actions:
        moments.append(env.state())
        *_, info = env.step(row)
        ends.append(bool(info["game_over"][0]))
    first, second = np.flatnonzero(ends)[:2]
    env.return_to(moments[first])
    again = rollout(env, actions[first : second + 1])
    assert np.flatnonzero(again[-1]).tolist() == [0, second - first]


class ScriptedGame(Game):
    """Plays a list of outcomes over and over; the frame is filled with 10 * (games played) + (steps in this game)."""

    action_meanings = ("NOOP", "FIRE")

    def __init__(self, *script: Outcome) -> None:
        self.script, self.games, self.steps, self.seeds, self.closed = script, 0, 0, [], False

    def start(self, seed: int) -> None:
        self.games, self.steps = self.games + 1, 0
        self.seeds.append(seed)

    def advance(self, action: int) -> Outcome:
        self.steps += 1
        return self.script[self.steps - 1]

    def frame(self) -> np.ndarray:
        return np.full((8, 8, 3), (10 * self.games + self.steps) % 256, np.uint8)

    def close(self) -> None:
        self.closed = True


GO, DIE, WIN = Outcome(0.0), Outcome(0.0, life_lost=True), Outcome(1.0, terminated=True)


def scripted(*games: ScriptedGame, life_loss: bool = True, limit: int = 1000) -> RealEnv:
    env = RealEnv("scripted", games, height=8, width=8, max_episode_steps=limit, life_loss_ends_episode=life_loss)
    env.reset(seed=0)
    return env


def summary(env: RealEnv) -> dict[str, list]:
    obs, rewards, terminated, truncated, info = env.step(np.zeros(env.num_envs, np.int64))
    assert np.array_equal(info["_final_obs"], terminated | truncated)
    return {
        "obs": obs[:, 0, 0, 0].tolist(),
        "final": info["final_obs"][:, 0, 0, 0].tolist(),
        "terminated": terminated.tolist(),
        "truncated": truncated.tolist(),
        "over": info["game_over"].tolist(),
    }


def test_a_life_lost_ends_the_episode_but_not_the_game() -> None:
    env = scripted(ScriptedGame(GO, DIE, GO, WIN))
    alive = {"terminated": [False], "truncated": [False], "over": [False]}
    assert summary(env) == {"obs": [11], "final": [11], **alive}
    assert summary(env) == {"obs": [12], "final": [12], **alive, "terminated": [True]}
    assert summary(env) == {"obs": [13], "final": [13], **alive}
    assert summary(env) == {"obs": [20], "final": [14], "terminated": [True], "truncated": [False], "over": [True]}


def test_in_evaluation_a_life_lost_ends_nothing() -> None:
    env = scripted(ScriptedGame(DIE, WIN), life_loss=False)
    assert summary(env) == {"obs": [11], "final": [11], "terminated": [False], "truncated": [False], "over": [False]}


def test_a_life_lost_leaves_the_final_frames_of_others_alone() -> None:
    env = scripted(ScriptedGame(GO, DIE, GO, GO), ScriptedGame(GO, WIN), ScriptedGame(GO, GO, GO, GO))
    summary(env)
    assert summary(env) == {
        "obs": [12, 20, 12],
        "final": [12, 12, 12],
        "terminated": [True, True, False],
        "truncated": [False] * 3,
        "over": [False, True, False],
    }


def test_the_step_limit_truncates_the_game_counting_all_lives() -> None:
    env = scripted(ScriptedGame(GO, DIE, GO, GO), limit=3)
    summary(env)
    summary(env)
    assert summary(env) == {"obs": [20], "final": [13], "terminated": [False], "truncated": [True], "over": [True]}
    assert summary(env)["obs"] == [21]


@pytest.mark.parametrize("last", [DIE, WIN, Outcome(0.0, terminated=True, truncated=True)])
def test_terminated_wins_where_both_ends_meet(last: Outcome) -> None:
    env = scripted(ScriptedGame(GO, last), limit=2)
    summary(env)
    assert summary(env) == {"obs": [20], "final": [12], "terminated": [True], "truncated": [False], "over": [True]}


def test_a_games_own_limit_truncates_too() -> None:
    env = scripted(ScriptedGame(Outcome(0.0, truncated=True)))
    assert summary(env) == {"obs": [20], "final": [11], "terminated": [False], "truncated": [True], "over": [True]}


def test_every_game_has_a_seed_of_its_own() -> None:
    games = [ScriptedGame(WIN) for _ in range(4)]
    env = scripted(*games)
    for _ in range(5):
        summary(env)
    env.reset()
    seeds = [seed for game in games for seed in game.seeds]
    assert len(set(seeds)) == len(seeds) == 4 * 7
    assert all(0 <= seed < 2**31 for seed in seeds)
    env.reset(seed=0)
    assert [game.seeds[-1] for game in games] == [game.seeds[0] for game in games]


def test_a_reset_without_any_seed_draws_one() -> None:
    games = [ScriptedGame(WIN), ScriptedGame(WIN)]
    for game in games:
        RealEnv("scripted", [game], height=8, width=8, max_episode_steps=9).reset()
    assert games[0].seeds != games[1].seeds


@pytest.mark.parametrize("actions", [[0], [0, 2], [0, -1], [0.0, 1.0], [[0, 1]]])
def test_invalid_actions_are_refused(actions: list) -> None:
    env = scripted(ScriptedGame(GO), ScriptedGame(GO))
    with pytest.raises(error.InvalidAction, match="give 2 integers from 0 to 1"):
        env.step(np.array(actions))
    assert summary(env)["obs"] == [11, 11]


def test_the_first_reset_cannot_be_left_out() -> None:
    env = RealEnv("scripted", [ScriptedGame(GO)], height=8, width=8, max_episode_steps=9)
    with pytest.raises(error.ResetNeeded):
        env.step(np.zeros(1, np.int64))
    with pytest.raises(error.ResetNeeded):
        env.snapshot()
    with pytest.raises(error.ResetNeeded):
        env.state()


def test_games_that_save_no_moments_are_replayed_from_their_start() -> None:
    """With the seed that they were started with."""
    game = ScriptedGame(GO, GO, GO, WIN)
    env = scripted(game)
    summary(env)
    moment = env.state()
    for _ in range(5):
        summary(env)
    started = game.seeds[0]
    assert env.return_to(moment)[0, 0, 0, 0] == 11
    assert game.seeds[-1] == started
    assert game.steps == 1
    with pytest.raises(NotImplementedError, match="ScriptedGame does not save moments"):
        game.load(None)


def test_thousands_of_moments_hold_little() -> None:
    """One frame each and next to nothing else, however long the game has lasted: they share its actions."""
    env = scripted(ScriptedGame(*[GO] * 4000), limit=4000)
    summary(env)
    moments = [env.state()]
    tracemalloc.start()
    for _ in range(3000):
        summary(env)
        moments.append(env.state())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(moments) < moments[0].frames.nbytes + 1500


def test_games_that_replay_differently_cannot_be_resumed() -> None:
    """A scripted game counts the games it has played, which is a state that its seed and actions do not decide."""
    env = scripted(ScriptedGame(WIN, GO), ScriptedGame(GO, GO))
    summary(env)
    with pytest.raises(EnvError, match=r"scripted: .* open game 1 .* not deterministic"):
        scripted(ScriptedGame(GO, GO), ScriptedGame(GO, GO)).restore(env.snapshot())


def test_games_that_end_too_early_in_the_replay_cannot_be_resumed() -> None:
    env, other = scripted(ScriptedGame(GO, GO)), scripted(ScriptedGame(WIN, GO))
    summary(env)
    other._games[0].games = 0  # so that the frames are the same
    with pytest.raises(EnvError, match="not deterministic"):
        other.restore(env.snapshot())


def test_a_snapshot_of_other_shape_is_refused() -> None:
    env = scripted(ScriptedGame(GO), ScriptedGame(GO))
    with pytest.raises(EnvError, match="same number of environments and frame size"):
        scripted(ScriptedGame(GO)).restore(env.snapshot())


def test_closing_closes_every_game() -> None:
    games = [ScriptedGame(GO), ScriptedGame(GO)]
    scripted(*games).close()
    assert all(game.closed for game in games)
