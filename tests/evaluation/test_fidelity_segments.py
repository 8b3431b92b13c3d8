"""How far the dream strays from the real game: stretches that are whole, and errors that are known."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from dreams import ACTIONS, drawn_world, keep_frame, random_segment, random_world, uneventful
from hypothesis import given
from hypothesis import strategies as st
from scripted_games import ScriptedMaker
from torch import Tensor

from diamond.agents.policies import RandomPolicy
from diamond.agents.recording import Recording, held_out_segments, record
from diamond.config import EnvConfig
from diamond.errors import DataError
from diamond.evaluation.fidelity.segments import dream_errors
from diamond.evaluation.image_metrics import MOVED, moved_error
from diamond.experience.frames import to_network, to_stored
from diamond.experience.segments import HeldOut
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.open_loop import open_loop, predictor
from diamond.imagination.world import WorldModel, draw_noise

CPU = torch.device("cpu")
CONTEXT, AHEAD, SIZE = 2, 3, 8


def shift(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The real game here: frames (s h w 3) move left, stay or move right by one pixel (actions 0, 1, 2)."""
    return np.stack([np.roll(frame, action - 1, axis=1) for frame, action in zip(frames, actions, strict=True)])


def shift_dream(frames: Tensor, actions: Tensor) -> Tensor:
    """The same in the dream."""
    return torch.stack([f[-1].roll(int(a[-1]) - 1, dims=-1) for f, a in zip(frames, actions, strict=True)])


def played(count: int = 6) -> HeldOut:
    """Real games of the shifting kind, each with its own actions."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)]
    actions = rng.integers(ACTIONS, size=(count, CONTEXT + AHEAD - 1))
    # Neighbours, whose actions are exchanged, differ in the first step; not all stand still.
    actions[:, CONTEXT - 1] = np.arange(count) % 2 * 2
    for t in range(CONTEXT + AHEAD - 1):
        frames.append(shift(frames[-1], actions[:, t]))
    return HeldOut(np.stack(frames, axis=1), actions)


def errors(world: WorldModel, held_out: HeldOut, horizons: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    return dream_errors(world, held_out, CONTEXT, seed=0, device=CPU, horizons=horizons)


# Recording


def test_a_recording_is_what_was_played() -> None:
    """Frames of the scripted games count their steps: each action stands beside the frame it was taken in."""
    env = ScriptedMaker(length=lambda seed: 3)(EnvConfig(), 2, training=False)
    recording = record(env, RandomPolicy(3, np.random.default_rng(0)), steps=7, seed=0)
    assert recording.frames.shape == (7, 2, 2, 3, 3)
    assert recording.frames[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert recording.ended[:, 0].tolist() == [False, False, True, False, False, True, False]
    again = RandomPolicy(3, np.random.default_rng(0))
    assert recording.actions.tolist() == [again.act(frames).tolist() for frames in recording.frames]


def test_the_policy_is_told_of_ends() -> None:
    class Listening(RandomPolicy):
        def reset(self, ended: np.ndarray) -> None:
            heard.append(ended.tolist())

    heard: list[list[bool]] = []
    env = ScriptedMaker(length=lambda seed: 2)(EnvConfig(), 1, training=False)
    record(env, Listening(3, np.random.default_rng(0)), steps=4, seed=0)
    assert heard == [[False], [True], [False], [True]]


# Held-out stretches


def tagged(ended: np.ndarray, source: int = 0) -> Recording:
    """A recording whose pixels tell where they are from: (source, lane, game number), and whose actions tell when."""
    steps, lanes = ended.shape
    game = np.concatenate((np.zeros((1, lanes), int), ended.cumsum(axis=0)[:-1]))
    frames = np.zeros((steps, lanes, 1, 1, 3), np.uint8)
    frames[..., 0, 0, 0] = source
    frames[..., 0, 0, 1] = np.arange(lanes)
    frames[..., 0, 0, 2] = game
    return Recording(frames, np.arange(steps)[:, None].repeat(lanes, axis=1), ended)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
def test_stretches_are_cut_from_whole_games(seed: int, steps: int, lanes: int, context: int, ahead: int) -> None:
    """No game ends inside one, steps follow each other; where no game is long enough, that is said."""
    rng = np.random.default_rng(seed)
    recording = tagged(rng.random((steps, lanes)) < 0.2)
    length = context + ahead
    # A game that ends with step t has shown its last recorded frame at t; the next game's begins at t + 1.
    games = recording.frames[:, :, 0, 0, 2]
    longest = max(np.bincount(games[:, lane]).max() for lane in range(lanes))
    if longest < length:
        with pytest.raises(DataError, match=f"{length} steps"):
            held_out_segments([recording], context, ahead, 4, rng)
        return
    held_out = held_out_segments([recording], context, ahead, 4, rng)
    assert len(held_out) == 4
    assert held_out.frames.shape == (4, length, 1, 1, 3)
    assert held_out.actions.shape == (4, length - 1)
    for frames, actions in zip(held_out.frames, held_out.actions, strict=True):
        assert (frames == frames[0]).all(), "one lane, one game"
        start, lane = actions[0], frames[0, 0, 0, 1]
        assert actions.tolist() == list(range(start, start + length - 1))
        assert games[start, lane] == frames[0, 0, 0, 2], "frames and actions of the same moment"


def test_every_place_counts() -> None:
    """Every place where one fits is used, before any is used twice."""
    recording = tagged(np.zeros((7, 2), bool))
    held_out = held_out_segments([recording], 2, 3, 6, np.random.default_rng(0))
    assert {(int(a[0]), int(f[0, 0, 0, 1])) for f, a in zip(held_out.frames, held_out.actions, strict=True)} == {
        (start, lane) for start in range(3) for lane in range(2)
    }


@pytest.mark.parametrize(("count", "shares"), [(6, [3, 3]), (7, [4, 3]), (1, [1, 0])])
def test_recordings_have_equal_shares(count: int, shares: list[int]) -> None:
    """Also when one is longer; places are used again where they are few."""
    recordings = [tagged(np.zeros((steps, 1), bool), source) for source, steps in enumerate((30, 5))]
    held_out = held_out_segments(recordings, 2, 3, count, np.random.default_rng(0))
    assert np.bincount(held_out.frames[:, 0, 0, 0, 0], minlength=2).tolist() == shares


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_recording_may_be_too_short(steps: int) -> None:
    with pytest.raises(DataError, match="no stretch of 5 steps"):
        held_out_segments([tagged(np.zeros((steps, 2), bool))], 2, 3, 1, np.random.default_rng(0))


# Dreaming on


@torch.no_grad()
def test_open_loop_is_the_dream_step_by_step() -> None:
    """The context's actions first, then one given action a step; what follows in the real game is never seen."""
    world, chance = random_world(), torch.Generator().manual_seed(0)
    segment = random_segment(chance, 3)
    context = to_stored(segment.frames).numpy()
    actions = np.array([[0, 1, 2, 2, 1], [1, 1, 0, 0, 2], [2, 0, 1, 2, 0]])
    dreamed = open_loop(predictor(world, torch.Generator().manual_seed(7)), context, actions, CPU)
    assert dreamed.shape == (3, 2, 16, 16, 3)
    generator = torch.Generator().manual_seed(7)
    moves = torch.tensor(actions)
    state = begin(world, dataclasses.replace(segment, frames=to_network(torch.tensor(context)), actions=moves[:, :4]))
    for t in range(2):
        noise = draw_noise(state.frames[:, 0].shape, world.sampler_cfg, generator)
        state, step = dream_step(world, state, moves[:, 3 + t], noise)
        assert np.array_equal(dreamed[:, t], to_stored(step.frame).numpy())


