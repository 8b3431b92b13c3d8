"""What the studies measure, on games and dreams drawn for it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diamond.experience.frames import to_stored
from diamond.experience.segments import HeldOut
from diamond.imagination.open_loop import open_loop
from diamond.lab.studies import denoising_steps, drift, edm_vs_ddpm, start_noise

CPU = torch.device("cpu")
GREEN = (110, 156, 66)


def counting_games(games: int, steps: int) -> HeldOut:
    """Frames of one colour that says how many steps went by: ten levels a step, wrapping, another start each game."""
    level = (10 * np.arange(steps + 1)[None] + np.arange(games)[:, None]) % 250
    frames = np.broadcast_to(level[..., None, None, None], (games, steps + 1, 8, 8, 3)).astype(np.uint8)
    return HeldOut(np.ascontiguousarray(frames), np.ones((games, steps), np.int64))


def count_on(frames: Tensor, actions: Tensor) -> Tensor:
    """Dreams the counting game as it is."""
    level = to_stored(frames[:, -1]).movedim(-1, -3).long()
    return ((level + 10 * actions[:, -1, None, None, None]) % 250) / 127.5 - 1


def stand_still(frames: Tensor, actions: Tensor) -> Tensor:
    """Dreams that nothing happens."""
    return frames[:, -1]


# Drift


def test_points_reach_from_one_step_to_the_horizon() -> None:
    assert drift.points(1) == [1]
    assert drift.points(12) == [1, 2, 3, 5, 7, 10, 12]
    assert drift.points(1_000)[-1] == 1_000
    assert drift.shown(60) == [1, 10, 50]


def test_a_perfect_dream_never_drifts_and_a_still_one_does() -> None:
    games = counting_games(3, 23)
    truth = games.frames[:, 4:]
    perfect = open_loop(count_on, games.frames[:, :4], games.actions, CPU)
    assert np.array_equal(perfect, truth)
    found = drift.measure(perfect, truth, games.frames[0], 20)
    assert found.error.shape == (3, len(drift.points(20)))
    assert not found.error.any()
    assert found.distance[0].max() == 0, "its own frames are known"
    assert found.distance[2].tolist() == [2] * len(drift.points(20)), "two levels from the nearest of them"
    still = drift.measure(open_loop(stand_still, games.frames[:, :4], games.actions, CPU), truth, games.frames[0], 20)
    assert still.error[0].tolist() == [10 * point for point in drift.points(20)]


def test_real_games_are_measured_against_each_other() -> None:
    games = counting_games(2, 13)
    found = drift.real_drift(games.frames[:, 4:], games.frames[0], 10)
    assert found.error.tolist() == [[1] * 6] * 2


# EDM against DDPM


def test_what_ddpm_drifts_more_is_compared_on_the_same_games() -> None:
    """Games differ by far more than the two kinds do; pairing makes the difference sure."""
    chance = np.random.default_rng(0)
    seeds, horizon = (3, 4, 5), 10
    base = chance.uniform(0, 100, size=(4, 6))
    parts = {
        (name, seed, n): {
            measure: (base + (7 if name == "DDPM" else 0) + seed).tolist() for measure in ("error", "distance")
        }
        for name in edm_vs_ddpm.KINDS
        for seed in seeds
        for n in edm_vs_ddpm.NUM_STEPS
    }
    real = {"error": np.ones((4, 6)).tolist(), "distance": np.zeros((4, 6)).tolist()}
    results = edm_vs_ddpm.compare(parts, real, seeds, horizon)
    for n in edm_vs_ddpm.NUM_STEPS:
        assert results["error"]["excess"][str(n)] == pytest.approx({"mean": 7, "low": 7, "high": 7, "n": 3})
    curve = results["error"]["curves"]["EDM"]["1"]
    assert curve["mean"] == pytest.approx((base.mean(axis=0) + 4).tolist(), abs=1e-3)
    assert results["real"]["error"] == [1] * 6
    assert edm_vs_ddpm.figure(results, "error").startswith(b"\x89PNG")
    assert "DDPM drifts more by 7.00 [7.00, 7.00]" in edm_vs_ddpm.summary(results)[1]


# Denoising steps


def ring(opponent: tuple[int, int], player: tuple[int, int] = (20, 18)) -> np.ndarray:
    """A boxing ring of 64x64 pixels with a black and a white square of 6 pixels, given by their upper left corners."""
    frame = np.full((64, 64, 3), GREEN, np.uint8)
    for (row, column), colour in ((player, 214), (opponent, 0)):
        frame[row : row + 6, column : column + 6] = colour
    return frame


def test_boxers_are_found_by_their_colours_inside_the_ring() -> None:
    frame = ring((30, 40))
    frame[:5] = 0  # the scoreboard is as dark as the opponent
    found = denoising_steps.boxers(frame[None])
    assert found["opponent"].sum() == found["player"].sum() == 36
    assert found["opponent"][0, 30:36, 40:46].all()
    assert found["player"][0, 20:26, 18:24].all()
    near = denoising_steps.surroundings(frame[None])["opponent"][0]
    assert near.sum() == (6 + 2 * denoising_steps.MARGIN) ** 2


def test_pixels_near_both_boxers_belong_to_neither() -> None:
    near = denoising_steps.surroundings(ring((20, 25))[None])  # one column of green between them
    assert not (near["opponent"] & near["player"]).any()


def test_the_mean_of_two_places_blurs_the_opponent_alone() -> None:
    """The expected frame where the opponent may step left or right: half of him in each place, the player as he is."""
    ahead = denoising_steps.POINTS[-1]
    truth = np.stack([ring((30, 36))] * ahead)[None].repeat(2, axis=0)
    left, right = (ring((30, column)).astype(float) for column in (33, 39))
    blurred = np.stack([((left + right) / 2).astype(np.uint8)] * ahead)[None].repeat(2, axis=0)
    sharp, dull = (denoising_steps.measure(dream, truth, 2) for dream in (truth, blurred))
    assert all(np.allclose(values, 1) for values in sharp.values())
    assert np.allclose(dull["sharpness player"], 1)
    assert (dull["sharpness opponent"] < 0.8).all()
    assert not dull["pixels opponent"].any(), "no pixel is dark enough any more"
    assert np.allclose(dull["pixels player"], 1)

    parts = {1: [{k: v.tolist() for k, v in dull.items()}] * 3, 3: [{k: v.tolist() for k, v in sharp.items()}] * 3}
    results = denoising_steps.compare(parts)
    assert results["only_the_unpredictable"]["low"] > 0.2
    assert results["sharpness"]["player"]["three_minus_one"]["mean"] == pytest.approx(0, abs=1e-9)
    assert denoising_steps.figure(results).startswith(b"\x89PNG")
    assert len(denoising_steps.summary(results)) == 4


def test_moments_keep_frames_and_actions_together() -> None:
    games = counting_games(2, 60)
    context, future, actions = denoising_steps.moments(games, 4)
    assert len(context) % 2 == 0
    assert actions.shape == (len(context), 3 + denoising_steps.POINTS[-1])
    step = future[:, 0, 0, 0, 0].astype(int) - context[:, -1, 0, 0, 0]
    assert set(step % 250) == {10}


# Start noise


def test_every_choice_is_tried_once_and_the_published_one_is_among_them() -> None:
    names = [choice.name for choice in start_noise.CHOICES]
    assert len(set(names)) == len(names) == 15
    published = start_noise.PUBLISHED.sampler
    assert (published.num_steps, published.sigma_max, published.initial_noise_std) == (3, 5.0, 1.0)
    matched = [choice.sampler for choice in start_noise.CHOICES if choice.matched]
    assert all(sampler.initial_noise_std == sampler.sigma_max for sampler in matched)


def test_errors_are_counted_where_something_moved() -> None:
    games = counting_games(2, 123)
    errors = start_noise.measure(stand_still, games, 4, 15, CPU)
    assert errors["moved"].tolist() == errors["all"].tolist() == [[10, 20, 50, 100, 150]] * 2
    assert not any(values.any() for values in start_noise.measure(count_on, games, 4, 15, CPU).values())


def test_what_a_choice_saves_is_against_the_published_one() -> None:
    better = start_noise.CHOICES[0]
    parts = {
        choice: [{name: [[3.0 if choice == better else 5.0] * 2] * 4 for name in start_noise.MEASURES}] * 3
        for choice in start_noise.CHOICES
    }
    results = start_noise.compare(parts, [1, 2])
    assert results["moved"]["saved"][better.name] == {"mean": 2, "low": 2, "high": 2, "n": 3}
    assert results["all"]["saved"][start_noise.PUBLISHED.name]["mean"] == 0
    assert start_noise.figure(results, "moved").startswith(b"\x89PNG")
