"""Whole games are counted without favouring the short ones, and played as the protocol says."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorEnv
from hypothesis import given
from hypothesis import strategies as st
from scripted_games import ScriptedGame, ScriptedMaker

from diamond.agents.policies import ConstantPolicy, RandomPolicy
from diamond.config import EnvConfig
from diamond.envs import RealEnv
from diamond.evaluation.scores import (
    GameScores,
    evaluate_agent,
    evaluate_policy,
    metrics_row,
    play_games,
    quotas,
    summarise,
)

CPU = torch.device("cpu")


def scripted_env(lengths: Sequence[Sequence[int]], max_episode_steps: int = 1_000) -> RealEnv:
    """Environment i plays games of the given lengths, over and over; every step pays 1."""

    def game(own: Sequence[int]) -> ScriptedGame:
        played = iter(range(10_000))
        return ScriptedGame(lambda seed: own[next(played) % len(own)], lambda action: 1.0)

    games = [game(own) for own in lengths]
    return RealEnv("scripted", games, height=2, width=3, max_episode_steps=max_episode_steps)


@given(num_games=st.integers(0, 500), num_envs=st.integers(1, 40))
def test_quotas_share_the_games_as_equally_as_can_be(num_games: int, num_envs: int) -> None:
    shares = quotas(num_games, num_envs)
    assert shares.sum() == num_games
    assert shares.max() - shares.min() <= 1
    assert (np.diff(shares) <= 0).all()


def test_the_first_games_of_each_environment_count() -> None:
    """Environment 0 plays four games while environment 1 is still in its first: the two extra ones are not counted."""
    scores = play_games(scripted_env([[2], [8, 3]]), ConstantPolicy(0), 4, seed=0)
    assert scores.lengths.tolist() == [2, 2, 8, 3]
    assert scores.returns.tolist() == [2.0, 2.0, 8.0, 3.0]
    assert scores.environments.tolist() == [0, 0, 1, 1]
    assert not scores.capped.any()


def test_the_remainder_goes_to_the_first_environments() -> None:
    scores = play_games(scripted_env([[1], [2], [3]]), ConstantPolicy(0), 5, seed=0)
    assert scores.lengths.tolist() == [1, 1, 2, 2, 3]


def test_environments_without_a_quota_are_not_counted() -> None:
    scores = play_games(scripted_env([[4], [1], [1]]), ConstantPolicy(0), 1, seed=0)
    assert scores.lengths.tolist() == [4]


def test_short_games_are_not_favoured() -> None:
    """Half the games last 1 step and pay 1, half last 19 and pay 19: the true mean is 10.

    The first 64 games to finish would be short ones nearly all.
    """
    maker = ScriptedMaker(length=lambda seed: 1 if seed % 2 else 19, pay=lambda action: 1.0)
    scores = evaluate_policy(EnvConfig(), lambda env: ConstantPolicy(0), 64, num_envs=16, seed=3, make_env=maker)
    standard_error = 9 / np.sqrt(64)
    assert scores.returns.mean() == pytest.approx(10, abs=2.5 * standard_error)


def test_the_step_cap_is_passed_on_and_reported() -> None:
    maker = ScriptedMaker(length=lambda seed: 30, pay=lambda action: 1.0)
    scores = evaluate_policy(
        EnvConfig(max_episode_steps=100),
        lambda env: ConstantPolicy(0),
        3,
        num_envs=2,
        seed=0,
        max_episode_steps=7,
        make_env=maker,
    )
    assert scores.lengths.tolist() == [7, 7, 7]
    assert scores.capped.all()
    assert scores.max_episode_steps == 7
    assert summarise(scores, "Breakout")["capped"] == 3


def test_evaluation_plays_whole_games_in_no_more_environments_than_games() -> None:
    maker = ScriptedMaker()
    evaluate_policy(EnvConfig(), lambda env: ConstantPolicy(0), 3, num_envs=8, seed=0, make_env=maker)
    ((_, num_envs, training),) = maker.calls
    assert (num_envs, training) == (3, False)
    assert maker.closed == 1


def test_environments_are_closed_when_a_policy_fails() -> None:
    maker = ScriptedMaker()

    def broken(env: VectorEnv) -> ConstantPolicy:
        raise RuntimeError("no policy")

    with pytest.raises(RuntimeError, match="no policy"):
        evaluate_policy(EnvConfig(), broken, 1, num_envs=1, seed=0, make_env=maker)
    assert maker.closed == 1


def test_the_first_game_is_recorded_to_its_true_last_frame() -> None:
    scores = play_games(scripted_env([[3, 9], [5]]), ConstantPolicy(0), 4, seed=0, record_frames=100)
    assert scores.first_game is not None
    assert scores.first_game[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_a_recording_is_cut_where_it_was_told() -> None:
    scores = play_games(scripted_env([[30]]), ConstantPolicy(0), 1, seed=0, record_frames=4)
    assert scores.first_game is not None
    assert scores.first_game[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert play_games(scripted_env([[3]]), ConstantPolicy(0), 1, seed=0).first_game is None


def test_progress_is_told_after_every_step() -> None:
    told: list[tuple[int, int]] = []
    play_games(scripted_env([[2], [3]]), ConstantPolicy(0), 2, seed=0, progress=lambda *now: told.append(now))
    assert told == [(0, 2), (1, 2), (2, 2)]


class CountingAgent:
    """An agent whose recurrent state counts the steps of its game, and which checks that against the frame."""

    def initial_state(self, batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(batch, 1, device=device), torch.zeros(batch, 2, device=device)

    def __call__(
        self, frames: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        steps = ((frames[:, 0, 0, 0] + 1) * 127.5).round()
        assert torch.equal(steps, state[0][:, 0])
        assert torch.equal(steps, state[1][:, 0])
        return torch.zeros(len(frames), 3), torch.zeros(len(frames)), (state[0] + 1, state[1] + 1)


def test_a_new_game_starts_with_an_empty_mind_and_others_keep_theirs() -> None:
    """`CountingAgent` fails if the state of a game is not its age, in any environment at any step."""
    maker = ScriptedMaker(length=lambda seed: 1 + seed % 9)
    scores = evaluate_agent(EnvConfig(), CountingAgent(), 12, num_envs=4, seed=0, device=CPU, make_env=maker)
    assert len(scores.returns) == 12


def test_a_seed_decides_everything() -> None:
    def play(seed: int) -> GameScores:
        maker = ScriptedMaker(length=lambda seed: 1 + seed % 9)
        return evaluate_agent(EnvConfig(), CountingAgent(), 12, num_envs=4, seed=seed, device=CPU, make_env=maker)

    first, again, other = play(1), play(1), play(2)
    assert first.returns.tolist() == again.returns.tolist()
    assert first.lengths.tolist() == again.lengths.tolist()
    assert first.returns.tolist() != other.returns.tolist()
    assert summarise(first, "Pong") == summarise(again, "Pong")


def test_a_summary_is_plain_json_and_tells_how_it_came_about() -> None:
    policy = RandomPolicy(3, np.random.default_rng(0))
    scores = dataclasses.replace(play_games(scripted_env([[2], [4]]), policy, 4, seed=9), max_episode_steps=1_000)
    summary = json.loads(json.dumps(summarise(scores, "Breakout")))
    assert summary["mean"] == 3.0
    assert summary["low"] <= 3.0 <= summary["high"]
    assert (summary["n"], summary["seed"], summary["num_envs"], summary["capped"]) == (4, 9, 2, 0)
    assert (summary["mode"], summary["max_episode_steps"]) == ("random", 1_000)
    assert summary["returns"] == summary["lengths"] == [2, 2, 4, 4]
    assert summary["human_normalised"] == pytest.approx((3.0 - 1.7) / (30.5 - 1.7))
    assert summary["human_normalised_low"] <= summary["human_normalised"] <= summary["human_normalised_high"]


def test_metrics_of_an_evaluation() -> None:
    scores = play_games(scripted_env([[2], [4]]), ConstantPolicy(0), 2, seed=0)
    row = metrics_row(summarise(scores, "Breakout"))
    assert row["evaluation/return_mean"] == row["evaluation/length_mean"] == 3.0
    assert row["evaluation/episodes"] == 2
    assert "evaluation/human_normalised" in row
    assert "evaluation/human_normalised" not in metrics_row(summarise(scores, "diamond/Catch-v0"))


def test_the_real_catch_game_has_its_known_scores() -> None:
    """Standing still catches 2 of 8 columns: a mean return of -0.5; every game lasts 12 steps."""
    cfg = EnvConfig(id="diamond/Catch-v0", height=16, width=16)
    scores = evaluate_policy(cfg, lambda env: ConstantPolicy(1), 200, num_envs=8, seed=0)
    assert set(scores.returns.tolist()) == {-1.0, 1.0}
    assert (scores.lengths == 12).all()
    assert scores.returns.mean() == pytest.approx(-0.5, abs=0.2)
