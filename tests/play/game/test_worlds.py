"""One step of the dream and of the real game, as a function of a moment."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dreams import ACTIONS
from hypothesis import given
from hypothesis import strategies as st
from sources import BREAKOUT, GAME, SHADE, drawn, player, starts

from diamond.config import EnvConfig
from diamond.envs import make_env
from diamond.experience.frames import PADDING_VALUE, to_network, to_stored
from diamond.experience.segments import Segment
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.world import DreamNoise, DreamState, WorldModel, draw_noise
from diamond.play.game.settings import Settings
from diamond.play.game.worlds import Dream, DreamMoment, Past, RealGame, RealMoment, Tally
from diamond.runs.streams import derive_seed


def frame(level: int) -> np.ndarray:
    return np.full((16, 16, 3), level, np.uint8)


# The past


@given(st.integers(1, 5), st.lists(st.integers(0, 9), max_size=12))
def test_the_past_is_the_last_frames_and_the_actions_between_them(most: int, actions: list[int]) -> None:
    past = Past((frame(0),), ())
    for number, action in enumerate(actions, start=1):
        past = past.after(action, frame(number), most)
    kept = min(most, len(actions) + 1)
    assert [int(image[0, 0, 0]) for image in past.frames] == list(range(len(actions) + 1))[-kept:]
    assert past.actions == tuple(actions[len(actions) - (kept - 1) :])


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=30))
def test_a_tally_adds_up(rewards: list[float]) -> None:
    tally = Tally()
    for reward in rewards:
        tally = tally.after(reward, 0.25, None)
    assert (tally.steps, tally.total) == (len(rewards), sum(rewards))
    assert tally.reward == (rewards[-1] if rewards else 0.0)


# The dream

SETTINGS = Settings(denoising_steps=2, seed=5)


def images(moment: DreamMoment | RealMoment) -> np.ndarray:
    return np.stack(moment.past.frames)


def same(one: DreamMoment, two: DreamMoment) -> bool:
    memories = zip(one.memory, two.memory, strict=True)
    return (
        np.array_equal(images(one), images(two))
        and one.past.actions == two.past.actions
        and one.tally == two.tally
        and all(torch.equal(mine, yours) for mine, yours in memories)
    )


@torch.no_grad()
@pytest.mark.parametrize("turned", [{}, {"denoising_steps": 3, "order": 2}, {"churn": 2.0, "start_noise": 2.0}])
def test_a_dreamed_step_is_that_of_training(turned: dict[str, float]) -> None:
    """Frame by frame what `dream_step` gives from the same noise, under the sampler that the player has set."""
    agent, past, settings = player(), starts(1)[0], replace(SETTINGS, **turned)
    moment = Dream(agent).begin(past)
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    world = replace(world, sampler_cfg=settings.sampler(world.sampler_cfg))
    frames = to_network(torch.from_numpy(np.stack(past.frames))[None])
    state = DreamState(frames, torch.tensor([[*past.actions, 0]]), moment.memory, torch.tensor([0]))
    for number, action in enumerate((2, 0, 1, 1, 2)):
        noise = named_noise(world, settings, number)
        # Dreams go on from stored frames: the same levels, in other last digits than the sampler's.
        state = replace(state, frames=to_network(to_stored(state.frames)))
        state, step = dream_step(world, state, torch.tensor([action]), noise)
        moment, _ = Dream(agent).step(moment, action, settings, ("test", number))
        assert np.array_equal(images(moment), to_stored(state.frames)[0].numpy())
        assert [*moment.past.actions, 0] == state.actions[0].tolist()
        assert moment.tally.reward == step.reward.item()
        assert moment.tally.termination == pytest.approx(step.termination_logits.softmax(-1)[0, 1].item())
        assert (moment.tally.ended == "terminated") == bool(step.terminated)
        assert all(torch.equal(*memory) for memory in zip(moment.memory, state.reward_state, strict=True))


def named_noise(world: WorldModel, settings: Settings, number: int) -> DreamNoise:
    generator = torch.Generator().manual_seed(derive_seed(settings.seed, "test", number))
    return draw_noise(torch.Size((1, 3, 16, 16)), world.sampler_cfg, generator)


@torch.no_grad()
def test_a_dream_begins_with_a_memory_of_the_real_frames_before_it() -> None:
    agent, past = player(), starts(1)[0]
    frames = to_network(torch.from_numpy(np.stack(past.frames))[None])
    model = agent.reward_model
    zeros = model.initial_state(1, "cpu")
    *_, expected = model(frames[:, :-1], torch.tensor([past.actions]), frames[:, 1:], zeros)
    moment = Dream(agent).begin(past)
    assert moment.past.frames == past.frames
    assert moment.tally == Tally()
    for mine, yours in zip(moment.memory, expected, strict=True):
        assert torch.allclose(mine, yours, atol=1e-6)


@torch.no_grad()
def test_before_the_first_frame_a_dream_sees_what_training_shows_there() -> None:
    """Padding, as in the segments that reach back before an episode's start."""
    agent, first = player(), frame(9)
    dream = Dream(agent)
    moment, _ = dream.step(dream.begin(Past((first,), ())), 1, SETTINGS, ("test", 0))
    assert moment.past.actions == (1,)
    world = WorldModel.of(agent.denoiser, agent.reward_model, agent.config)
    world = replace(world, sampler_cfg=SETTINGS.sampler(world.sampler_cfg))
    frames = torch.full((1, 4, 3, 16, 16), PADDING_VALUE)
    frames[:, -1] = to_network(torch.from_numpy(first))
    nothing = torch.zeros(1, 4)
    state = begin(world, Segment(frames, torch.zeros(1, 4, dtype=torch.long), nothing, nothing > 0, nothing > 0))
    _, step = dream_step(world, state, torch.tensor([1]), named_noise(world, SETTINGS, 0))
    assert np.array_equal(moment.past.frames[-1], to_stored(step.frame)[0].numpy())