def test_one_frame_of_context_is_enough() -> None:
    world = drawn_world(shift_dream, uneventful)
    context = played().frames[:, :1]
    dreamed = open_loop(predictor(world, torch.Generator()), context, np.full((6, 2), 2), CPU)
    assert np.array_equal(dreamed[:, 1], np.roll(context[:, 0], 2, axis=2))


# Errors


def test_a_perfect_dream_has_no_error() -> None:
    held_out = played()
    found = errors(drawn_world(shift_dream, uneventful), held_out)
    assert found["dream"] == {"mean": [0, 0, 0], "low": [0, 0, 0], "high": [0, 0, 0]}
    assert min(found["shuffled"]["mean"]) > 10, "other actions lead elsewhere"
    assert found["horizons"] == [1, 2, 3]
    assert found["seed"] == 0


def test_repeating_the_last_frame_by_hand() -> None:
    held_out = played()
    found = errors(drawn_world(shift_dream, uneventful), held_out)
    for column, horizon in enumerate((1, 2, 3)):
        each = []
        for frames in held_out.frames.astype(int):
            start, truth = frames[CONTEXT - 1], frames[CONTEXT - 1 + horizon]
            pixels = [(y, x) for y in range(SIZE) for x in range(SIZE) if max(abs(start - truth)[y, x]) > MOVED]
            if pixels:
                each.append(np.mean([abs(start - truth)[y, x] for y, x in pixels]))
        assert found["num_segments"][column] == len(each)
        assert found["repeat"]["mean"][column] == pytest.approx(np.mean(each))
        assert found["repeat"]["low"][column] < np.mean(each) < found["repeat"]["high"][column]


def test_a_frozen_dream_is_the_repeated_frame() -> None:
    """And it does not care for actions."""
    found = errors(drawn_world(keep_frame, uneventful), played())
    assert found["dream"] == found["repeat"] == found["shuffled"]
    nothing = {"mean": [0, 0, 0], "low": [0, 0, 0], "high": [0, 0, 0]}
    assert found["gain"] == {"repeat": nothing, "shuffled": nothing}


