"""Replay: every sampled segment equals what a slow and obvious reading of the episodes gives.

The pixels of a frame spell the number of its episode and its place in it, so a frame tells where it comes from.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diamond.errors import DataError
from diamond.experience.episodes import Episode, EpisodeFolder
from diamond.experience.frames import to_stored
from diamond.experience.replay import Replay, episode_weights
from diamond.experience.segments import Segment

HEIGHT, WIDTH = 2, 3
PAPER = (0.1, 0.1, 0.1, 0.7)
GOES_ON, TERMINATES, TRUNCATES = "goes on", "terminates", "truncates"
FIELDS = ("frames", "actions", "rewards", "terminated", "valid")


def coded_frame(episode: int, place: int) -> np.ndarray:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[0, 0] = episode, place, 255
    return frame


def coded_action(episode: int, step: int) -> int:
    return 1 + (3 * episode + step) % 17


def coded_reward(episode: int, step: int) -> float:
    return (step % 3 - 1) * (episode + 0.5)


def coded_episode(number: int, num_steps: int, end: str) -> Episode:
    return Episode(
        frames=np.stack([coded_frame(number, place) for place in range(num_steps + 1)]),
        actions=np.array([coded_action(number, step) for step in range(num_steps)], np.int64),
        rewards=np.array([coded_reward(number, step) for step in range(num_steps)], np.float32),
        terminated=end == TERMINATES,
        truncated=end == TRUNCATES,
    )


@dataclass
class World:
    """Environments whose episodes end as told; `ends[step][lane]`. Remembers what it showed."""

    lanes: int
    numbers: list[int]
    places: list[int]
    started: int

    @classmethod
    def begin(cls, replay: Replay) -> "World":
        world = cls(replay.lanes, list(range(replay.lanes)), [0] * replay.lanes, replay.lanes)
        replay.begin(np.stack([coded_frame(number, 0) for number in world.numbers]))
        return world

    def step(self, replay: Replay, ends: tuple[str, ...]) -> list[tuple[int, Episode]]:
        actions = [coded_action(number, place) for number, place in zip(self.numbers, self.places, strict=True)]
        rewards = [coded_reward(number, place) for number, place in zip(self.numbers, self.places, strict=True)]
        self.places = [place + 1 for place in self.places]
        successors = self.shown()
        for lane, end in enumerate(ends):
            if end != GOES_ON:
                self.numbers[lane], self.places[lane], self.started = self.started, 0, self.started + 1
        return replay.add(
            np.array(actions),
            np.array(rewards, np.float32),
            np.array([end == TERMINATES for end in ends]),
            np.array([end == TRUNCATES for end in ends]),
            successors,
            self.shown(),
        )

    def shown(self) -> np.ndarray:
        return np.stack([coded_frame(number, place) for number, place in zip(self.numbers, self.places, strict=True)])


def play(replay: Replay, script: list[tuple[str, ...]]) -> list[Episode]:
    """Play a script from the start; all episodes that it contains, in order of their start."""
    world = World.begin(replay)
    finished: dict[int, Episode] = {}
    for ends in script:
        finished |= dict(world.step(replay, ends))
    return [episode for _, episode in sorted((finished | dict(replay.open_episodes())).items())]


@st.composite
def scripts(draw: st.DrawFn, max_steps: int = 25) -> list[tuple[str, ...]]:
    lanes = draw(st.integers(1, 3))
    end = st.sampled_from([GOES_ON, GOES_ON, GOES_ON, TERMINATES, TRUNCATES])
    return draw(st.lists(st.tuples(*[end] * lanes), min_size=1, max_size=max_steps))


def new_replay(lanes: int = 1, capacity: int = 30) -> Replay:
    return Replay(capacity, HEIGHT, WIDTH, lanes, "cpu")


def replay_of(*lengths: int, end: str = TERMINATES) -> Replay:
    replay = new_replay()
    replay.load((number, coded_episode(number, length, end)) for number, length in enumerate(lengths))
    return replay


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_equal(a: Segment, b: Segment) -> None:
    for name in FIELDS:
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype and torch.equal(first, second), name


# The reference: sampling written for the reader, one sample and one step at a time


def reference_weights(lengths: list[int], age_weights: tuple[float, ...]) -> list[float]:
    episodes, groups = len(lengths), len(age_weights)
    if groups == 0 or episodes < groups:
        return [length / sum(lengths) for length in lengths]
    sizes = [episodes // groups] * (groups - 1)
    sizes.append(episodes - sum(sizes))
    return [weight / size for weight, size in zip(age_weights, sizes, strict=True) for _ in range(size)]


def reference_sample(
    episodes: list[Episode], batch_size: int, length: int, seed: int, age_weights: tuple[float, ...], transitions: bool
) -> Segment:
    episodes = [episode for episode in episodes if episode.num_steps > 0]
    weights = reference_weights([episode.num_steps for episode in episodes], age_weights)
    draws = torch.rand(3, batch_size, dtype=torch.float64, generator=seeded(seed)).T.tolist()
    rows: dict[str, list[Any]] = {name: [] for name in FIELDS}
    for which, where, shift in draws:
        number, passed = 0, weights[0]
        while which * sum(weights) >= passed:
            number += 1
            passed += weights[number]
        episode = episodes[number]
        step, back = math.floor(where * episode.num_steps), math.floor(shift * length)
        start = step - back if transitions else min(episode.num_steps, step + 1 + back) - length
        cells = [reference_cell(episode, place) for place in range(start, start + length)]
        for name in FIELDS:
            rows[name].append([cell[name] for cell in cells])
    return Segment(
        frames=torch.tensor(np.array(rows["frames"])).movedim(-1, -3),
        actions=torch.tensor(rows["actions"]),
        rewards=torch.tensor(rows["rewards"], dtype=torch.float32),
        terminated=torch.tensor(rows["terminated"]),
        valid=torch.tensor(rows["valid"]),
    )


def reference_cell(episode: Episode, place: int) -> dict[str, Any]:
    grey = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    valid = 0 <= place < episode.num_steps
    seen = 0 <= place <= episode.num_steps
    return {
        "frames": episode.frames[place].astype(np.float32) / np.float32(127.5) - 1 if seen else grey,
        "actions": int(episode.actions[place]) if valid else 0,
        "rewards": float(episode.rewards[place]) if valid else 0.0,
        "terminated": valid and episode.terminated and place == episode.num_steps - 1,
        "valid": valid,
    }


AGE_WEIGHTS = st.sampled_from([PAPER, (), (1.0,), (0.0, 1.0), (0.5, 0.25, 0.25)])


@given(script=scripts(), length=st.integers(1, 8), seed=st.integers(0, 2**32 - 1), age_weights=AGE_WEIGHTS)
def test_segments_equal_the_reference(
    script: list[tuple[str, ...]], length: int, seed: int, age_weights: tuple[float, ...]
) -> None:
    replay = new_replay(len(script[0]))
    episodes = play(replay, script)
    actual = replay.sample(16, length, seeded(seed), age_weights)
    assert_equal(actual, reference_sample(episodes, 16, length, seed, age_weights, transitions=False))
    actual = replay.sample_transitions(16, length, seeded(seed), age_weights)
    assert_equal(actual, reference_sample(episodes, 16, length, seed, age_weights, transitions=True))


def test_new_steps_are_sampled_at_once() -> None:
    replay = new_replay(lanes=2)
    world, finished = World.begin(replay), {}
    for step in range(12):
        finished |= dict(world.step(replay, (GOES_ON, TRUNCATES if step % 4 == 3 else GOES_ON)))
        episodes = [episode for _, episode in sorted((finished | dict(replay.open_episodes())).items())]
        expected = reference_sample(episodes, 16, 3, step, PAPER, transitions=True)
        assert_equal(replay.sample_transitions(16, 3, seeded(step), PAPER), expected)


# Weights


@pytest.mark.parametrize("episodes", range(1, 21))
def test_weights_of_the_paper_for_any_number_of_episodes(episodes: int) -> None:
    lengths = [3 + number for number in range(episodes)]
    weights = episode_weights(torch.tensor(lengths), PAPER)
    assert weights.tolist() == pytest.approx(reference_weights(lengths, PAPER), rel=1e-15)
    assert weights.sum().item() == pytest.approx(1, rel=1e-15)


def test_seven_episodes_fall_into_groups_of_1_1_1_and_4() -> None:
    weights = episode_weights(torch.full((7,), 50), PAPER)
    assert weights.tolist() == [0.1, 0.1, 0.1, 0.175, 0.175, 0.175, 0.175]


def test_eight_episodes_fall_into_groups_of_2() -> None:
    weights = episode_weights(torch.arange(1, 9), PAPER)
    assert weights.tolist() == [0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.35, 0.35]


@pytest.mark.parametrize(("lengths", "age_weights"), [((1, 2, 7), PAPER), ((1, 2, 7), ()), ((4, 1, 1, 4), ())])
def test_fewer_episodes_than_groups_count_by_their_steps(
    lengths: tuple[int, ...], age_weights: tuple[float, ...]
) -> None:
    weights = episode_weights(torch.tensor(lengths), age_weights)
    assert weights.tolist() == [length / 10 for length in lengths]


@pytest.mark.parametrize(("age_weights", "expected"), [((0.0, 0.0, 0.0, 1.0), {3}), ((1.0, 0.0, 0.0, 0.0), {0})])
def test_episodes_without_weight_are_never_drawn(age_weights: tuple[float, ...], expected: set[int]) -> None:
    segment = replay_of(5, 5, 5, 5).sample(1000, 1, seeded(), age_weights)
    assert set(codes(segment)[..., 0].flatten().tolist()) == expected


@pytest.mark.parametrize(
    ("uniform", "age_weights", "code"),
    [
        (0.0, PAPER, [0, 0, 255]),
        (0.0, (0.0, 0.5, 0.5), [1, 0, 255]),
        (1 - 2**-53, PAPER, [3, 6, 255]),
        (1 - 2**-53, (0.5, 0.5, 0.0, 0.0), [1, 6, 255]),
    ],
)
def test_the_smallest_and_largest_random_numbers_stay_inside(
    monkeypatch: pytest.MonkeyPatch, uniform: float, age_weights: tuple[float, ...], code: list[int]
) -> None:
    replay = replay_of(7, 7, 7, 7)
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype, generator: torch.full(shape, uniform, dtype=dtype))
    assert codes(replay.sample(1, 1, seeded(), age_weights)).flatten().tolist() == code


def test_shares_of_samples_follow_the_weights() -> None:
    segment = replay_of(9, 1, 5, 2).sample(20_000, 1, seeded(), PAPER)
    counts = Counter(codes(segment)[..., 0].flatten().tolist())
    assert [counts[number] / 20_000 for number in range(4)] == pytest.approx(PAPER, abs=0.015)


# Which frames a segment shows


def codes(segment: Segment) -> torch.Tensor:
    """(episode, place, 255) of every frame, (b, t, 3); padding has other than 255."""
    return to_stored(segment.frames)[:, :, 0, 0].long()


def starts(segment: Segment) -> Counter[int]:
    """How often segments start at which place of their episode."""
    first = segment.valid.long().argmax(dim=1)
    places = codes(segment)[torch.arange(len(first)), first, 1]
    return Counter((places - first).tolist())


def test_segments_end_anywhere_in_the_episode_but_not_after_it() -> None:
    """Five steps and length 3: step + 1 + shift is 1..7, cut to 5; minus 3 gives the start."""
    counts = starts(replay_of(5).sample(15_000, 3, seeded(), PAPER))
    expected = {-2: 1 / 15, -1: 2 / 15, 0: 3 / 15, 1: 3 / 15, 2: 6 / 15}
    assert set(counts) == set(expected)
    assert [counts[start] / 15_000 for start in expected] == pytest.approx(list(expected.values()), abs=0.02)


def test_segments_of_transitions_reach_past_both_ends() -> None:
    """Five steps and length 3: step - shift."""
    counts = starts(replay_of(5).sample_transitions(15_000, 3, seeded(), PAPER))
    expected = {-2: 1 / 15, -1: 2 / 15, 0: 3 / 15, 1: 3 / 15, 2: 3 / 15, 3: 2 / 15, 4: 1 / 15}
    assert set(counts) == set(expected)
    assert [counts[start] / 15_000 for start in expected] == pytest.approx(list(expected.values()), abs=0.02)


@pytest.mark.parametrize("end", [TERMINATES, TRUNCATES, GOES_ON])
def test_the_final_frame_is_shown_to_the_reward_model_alone(end: str) -> None:
    replay = replay_of(4, end=end)
    segment = replay.sample_transitions(200, 6, seeded(), PAPER)
    after = segment.valid.long().cumsum(1).eq(segment.valid.sum(1, keepdim=True)) & ~segment.valid
    reached = after.any(dim=1)  # segments that go on after the last valid step
    assert reached.any()
    first_after = after.long().argmax(dim=1)
    final = codes(segment)[torch.arange(200), first_after][reached]
    assert torch.equal(final, torch.tensor([0, 4, 255]).expand_as(final))
    assert not (codes(replay.sample(200, 6, seeded(), PAPER)) == torch.tensor([0, 4, 255])).all(dim=-1).any()


@pytest.mark.parametrize("end", [TERMINATES, TRUNCATES, GOES_ON])
def test_the_final_frame_can_be_asked_for(end: str) -> None:
    segment = replay_of(4, end=end).sample(5_000, 2, seeded(), (), final_frames=True)
    targets = codes(segment)[:, -1]
    assert segment.valid[:, -1].all()
    # Of five frames each, drawn step and shift: place 0 is the last of a segment only without a shift.
    counts = Counter(targets[:, 1].tolist())
    shares = [counts[place] / 5_000 for place in range(5)]
    assert shares == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.3], abs=0.03)
    is_final = targets[:, 1] == 4
    assert torch.equal(codes(segment)[is_final, 0, 1], torch.full((int(is_final.sum()),), 3))
    assert not segment.terminated[is_final, -1].any()  # the end belongs to the action before it
    assert segment.terminated[is_final, 0].all() == (end == TERMINATES)


@settings(max_examples=40)
@given(script=scripts(), length=st.integers(1, 6), seed=st.integers(0, 999))
def test_every_valid_transition_has_its_true_successor(script: list[tuple[str, ...]], length: int, seed: int) -> None:
    replay = new_replay(len(script[0]))
    episodes = [episode for episode in play(replay, script) if episode.num_steps]
    segment = replay.sample_transitions(16, length + 1, seeded(seed), PAPER)
    here, there = codes(segment)[:, :-1][segment.valid[:, :-1]], codes(segment)[:, 1:][segment.valid[:, :-1]]
    assert torch.equal(there, here + torch.tensor([0, 1, 0]))
    by_number = {int(episode.frames[0, 0, 0, 0]): episode for episode in episodes}
    for (number, place, _), terminated in zip(
        codes(segment)[segment.valid].tolist(), segment.terminated[segment.valid].tolist(), strict=True
    ):
        assert terminated == (by_number[number].terminated and place == by_number[number].num_steps - 1)


@pytest.mark.parametrize("end", [TERMINATES, TRUNCATES, GOES_ON])
def test_a_step_is_terminal_only_where_an_episode_terminated(end: str) -> None:
    segment = replay_of(3, end=end).sample(100, 3, seeded(), ())
    is_last = segment.valid & (codes(segment)[..., 1] == 2)
    assert torch.equal(segment.terminated, is_last if end == TERMINATES else torch.zeros_like(is_last))


@settings(max_examples=40)
@given(script=scripts(), length=st.integers(1, 12), seed=st.integers(0, 999))
def test_padding_is_grey_and_empty(script: list[tuple[str, ...]], length: int, seed: int) -> None:
    replay = new_replay(len(script[0]))
    play(replay, script)
    for draw in (replay.sample, replay.sample_transitions):
        segment = draw(16, length, seeded(seed), PAPER)
        assert segment.valid.any(dim=1).all()
        invalid = ~segment.valid
        assert not segment.actions[invalid].any()
        assert not segment.rewards[invalid].any()
        assert not segment.terminated[invalid].any()
        real = codes(segment)[..., 2] == 255
        assert not segment.frames[~real].any()
        assert real[segment.valid].all()
    segment = replay.sample(16, length, seeded(seed), PAPER)
    assert segment.valid[:, -1].all()  # padding only before the start: once valid, valid to the end
    assert (segment.valid.long().diff(dim=1) >= 0).all()
    assert torch.equal(segment.valid, codes(segment)[..., 2] == 255)


def test_all_grey_levels_arrive_unchanged() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1).repeat(2, axis=0).repeat(3, axis=3)
    replay = Replay(4, 1, 256, 1, "cpu")
    replay.load([(0, Episode(levels, np.zeros(1, np.int64), np.zeros(1, np.float32), True, False))])
    frames = replay.sample(1, 1, seeded(), ()).frames
    assert torch.equal(to_stored(frames)[0, 0], torch.from_numpy(levels[0]))
    assert frames.min() == -1 and frames.max() == 1


def test_frames_are_a_view_in_channels_last_order() -> None:
    frames = replay_of(5).sample(2, 4, seeded(), ()).frames
    assert frames.shape == (2, 4, 3, HEIGHT, WIDTH)
    assert frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_the_seed_decides_the_batch() -> None:
    replay = replay_of(20, 30, 10, 40)
    assert_equal(replay.sample(8, 4, seeded(1), PAPER), replay.sample(8, 4, seeded(1), PAPER))
    assert not torch.equal(replay.sample(8, 4, seeded(1), PAPER).frames, replay.sample(8, 4, seeded(2), PAPER).frames)


# Collection


def test_episodes_are_numbered_in_the_order_of_their_start() -> None:
    replay = new_replay(lanes=2)
    world = World.begin(replay)
    assert world.step(replay, (GOES_ON, GOES_ON)) == []
    [(number, episode)] = world.step(replay, (GOES_ON, TERMINATES))
    assert (number, episode.num_steps) == (1, 2)
    finished = world.step(replay, (TRUNCATES, TERMINATES))
    assert [(number, episode.num_steps) for number, episode in finished] == [(0, 3), (2, 1)]
    assert [number for number, _ in replay.open_episodes()] == [3, 4]


@settings(max_examples=40)
@given(script=scripts())
def test_finished_and_open_episodes_are_what_happened(script: list[tuple[str, ...]]) -> None:
    replay = new_replay(len(script[0]), capacity=1)  # grows again and again
    for number, episode in enumerate(play(replay, script)):
        end = TERMINATES if episode.terminated else TRUNCATES if episode.truncated else GOES_ON
        expected = coded_episode(number, episode.num_steps, end)
        assert np.array_equal(episode.frames, expected.frames)
        assert np.array_equal(episode.actions, expected.actions)
        assert np.array_equal(episode.rewards, expected.rewards)


@settings(max_examples=40)
@given(script=scripts())
def test_counts(script: list[tuple[str, ...]]) -> None:
    replay = new_replay(len(script[0]))
    episodes = play(replay, script)
    rewards = np.concatenate([episode.rewards for episode in episodes])
    assert replay.num_steps == len(rewards) == len(script) * len(script[0])
    assert replay.num_episodes == sum(episode.num_steps > 0 for episode in episodes)
    assert replay.reward_sign_counts() == ((rewards < 0).sum(), (rewards == 0).sum(), (rewards > 0).sum())


def test_an_environment_may_reuse_its_buffers() -> None:
    replay = new_replay()
    frames, action, reward = coded_frame(0, 0)[None], np.zeros(1, np.int64), np.ones(1, np.float32)
    no, yes = np.zeros(1, bool), np.ones(1, bool)
    replay.begin(frames)
    replay.add(action, reward, no, no, frames, frames)
    [(_, episode)] = replay.add(action, reward, yes, no, frames, frames)
    before = episode.frames.copy()
    frames[:] = 77
    replay.add(action, reward, no, no, frames, frames)
    assert np.array_equal(episode.frames, before)
    assert (codes(replay.sample(50, 1, seeded(), ()))[..., 1] != 77).all()


def test_finished_episodes_are_copies() -> None:
    replay = new_replay()
    world = World.begin(replay)
    [(_, episode)] = world.step(replay, (TERMINATES,))
    episode.frames[:], episode.actions[:], episode.rewards[:] = 77, 77, 77
    expected = reference_sample([coded_episode(0, 1, TERMINATES)], 4, 3, 0, PAPER, transitions=True)
    assert_equal(replay.sample_transitions(4, 3, seeded(), PAPER), expected)


def test_read_only_arrays_are_welcome() -> None:
    replay = new_replay()
    frame = coded_frame(0, 0)[None]
    frame.flags.writeable = False
    replay.begin(frame)
    replay.add(np.zeros(1, np.int64), np.zeros(1, np.float32), np.zeros(1, bool), np.zeros(1, bool), frame, frame)
    assert replay.num_steps == 1


@pytest.mark.parametrize("lanes", [1, 8])
def test_the_paper_s_run_fits_into_the_promised_memory(lanes: int) -> None:
    assert Replay(100_000, 64, 64, lanes, "meta").memory_bytes <= 1.5e9


def test_growth_keeps_what_was_there() -> None:
    small, large = new_replay(2, capacity=1), new_replay(2, capacity=1000)
    script = [(TERMINATES if step % 7 == 3 else GOES_ON, GOES_ON) for step in range(60)]
    play(small, script)
    play(large, script)
    assert small.memory_bytes < large.memory_bytes
    assert_equal(small.sample(64, 5, seeded(), PAPER), large.sample(64, 5, seeded(), PAPER))


# Saving and loading


@settings(max_examples=40)
@given(script=scripts(), more=scripts(), seed=st.integers(0, 999))
def test_after_a_load_everything_goes_on_as_before(
    script: list[tuple[str, ...]], more: list[tuple[str, ...]], seed: int
) -> None:
    lanes = len(script[0])
    original, restored = new_replay(lanes), new_replay(lanes, capacity=1)
    world, finished = World.begin(original), []
    for ends in script:
        finished += world.step(original, ends)
    restored.load(iter(finished), original.open_episodes())
    for ends in more:
        ends = (ends * 3)[:lanes]
        assert restored.num_steps == original.num_steps
        assert restored.num_episodes == original.num_episodes
        assert restored.reward_sign_counts() == original.reward_sign_counts()
        for name in ("sample", "sample_transitions"):
            assert_equal(
                getattr(restored, name)(8, 4, seeded(seed), PAPER), getattr(original, name)(8, 4, seeded(seed), PAPER)
            )
        twin = World(world.lanes, world.numbers[:], world.places[:], world.started)
        ended, ended_again = world.step(original, ends), twin.step(restored, ends)
        assert [number for number, _ in ended] == [number for number, _ in ended_again]


def test_a_replay_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    folder, original, restored = EpisodeFolder(tmp_path), new_replay(2), new_replay(2)
    world = World.begin(original)
    for step in range(40):
        ends = (TERMINATES if step % 5 == 4 else GOES_ON, TRUNCATES if step % 9 == 8 else GOES_ON)
        for number, episode in world.step(original, ends):
            folder.write(number, episode)
    restored.load(((number, folder.read(number)) for number in folder.indices()), original.open_episodes())
    assert_equal(restored.sample(64, 5, seeded(), PAPER), original.sample(64, 5, seeded(), PAPER))


def test_loading_needs_no_more_room_than_collecting() -> None:
    """One lane plays a single long episode while the others finish many; a load has to leave room for it."""
    original, restored = new_replay(3, capacity=120), new_replay(3, capacity=120)
    world, finished = World.begin(original), []
    for step in range(40):
        end = TERMINATES if step % 10 == 9 else GOES_ON
        finished += world.step(original, (GOES_ON, end, end))
    restored.load(finished, original.open_episodes())
    assert restored.memory_bytes == original.memory_bytes


def test_a_static_dataset_needs_no_environment_and_may_have_gaps() -> None:
    replay = new_replay()
    replay.load([(9, coded_episode(9, 3, TERMINATES)), (4, coded_episode(4, 2, TRUNCATES))])
    assert (replay.num_episodes, replay.num_steps) == (2, 5)
    assert set(codes(replay.sample(200, 1, seeded(), (1.0, 0.0)))[..., 0].flatten().tolist()) == {4}
    replay.begin(coded_frame(10, 0)[None])
    assert [number for number, _ in replay.open_episodes()] == [10]


# Misuse


def test_an_empty_replay_cannot_be_sampled() -> None:
    replay = new_replay()
    World.begin(replay)
    with pytest.raises(DataError, match="the replay is empty: collect"):
        replay.sample(2, 3, seeded(), PAPER)


def test_steps_need_a_beginning_and_only_one() -> None:
    replay = new_replay()
    with pytest.raises(DataError, match="no episode is open"):
        World(1, [0], [0], 1).step(replay, (GOES_ON,))
    World.begin(replay)
    with pytest.raises(DataError, match="1 episodes are open: begin only once"):
        World.begin(replay)


def test_frames_of_another_size_or_number_are_refused() -> None:
    with pytest.raises(DataError, match=r"frames must be \(2, 3, 3\)"):
        new_replay().begin(np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="give 2 of uint8"):
        new_replay(lanes=2).begin(np.zeros((3, HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(DataError, match=r"episode 0 .* frames must be \(4, 4, 3\)"):
        Replay(5, 4, 4, 1, "cpu").load([(0, coded_episode(0, 2, TERMINATES))])


def test_a_reward_that_is_no_number_is_refused() -> None:
    replay = new_replay()
    World.begin(replay)
    frame, no = coded_frame(0, 1)[None], np.zeros(1, bool)
    with pytest.raises(DataError, match=r"rewards are \[nan\]"):
        replay.add(np.zeros(1, np.int64), np.array([np.nan], np.float32), no, no, frame, frame)
    assert replay.num_steps == 0


def test_a_load_that_does_not_fit_is_refused() -> None:
    done, going = coded_episode(0, 2, TERMINATES), coded_episode(1, 2, GOES_ON)
    with pytest.raises(DataError, match="the replay holds 1 episodes"):
        replay_of(2).load([(0, done)])
    with pytest.raises(DataError, match="1 open episodes for 2 environments"):
        new_replay(lanes=2).load([(0, done)], [(1, going)])
    with pytest.raises(DataError, match="has already ended"):
        new_replay().load([], [(0, done)])
    with pytest.raises(DataError, match="two episodes have the same number"):
        new_replay().load([(1, done)], [(1, going)])


@pytest.mark.gpu
def test_a_gpu_samples_what_a_cpu_samples() -> None:
    script = [(TERMINATES if step % 7 == 3 else GOES_ON, GOES_ON) for step in range(60)]
    cpu, gpu = new_replay(2), Replay(30, HEIGHT, WIDTH, 2, "cuda")
    play(cpu, script)
    play(gpu, script)
    for name in ("sample", "sample_transitions"):
        segment = getattr(gpu, name)(64, 5, seeded(), PAPER)
        moved = Segment(**{field: getattr(segment, field).cpu() for field in FIELDS})
        expected = getattr(cpu, name)(64, 5, seeded(), PAPER)
        torch.testing.assert_close(moved.frames, expected.frames, rtol=0, atol=1e-6)
        for field in FIELDS[1:]:
            assert torch.equal(getattr(moved, field), getattr(expected, field))