def test_a_dreamed_step_follows_from_its_moment_seed_name_and_action_alone() -> None:
    dream = Dream(player())
    begun = dream.begin(starts(1)[0])
    first, _ = dream.step(begun, 1, SETTINGS, ("test", 3))
    for _ in range(3):
        dream.step(first, 0, SETTINGS, ("test", 4))
    again, _ = dream.step(begun, 1, SETTINGS, ("test", 3))
    assert same(first, again)
    assert same(first, Dream(player()).step(dream.begin(starts(1)[0]), 1, SETTINGS, ("test", 3))[0])
    for other in (
        dream.step(begun, 2, SETTINGS, ("test", 3)),
        dream.step(begun, 1, replace(SETTINGS, seed=6), ("test", 3)),
        dream.step(begun, 1, SETTINGS, ("test", 4)),
    ):
        assert not np.array_equal(other[0].past.frames[-1], first.past.frames[-1])


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_a_frame_comes_out_of_noise_step_by_step(steps: int) -> None:
    dream = Dream(player())
    following, stages = dream.step(dream.begin(starts(1)[0]), 1, replace(SETTINGS, denoising_steps=steps), ("test",))
    assert len(stages) == steps + 1
    assert np.array_equal(stages[-1], following.past.frames[-1])
    assert len({stage.tobytes() for stage in stages}) == steps + 1


def test_a_world_drawn_by_hand_is_dreamed_as_drawn() -> None:
    """Lighter by the action's number; the fourth step from the start ends it, for a reward."""

    def rate(frame: torch.Tensor, action: torch.Tensor, next_frame: torch.Tensor, seen: torch.Tensor) -> tuple:
        over = seen == 6  # three real transitions came before
        return over.long(), over.long()

    dream = Dream(drawn(rate=rate))
    moment = dream.begin(Past((frame(10),), ()))
    for number, action in enumerate((0, 1, 2, 2), start=1):
        before, (moment, _) = moment, dream.step(moment, action, SETTINGS, ("test", number))
        assert (moment.past.frames[-1] == before.past.frames[-1] + SHADE * action).all()
        over = number == 4
        assert moment.tally == Tally(number, float(over), float(over), float(over), "terminated" if over else None)