def test_shuffling_exchanges_only_what_is_done_after_the_start() -> None:
    """Equal actions from the start on, different ones before: exchanging them changes nothing."""
    held_out = played()
    held_out.actions[:, CONTEXT - 1 :] = [0, 2, 2]

    def remember(frames: Tensor, actions: Tensor) -> Tensor:
        return frames[:, -1] * 0 + actions[:, 0, None, None, None] / 4

    found = errors(drawn_world(remember, uneventful), held_out)
    assert found["dream"] == found["shuffled"]


def test_each_segment_takes_the_next_ones_actions() -> None:
    """A dream that only shows its action: its errors under shuffled actions are known."""
    held_out = played(count=3)
    held_out.actions[:, CONTEXT - 1] = [0, 1, 2]

    def show(frames: Tensor, actions: Tensor) -> Tensor:
        return frames[:, -1] * 0 + (actions[:, -1, None, None, None] * 100 / 127.5 - 1)

    held_out.frames[:, CONTEXT - 1] = 50
    held_out.frames[:, CONTEXT] = np.array([0, 100, 200])[:, None, None, None]
    found = errors(drawn_world(show, uneventful), held_out, horizons=(1,))
    assert found["dream"]["mean"] == [0]
    assert found["shuffled"]["mean"] == [pytest.approx((200 + 100 + 100) / 3)]


def test_the_gain_is_paired() -> None:
    """A dream off by 5 everywhere, where the last frame is off by 40 or by 100: paired, it saves just 35 or 95."""
    held_out = played(count=2)
    held_out.frames[:, CONTEXT - 1] = 100
    held_out.frames[:, CONTEXT] = np.array([140, 200])[:, None, None, None]
    held_out.actions[:, CONTEXT - 1] = [0, 1]

    def nearly(frames: Tensor, actions: Tensor) -> Tensor:
        return frames[:, -1] * 0 + (145 + 60 * actions[:, -1, None, None, None]) / 127.5 - 1

    gain = errors(drawn_world(nearly, uneventful), held_out, horizons=(1,))["gain"]
    assert gain["repeat"] == {"mean": [65], "low": [35], "high": [95]}
    assert gain["shuffled"]["mean"] == [pytest.approx((65 + 55) / 2 - 5)]


def still(change: int, colour: int = 0) -> HeldOut:
    """One segment where a single pixel changes by some grey levels in one colour, right after the start."""
    frames = np.full((1, CONTEXT + AHEAD, SIZE, SIZE, 3), 100, np.uint8)
    frames[:, CONTEXT:, 3, 4, colour] += change
    return HeldOut(frames, np.zeros((1, CONTEXT + AHEAD - 1), np.int64))


@pytest.mark.parametrize("colour", range(3))
def test_what_counts_as_moved(colour: int) -> None:
    """More than 8 grey levels in any colour; smaller changes, and segments without larger ones, are left out."""
    world = drawn_world(keep_frame, uneventful)
    found = errors(world, still(MOVED + 1, colour))
    assert found["num_segments"] == [1, 1, 1]
    assert found["repeat"]["mean"] == [(MOVED + 1) / 3] * 3
    nothing = errors(world, still(MOVED, colour))
    assert nothing["num_segments"] == [0, 0, 0]
    assert nothing["repeat"] == {"mean": [None] * 3, "low": [None] * 3, "high": [None] * 3}


def test_only_moved_pixels_count() -> None:
    truth = np.zeros((2, 2, 2, 3), np.uint8)
    frames = truth.copy()
    frames[0, 0, 0] = [3, 6, 9]
    frames[0, 1, 1] = 255
    frames[1] = 10
    moved = np.zeros((2, 2, 2), bool)
    moved[0, 0] = True
    moved[1] = True
    assert moved_error(frames, truth, moved).tolist() == [3, 10]


def test_differences_do_not_wrap_around() -> None:
    """Bytes would: 0 - 255 is 1 in them."""
    black, white = np.zeros((1, 1, 1, 3), np.uint8), np.full((1, 1, 1, 3), 255, np.uint8)
    everything = np.ones((1, 1, 1), bool)
    assert moved_error(black, white, everything).tolist() == moved_error(white, black, everything).tolist() == [255]


def test_errors_are_a_function_of_the_seed() -> None:
    world = random_world()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 6, 16, 16, 3), dtype=np.uint8)
    held_out = HeldOut(frames, rng.integers(ACTIONS, size=(4, 5)))
    first, again, other = (dream_errors(world, held_out, 4, seed, CPU, (1, 2)) for seed in (1, 1, 2))
    assert first == again
    assert first["dream"] != other["dream"]
    assert first["repeat"]["mean"] == other["repeat"]["mean"]
