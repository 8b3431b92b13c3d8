"""Playing the real game: what is stored is what happened, and a pause between two calls is nowhere to be seen."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from diamond.config import ActorCriticConfig, EnvConfig
from diamond.envs import Game, Outcome, RealEnv, make_env
from diamond.experience.frames import to_network
from diamond.experience.replay import Replay
from diamond.networks.actor_critic import ActorCritic
from diamond.training.collector import Collected, Collector

CPU = torch.device("cpu")
NETWORK = ActorCriticConfig(channels=(4,), downsample=(False,), lstm_size=4)
CATCH = EnvConfig(id="diamond/Catch-v0", height=16, width=16)
BREAKOUT = EnvConfig(game="Breakout", height=8, width=8, max_noops=5, max_episode_steps=150)


class Lives(Game):
    """Three lives of three steps, a point each step; the frame shows the number of steps since the game began."""

    action_meanings = ("LEFT", "RIGHT")

    def start(self, seed: int) -> None:
        self.steps = 0

    def advance(self, action: int) -> Outcome:
        self.steps += 1
        return Outcome(1.0, terminated=self.steps == 9, life_lost=self.steps % 3 == 0)

    def frame(self) -> np.ndarray:
        return np.full((2, 3, 3), self.steps, np.uint8)


class Watched(ActorCritic):
    """Remembers what it was shown, and prefers one action."""

    def __init__(self, num_actions: int, height: int, width: int, favourite: int = 0, preference: float = 0.0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(num_actions, height, width, NETWORK)
            torch.nn.init.normal_(self.lstm.bias_ih)
        self.preference = preference * torch.nn.functional.one_hot(torch.tensor(favourite), num_actions)
        self.seen: list[Tensor] = []
        self.memories: list[Tensor] = []

    def forward(self, frames: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        self.seen.append(frames)
        self.memories.append(torch.cat(state, dim=1))
        logits, value, state = super().forward(frames, state)
        return logits + self.preference, value, state


@dataclass
class Setting:
    """A collector at work and a record of every step, kept apart from its own."""

    env: RealEnv
    policy: Watched
    collector: Collector
    replay: Replay
    generator: torch.Generator
    begun: np.ndarray
    steps: list[tuple] = field(default_factory=list)
    calls: list[Collected] = field(default_factory=list)

    def collect(self, steps: int, epsilon: float = 0.0) -> Collected:
        return self.collector.collect(steps, self.policy, epsilon, self.generator)


def setting(env: RealEnv, favourite: int = 0, preference: float = 0.0, seed: int = 0) -> Setting:
    height, width, _ = env.single_observation_space.shape
    policy = Watched(env.num_actions, height, width, favourite, preference)
    replay = Replay(1_000, height, width, env.num_envs, CPU)
    collector = Collector(env, replay, policy, CPU)
    begun, _ = env.reset(seed=seed)
    made = Setting(env, policy, collector, replay, torch.Generator().manual_seed(0), begun)
    step = env.step

    def recorded_step(actions: np.ndarray) -> tuple:
        result = step(actions)
        made.steps.append((actions, *result))
        return result

    env.step = recorded_step
    collector.begin(seed)
    return made


def lives(num_envs: int) -> RealEnv:
    games = [Lives() for _ in range(num_envs)]
    return RealEnv("lives", games, height=2, width=3, max_episode_steps=1_000, life_loss_ends_episode=True)


@pytest.fixture(
    scope="module", params=[(CATCH, 1), (CATCH, 3), (BREAKOUT, 1), (BREAKOUT, 3)], ids=lambda p: f"{p[1]} {p[0].name}"
)
def played(request: pytest.FixtureRequest) -> Iterator[Setting]:
    """Some hundred random steps, in two calls; shared, so only looked at."""
    cfg, num_envs = request.param
    env = make_env(cfg, num_envs, training=True)
    made = setting(env)
    made.calls = [made.collect(100 * num_envs, epsilon=1.0), made.collect(70 * num_envs, epsilon=1.0)]
    yield made
    env.close()


# A game with a known course


@pytest.mark.parametrize("num_envs", [1, 3])
def test_episodes_end_with_lives_and_returns_with_games(num_envs: int) -> None:
    made = setting(lives(num_envs))
    collected = made.collect(9 * num_envs)
    assert collected.steps == 9 * num_envs
    assert collected.game_returns == [9.0] * num_envs
    assert len(collected.episodes) == 3 * num_envs
    frames = [episode.frames[:, 0, 0, 0].tolist() for _, episode in collected.episodes]
    assert frames == [numbers for numbers in ([0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]) for _ in range(num_envs)]
    assert all(episode.terminated and not episode.truncated for _, episode in collected.episodes)
    assert [number for number, _ in collected.episodes] == list(range(3 * num_envs))


def test_an_unfinished_game_goes_on_in_the_next_call() -> None:
    made = setting(lives(1))
    assert made.collect(2).episodes == []
    [(number, episode)] = made.collect(2).episodes
    assert (number, episode.frames[:, 0, 0, 0].tolist(), episode.rewards.tolist()) == (0, [0, 1, 2, 3], [1, 1, 1])
    assert made.collect(4).game_returns == []
    assert made.collect(1).game_returns == [9.0]
    assert made.collect(9).game_returns == [9.0]  # the new game is counted from zero


@pytest.mark.parametrize(("num_envs", "steps", "taken"), [(1, 5, 5), (3, 6, 6), (3, 7, 9), (3, 1, 3)])
def test_steps_are_rounded_up_to_whole_rounds(num_envs: int, steps: int, taken: int) -> None:
    made = setting(lives(num_envs))
    assert made.collect(steps).steps == taken == made.replay.num_steps
    assert len(made.steps) * num_envs == taken


# Real games


def test_what_is_stored_is_what_happened(played: Setting) -> None:
    """Every frame, the final ones included, every action and every reward, environment by environment."""
    happened: list[list[dict]] = []
    for lane in range(played.env.num_envs):
        now: dict = {"frames": [played.begun[lane]], "actions": [], "rewards": [], "ended": (False, False)}
        happened.append([now])
        for actions, frames, rewards, terminated, truncated, info in played.steps:
            now["frames"].append(info["final_obs"][lane])
            now["actions"].append(actions[lane])
            now["rewards"].append(rewards[lane])
            if terminated[lane] or truncated[lane]:
                now["ended"] = (bool(terminated[lane]), bool(truncated[lane]))
                now = {"frames": [frames[lane]], "actions": [], "rewards": [], "ended": (False, False)}
                happened[lane].append(now)

    finished = [episode for call in played.calls for _, episode in call.episodes]
    unfinished = [episode for _, episode in played.replay.open_episodes()]
    assert len(finished) >= 2 * played.env.num_envs
    assert len(finished) + len(unfinished) == sum(map(len, happened))
    for episode in finished + unfinished:
        lane = next(
            i for i, ours in enumerate(happened) if ours and np.array_equal(np.stack(ours[0]["frames"]), episode.frames)
        )
        expected = happened[lane].pop(0)
        assert episode.actions.tolist() == expected["actions"]
        assert episode.rewards.tolist() == expected["rewards"]
        assert (episode.terminated, episode.truncated) == expected["ended"]
    assert happened == [[]] * played.env.num_envs


def test_game_returns_are_summed_over_lives(played: Setting) -> None:
    expected, running = [], np.zeros(played.env.num_envs)
    for _, _, rewards, _, _, info in played.steps:
        running += rewards
        for lane in np.flatnonzero(info["game_over"]):
            expected.append(float(running[lane]))
            running[lane] = 0
    assert [value for call in played.calls for value in call.game_returns] == expected
    assert len(expected) >= played.env.num_envs
    assert sum(expected) + running.sum() == sum(rewards.sum() for _, _, rewards, *_ in played.steps)


def test_the_policy_forgets_an_environment_where_its_episode_ended_and_only_there(played: Setting) -> None:
    assert not played.policy.memories[0].any()
    for memory, (_, _, _, terminated, truncated, _) in zip(played.policy.memories[1:], played.steps, strict=False):
        fresh = ~memory.any(dim=1)
        assert fresh.tolist() == (terminated | truncated).tolist()


def test_the_policy_sees_the_newest_frames(played: Setting) -> None:
    for seen, (_, frames, *_) in zip(played.policy.seen[1:], played.steps, strict=False):
        assert torch.equal(seen, to_network(torch.from_numpy(frames)))


def test_finished_episodes_are_numbered_by_their_start(played: Setting) -> None:
    finished = [number for call in played.calls for number, _ in call.episodes]
    unfinished = [number for number, _ in played.replay.open_episodes()]
    assert sorted(finished + unfinished) == list(range(len(finished) + len(unfinished)))


# Exploration


def test_epsilon_is_drawn_for_each_environment_and_step() -> None:
    """The policy always takes action 2; with epsilon 1/2 a third action comes out 2 (1/2) (2/3) = 1/3 of the time, in
    two environments together 1/9 of the time. One draw for all would make it 2/9."""
    made = setting(make_env(CATCH, 2, training=True), favourite=2, preference=1e6)
    made.collect(2 * 900, epsilon=0.5)
    explored = np.stack([actions for actions, *_ in made.steps]) != 2
    assert explored.mean(axis=0) == pytest.approx([1 / 3, 1 / 3], abs=0.05)
    assert explored.all(axis=1).mean() == pytest.approx(1 / 9, abs=0.035)


def test_without_epsilon_the_policy_decides_and_with_epsilon_1_chance_does() -> None:
    for epsilon, shares in ((0.0, [0, 1, 0]), (1.0, [1 / 3, 1 / 3, 1 / 3])):
        made = setting(make_env(CATCH, 1, training=True), favourite=1, preference=1e6)
        made.collect(600, epsilon=epsilon)
        actions = np.concatenate([actions for actions, *_ in made.steps])
        assert np.bincount(actions, minlength=3) / 600 == pytest.approx(shares, abs=0.06)


def test_actions_are_drawn_from_the_policy() -> None:
    made = setting(make_env(CATCH, 1, training=True), favourite=1, preference=float(np.log(4)))
    made.policy.actor.weight.data.zero_()
    made.collect(900)
    actions = np.concatenate([actions for actions, *_ in made.steps])
    assert np.bincount(actions, minlength=3) / 900 == pytest.approx([1 / 6, 4 / 6, 1 / 6], abs=0.05)


# Saving and loading


def test_a_restored_collector_goes_on_bit_equal() -> None:
    made = setting(make_env(BREAKOUT, 2, training=True))
    made.collect(100, epsilon=0.5)
    state = {name: value.clone() for name, value in made.collector.state_dict().items()}
    assert state["game_return"].shape == (2,)
    snapshot, open_episodes = made.env.snapshot(), made.replay.open_episodes()
    random_state = made.generator.get_state()
    expected = made.collect(200, epsilon=0.5)

    other = setting(make_env(BREAKOUT, 2, training=True), seed=1)
    replay = Replay(1_000, 8, 8, 2, CPU)
    replay.load([], open_episodes)
    other.collector = Collector(other.env, replay, other.policy, CPU)
    other.collector.load_state_dict(state, other.env.restore(snapshot))
    other.generator.set_state(random_state)
    found = other.collect(200, epsilon=0.5)
    assert found.game_returns == expected.game_returns
    assert len(found.episodes) == len(expected.episodes) > 0
    for (_, ours), (_, theirs) in zip(found.episodes, expected.episodes, strict=True):
        assert np.array_equal(ours.frames, theirs.frames)
        assert np.array_equal(ours.actions, theirs.actions)