@pytest.mark.parametrize("horizon", [0, 1, 3])
def test_a_dream_ends_at_the_horizon_or_never(horizon: int) -> None:
    dream = Dream(drawn())
    moment = dream.begin(starts(1)[0])
    endings = []
    for number in range(5):
        moment, _ = dream.step(moment, 1, replace(SETTINGS, horizon=horizon), ("test", number))
        endings.append(moment.tally.ended)
    expected: list[str | None] = ["horizon" if horizon and number >= horizon else None for number in range(1, 6)]
    assert endings == expected


def test_an_end_at_the_horizon_is_the_games_own() -> None:
    dream = Dream(drawn(rate=lambda frame, action, next_frame, seen: (0 * action, torch.ones_like(action))))
    moment, _ = dream.step(dream.begin(starts(1)[0]), 0, replace(SETTINGS, horizon=1), ("test",))
    assert moment.tally.ended == "terminated"


# The real game


def play(game: RealGame, moment: RealMoment, actions: list[int]) -> list[RealMoment]:
    moments = [moment]
    for action in actions:
        moments.append(game.step(moments[-1], action))
    return moments


@pytest.mark.parametrize("cfg", [GAME, BREAKOUT], ids=["catch", "breakout"])
def test_a_real_game_is_that_of_the_environment(cfg: EnvConfig) -> None:
    """The same frames, rewards and end as in a bare environment from the same seed."""
    game, env = RealGame(make_env(cfg, 1, training=False), 4), make_env(cfg, 1, training=False)
    moment, (obs, _) = game.begin(3), env.reset(seed=3)
    assert np.array_equal(images(moment), obs)
    total = 0.0
    for step in range(200):
        before, action = moment, step % env.num_actions % 3
        moment = game.step(moment, action)
        _, rewards, terminated, _, info = env.step(np.array([action]))
        total += float(rewards[0])
        assert np.array_equal(moment.past.frames[-1], info["final_obs"][0])
        assert moment.past.actions[-1] == action
        assert np.array_equal(images(moment)[:-1], images(before)[-3:])
        assert moment.tally == Tally(step + 1, float(rewards[0]), total, None, "terminated" if terminated[0] else None)
        if terminated[0]:
            break
    assert moment.tally.ended, "the game ends on the way"
    game.close()


def test_a_real_game_is_cut_off_at_its_limit() -> None:
    game = RealGame(make_env(replace(GAME, max_episode_steps=3), 1, training=False), 4)
    moments = play(game, game.begin(0), [1] * 3)
    assert [moment.tally.ended for moment in moments] == [None, None, None, "truncated"]


@pytest.mark.parametrize("cfg", [GAME, BREAKOUT], ids=["catch", "breakout"])
def test_a_real_game_goes_on_from_any_moment_of_any_game(cfg: EnvConfig) -> None:
    """Also from one of a game with another seed, and after the game has ended and begun anew."""
    game, random = RealGame(make_env(cfg, 1, training=False), 2), np.random.default_rng(0)
    courses = {seed: random.integers(ACTIONS, size=40).tolist() for seed in (1, 2, 3)}
    lines = {seed: play(game, game.begin(seed), courses[seed][:11]) for seed in courses}
    for back in (10, 0, 5):
        for seed, line in lines.items():
            again = play(game, line[back], courses[seed][back:11])
            for mine, yours in zip(again, line[back:], strict=True):
                assert np.array_equal(images(mine), images(yours))
                assert mine.tally == yours.tally
    other = play(game, lines[1][3], [(action + 1) % ACTIONS for action in courses[1][3:11]])
    assert not np.array_equal(images(other[-1]), images(lines[1][-1]))
