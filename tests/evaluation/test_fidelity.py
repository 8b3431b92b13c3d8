"""How far a dream can be trusted: known games, known dreams, known numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from dreams import ACTIONS, Rate, drawn_world, keep_frame, uneventful
from hypothesis import given
from hypothesis import strategies as st
from scripted_games import ScriptedMaker
from torch import Tensor

from diamond.agents.policies import RandomPolicy
from diamond.config import EnvConfig
from diamond.errors import ConfigError, DataError
from diamond.evaluation.fidelity import on_its_own
from diamond.evaluation.fidelity.actions import dream_branches, sensitivity
from diamond.evaluation.fidelity.compare import by_game, compare, over_games
from diamond.evaluation.fidelity.games import (
    GameSet,
    WholeGame,
    contexts_of,
    digest,
    draw_moments,
    open_games,
    play_whole,
    real_branches,
    recorded_games,
    with_familiar,
)
from diamond.evaluation.fidelity.on_its_own import curves, dream_games
from diamond.evaluation.fidelity.one_step import TRANSITIONS, judge, next_frames
from diamond.evaluation.fidelity.plan import Plan
from diamond.evaluation.image_metrics import differs, most_psnr
from diamond.experience.episodes import Episode, EpisodeFolder, Origin
from diamond.imagination.open_loop import dream_on, open_loop, predictor
from diamond.imagination.world import WorldModel

CPU = torch.device("cpu")
CONTEXT, SIZE, GAMES = 2, 8, 12
CATCH = EnvConfig(id="diamond/Catch-v0", height=16, width=16)
FEW = "record at least 10"


def shift_dream(frames: Tensor, actions: Tensor) -> Tensor:
    """A frame moves left, stays or moves right by one pixel (actions 0, 1, 2)."""
    return torch.stack([f[-1].roll(int(a[-1]) - 1, dims=-1) for f, a in zip(frames, actions, strict=True)])


def shifting(steps: int, seed: int) -> WholeGame:
    """A real game of that kind under random actions, ended by its last step."""
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)]
    actions = rng.integers(ACTIONS, size=steps)
    for action in actions:
        frames.append(np.roll(frames[-1], action - 1, axis=1))
    ended = np.arange(steps) == steps - 1
    rewards = np.zeros(steps, np.float32)
    return WholeGame(np.stack(frames), actions, rewards, terminated=True, truncated=False, ended=ended)


def games_of(lengths: list[int]) -> GameSet:
    return GameSet("agent", tuple(shifting(steps, seed) for seed, steps in enumerate(lengths)))


def perfect() -> WorldModel:
    return drawn_world(shift_dream, uneventful)


def frozen() -> WorldModel:
    return drawn_world(keep_frame, uneventful)


def predict(world: WorldModel) -> object:
    return predictor(world, torch.Generator().manual_seed(0))


# Whole games


def test_whole_games_are_played_one_in_each_environment() -> None:
    """Frames of the scripted games count their steps; a game's last frame is its own, not the next one's first."""
    lengths = iter([2, 5, 1, *[9] * 50])
    env = ScriptedMaker(length=lambda seed: next(lengths))(EnvConfig(), 3, training=True)
    games = play_whole(env, RandomPolicy(ACTIONS, np.random.default_rng(0)), seed=0)
    assert [game.frames[:, 0, 0, 0].tolist() for game in games] == [[0, 1, 2], [0, 1, 2, 3, 4, 5], [0, 1]]
    assert [game.ended.tolist() for game in games] == [[False, True], [False] * 4 + [True], [True]]
    assert [game.rewards.tolist() for game in games] == [game.actions.tolist() for game in games], "as scripted"
    assert not any(game.cut for game in games)


def test_a_game_that_is_cut_off_did_not_end() -> None:
    cfg = dataclasses.replace(EnvConfig(), max_episode_steps=4)
    env = ScriptedMaker(length=lambda seed: 100)(cfg, 2, training=True)
    for game in play_whole(env, RandomPolicy(ACTIONS, np.random.default_rng(0)), seed=0):
        assert game.cut
        assert game.ended.tolist() == [False] * 4


def test_a_lost_life_ends_no_game_but_parts_it() -> None:
    """Atari's Breakout has five lives: the termination model is to tell each loss, contexts do not reach across."""
    env = open_games(EnvConfig(game="Breakout", height=16, width=16, life_loss_ends_episode=True), 1, 400)
    try:
        (game,) = play_whole(env, RandomPolicy(env.num_actions, np.random.default_rng(0)), seed=0)
    finally:
        env.close()
    losses = np.flatnonzero(game.ended)
    assert len(losses) > 1
    assert not game.cut
    steps = set(contexts_of(game, 4))
    for loss in losses[:-1]:
        assert loss in steps, "the step that loses it is foretold"
        assert not steps & {loss + 1, loss + 2, loss + 3}
        assert loss + 4 in steps or any(loss < other <= loss + 4 for other in losses)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_moments_are_spread_over_the_games(lengths: list[int], count: int, context: int, seed: int) -> None:
    """Each game gives its share, or all it has; every moment has its context and comes once."""
    games = games_of(lengths).games
    moments = draw_moments(games, context, count, np.random.default_rng(seed))
    assert len(set(moments)) == len(moments)
    assert [t for _, t in moments] == sorted(t for _, t in moments)
    quota = -(-count // len(games))
    for number, steps in enumerate(lengths):
        mine = [t for other, t in moments if other == number]
        assert all(context - 1 <= t < steps for t in mine)
        assert len(mine) == min(quota, max(0, steps - context + 1))


def test_branches_of_the_real_game_hold_what_really_happened() -> None:
    env = open_games(CATCH, 3, 1_000)
    try:
        games = play_whole(env, RandomPolicy(env.num_actions, np.random.default_rng(0)), seed=5)
        moments = draw_moments(games, CONTEXT, 9, np.random.default_rng(0))
        branches = real_branches(env, games, moments, seed=5)
    finally:
        env.close()
    assert branches.shape == (len(moments), env.num_actions, 16, 16, 3)
    for (number, t), after in zip(moments, branches, strict=True):
        assert np.array_equal(after[games[number].actions[t]], games[number].frames[t + 1])
    assert differs(branches[:, 0], branches[:, 2]).any(axis=(1, 2)).any(), "other actions lead elsewhere"


def test_games_that_are_known_are_counted() -> None:
    games = games_of([5, 5, 6])
    known = {digest(game.frames, game.actions) for game in games.games[:2]}
    assert with_familiar(games, known).familiar == 2
    assert with_familiar(games, set()).familiar is None


def test_a_game_of_several_lives_is_known_by_its_episodes() -> None:
    """Where a lost life ends an episode, no episode holds a whole game."""
    game = shifting(6, seed=0)
    game.ended[2] = True
    lives = [digest(game.frames[:4], game.actions[:3]), digest(game.frames[3:], game.actions[3:])]
    assert with_familiar(GameSet("agent", (game,)), set(lives)).familiar == 1
    assert with_familiar(GameSet("agent", (game,)), set(lives[:1])).familiar == 0


# Numbers


def test_a_number_needs_ten_games() -> None:
    values = np.arange(11.0)
    values[3] = np.nan
    found = over_games(values, seed=0)
    assert found is not None
    assert (found["mean"], found["n"]) == (pytest.approx(5.2), 10)
    assert found["low"] < found["mean"] < found["high"]
    assert over_games(values[:10], seed=0) is None


def test_every_game_weighs_the_same() -> None:
    values, numbers = np.array([1.0, 3.0, np.nan, 10.0, np.nan]), np.array([0, 0, 0, 2, 3])
    assert by_game(values, numbers, 4).tolist() == pytest.approx([2, np.nan, 10, np.nan], nan_ok=True)


def test_drifts_are_signed() -> None:
    """A dream brighter by 10, grey where the game is red."""
    truth, grey = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 10, np.uint8)
    assert compare(grey, truth, truth)["brightness"] == pytest.approx(10)
    truth[..., 0] = 200
    assert compare(grey, truth, truth)["saturation"] == pytest.approx(-200)
    assert np.isnan(compare(grey, truth, truth)["moved_error"]), "nothing moved"


# One step ahead


def test_a_perfect_dream_has_no_error_one_step_ahead() -> None:
    games = games_of([4 + i for i in range(GAMES)])
    found = next_frames(games, predict(perfect()), CONTEXT, CPU, None, seed=0)
    assert found["num_frames"] == sum(game.num_steps - CONTEXT + 1 for game in games.games)
    assert found["num_games"] == GAMES
    assert found["error"]["mean"] == found["moved_error"]["mean"] == 0
    assert found["ssim"]["mean"] == pytest.approx(1)
    assert found["psnr"]["mean"] == pytest.approx(most_psnr((SIZE, SIZE, 3)))
    assert found["gain_on_repeat"]["mean"] == found["repeat_moved_error"]["mean"] > 10
    assert "lpips" not in found


def test_a_frozen_dream_saves_nothing() -> None:
    found = next_frames(games_of([6] * GAMES), predict(frozen()), CONTEXT, CPU, None, seed=0)
    assert found["moved_error"] == found["repeat_moved_error"]
    assert found["gain_on_repeat"]["mean"] == 0


def test_lpips_is_measured_with_what_is_given() -> None:
    def distance(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return np.full(len(frames), 0.25)

    assert next_frames(games_of([5] * GAMES), predict(frozen()), 2, CPU, distance, 0)["lpips"]["mean"] == 0.25


# Rewards and ends


def counting(modulus: int) -> Rate:
    """Pays at every `modulus`-th transition that its memory has seen."""

    def rate(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return (seen % modulus == 0).long(), (seen % modulus == 1).long()

    return rate


def test_memory_runs_over_the_whole_game() -> None:
    """Also over more transitions than are judged at a time."""
    game = shifting(2 * TRANSITIONS + 3, seed=0)
    rewards, ends = judge(drawn_world(keep_frame, counting(7)), game, CPU)
    steps = np.arange(game.num_steps)
    assert rewards[:, 2].tolist() == (steps % 7 == 0).tolist()
    assert ends[:, 1].tolist() == (steps % 7 == 1).tolist()


def test_memory_begins_anew_after_a_lost_life() -> None:
    game = shifting(9, seed=0)
    game.ended[3] = True
    rewards, _ = judge(drawn_world(keep_frame, counting(10)), game, CPU)
    assert np.flatnonzero(rewards[:, 2]).tolist() == [0, 4]


def test_the_true_last_frame_is_judged() -> None:
    """An end that only the last frame shows."""
    game = shifting(5, seed=0)
    game.frames[:-1] = 0
    game.frames[-1] = 255

    def white(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(action), (next_frame.mean(dim=(1, 2, 3)) > 0.9).long()

    _, ends = judge(drawn_world(keep_frame, white), game, CPU)
    assert ends[:, 1].tolist() == [0, 0, 0, 0, 1]


# On its own


def test_dreams_end_one_after_the_other() -> None:
    """Each is the dream that it would be alone; the frames of those that go on come first."""
    games = sorted((shifting(steps, steps) for steps in (3, 6, 9)), key=lambda game: -game.num_steps)
    context = np.stack([game.frames[:CONTEXT] for game in games])
    frames = list(dream_on(predict(perfect()), context, [game.actions for game in games], CPU))
    assert [len(alive) for alive in frames] == [3, 3, 2, 2, 2, 1, 1, 1]
    for i, game in enumerate(games):
        alone = open_loop(predict(perfect()), context[i : i + 1], game.actions[None], CPU)[0]
        assert np.array_equal(np.stack([alive[i] for alive in frames if len(alive) > i]), alone)
        assert np.array_equal(alone, game.frames[CONTEXT:])


def test_a_perfect_dream_stays_perfect() -> None:
    games = games_of([20] * GAMES)
    dreamed = dream_games(games, predict(perfect()), CONTEXT, CPU)
    found = curves(games, dreamed, CONTEXT, None, seed=0)
    assert found["horizons"] == [1, 2, 3, 5, 7, 10, 15]
    for name in ("error", "brightness", "saturation", "sharpness"):
        assert [number["mean"] for number in found[name]] == [0] * 7
    assert all(number["mean"] > 10 for number in found["unrelated_error"])
    assert found["gain_on_unrelated"] == found["unrelated_error"]


def test_points_are_drawn_where_ten_games_reach() -> None:
    """Games of one frame less than a context give none."""
    lengths = [CONTEXT - 1, *[CONTEXT - 1 + t for t in (2, 2, 5, 5, 5, 5, 5, 5, 5, 7, 7, 7, 10)]]
    games = games_of(lengths)
    dreamed = dream_games(games, predict(perfect()), CONTEXT, CPU)
    assert [len(frames) for frames in dreamed] == [steps - CONTEXT + 1 for steps in lengths]
    found = curves(games, dreamed, CONTEXT, None, seed=0)
    assert found["horizons"] == [1, 2, 3, 5]
    assert found["num_games"] == [13, 13, 11, 11]
    assert [number["n"] for number in found["error"]] == found["num_games"]
    assert found["longest"] == 10
    assert found["end"] == ("The curves end at 5 steps: 4 of 14 games last 7 steps or more, and 10 are needed.")


def test_dreams_go_no_farther_than_the_last_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand steps, which a test does not wait for."""
    assert on_its_own.HORIZONS[-1] == 1_000
    monkeypatch.setattr(on_its_own, "HORIZONS", (1, 4))
    games = games_of([20] * 10)
    found = curves(games, dream_games(games, predict(perfect()), CONTEXT, CPU), CONTEXT, None, seed=0)
    assert found["longest"] == 4
    assert found["horizons"] == [1, 4]
    assert found["end"] == "The curves end at 4 steps, the last that is measured."


def test_too_few_games_give_no_curve() -> None:
    games = games_of([20] * 9)
    found = curves(games, dream_games(games, predict(perfect()), CONTEXT, CPU), CONTEXT, None, seed=0)
    assert found["horizons"] == []
    assert found["end"].startswith("There are no curves: 9 of 9 games last 1 steps")


def test_another_real_game_by_hand() -> None:
    """Ten games, each of one grey level: the differences between them are known."""
    games = games_of([3] * 10)
    for i, game in enumerate(games.games):
        game.frames[:] = 10 * i
    found = curves(games, dream_games(games, predict(frozen()), CONTEXT, CPU), CONTEXT, None, seed=0)
    pairs = [10 * abs(i - j) for i in range(10) for j in range(10) if i != j]
    assert found["unrelated_error"][0]["mean"] == pytest.approx(np.mean(pairs))
    assert found["repeat_error"][0]["mean"] == 0
    assert found["moved_error"][0] is None, "nothing moves"


def test_the_interval_of_another_real_game_is_that_of_pairs() -> None:
    """As wide as if games were drawn anew, and with them all their pairs; a game is no pair with itself."""
    levels = np.random.default_rng(0).integers(0, 200, 40)
    games = games_of([2] * len(levels))
    for level, game in zip(levels, games.games, strict=True):
        game.frames[:] = level
    found = curves(games, dream_games(games, predict(frozen()), CONTEXT, CPU), CONTEXT, None, seed=0)
    drawn = levels[np.random.default_rng(1).integers(len(levels), size=(4_000, len(levels)))]
    pairs = np.abs(drawn[:, :, None] - drawn[:, None]).mean(axis=(1, 2)) * len(levels) / (len(levels) - 1)
    low, high = np.quantile(pairs, [0.025, 0.975])
    for name in ("unrelated_error", "gain_on_unrelated"):
        number = found[name][0]
        assert number["high"] - number["low"] == pytest.approx(high - low, rel=0.1)


# Actions


def branched(world: WorldModel) -> tuple[np.ndarray, np.ndarray]:
    """The dream at two moments of each of twelve games, and the number of the game of each."""
    games = games_of([9] * GAMES).games
    moments = draw_moments(games, CONTEXT, 2 * GAMES, np.random.default_rng(0))
    branches = dream_branches(world, games, moments, ACTIONS, CONTEXT, torch.Generator().manual_seed(0))
    return branches, np.array([number for number, _ in moments])


def test_a_dream_that_ignores_actions_is_found_out() -> None:
    (ignoring, numbers), (real, _) = branched(frozen()), branched(perfect())
    found = sensitivity(ignoring, real, numbers, ("LEFT", "NOOP", "RIGHT"), seed=0)
    assert (found["num_moments"], found["compared_with"]) == (2 * GAMES, "LEFT")
    assert [row["meaning"] for row in found["actions"]] == ["NOOP", "RIGHT"]
    for row in found["actions"]:
        assert row["dream"]["share"]["mean"] == row["dream"]["change"]["mean"] == 0
        assert row["real"]["share"]["mean"] == 1
        assert (row["pixel_precision"], row["pixel_recall"], row["share_agreed"]) == (None, 0, 0)


def test_a_perfect_dream_changes_what_the_game_changes() -> None:
    branches, numbers = branched(perfect())
    for row in sensitivity(branches, branches, numbers, ("LEFT", "NOOP", "RIGHT"), seed=0)["actions"]:
        assert row["dream"] == row["real"]
        assert (row["pixel_precision"], row["pixel_recall"], row["share_agreed"]) == (1, 1, 1)
        assert row["error"]["mean"] == 0


def test_a_game_that_cannot_be_asked_is_left_out() -> None:
    branches, numbers = branched(perfect())
    row = sensitivity(branches, None, numbers, ("LEFT", "NOOP", "RIGHT"), seed=0)["actions"][0]
    assert row["real"] is None
    assert "pixel_precision" not in row


# Recorded games


def recorded(folder: Path, count: int = 10, steps: int = 5, size: int = SIZE, **origin: object) -> Path:
    """A folder of recorded games."""
    facts = {"game": "Pong", "world": "real", "players": ("human",), "model": "", "seed": 0} | origin
    for index in range(count):
        frames = np.full((steps + 1, size, size, 3), index, np.uint8)
        actions, rewards = np.zeros(steps, np.int64), np.zeros(steps, np.float32)
        episode = Episode(frames, actions, rewards, True, False, Origin(**facts))
        EpisodeFolder(folder).write(index, episode)
    return folder


def read(folder: Path) -> tuple[WholeGame, ...]:
    return recorded_games(folder, "Pong", ACTIONS, (SIZE, SIZE, 3), CONTEXT)


def test_recorded_games_are_read(tmp_path: Path) -> None:
    games = read(recorded(tmp_path))
    assert [game.frames[0, 0, 0, 0] for game in games] == list(range(10))
    assert games[0].ended.tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        pytest.param({"count": 0}, ["holds no episode", "name a folder of recorded real games"], id="empty"),
        pytest.param(
            {"world": "dream"},
            ["000000.npz is a recording of a dream", "--data needs recordings of the real game"],
            id="dream",
        ),
        pytest.param({"game": "Boxing"}, ["recorded in Boxing, not in Pong", "give --data games of Pong"], id="game"),
        pytest.param({"size": 16}, ["frames of shape (16, 16, 3), not (8, 8, 3)", "give --data"], id="size"),
        pytest.param({"count": 9}, ["9 games of more than 2 frames", FEW], id="few"),
        pytest.param({"steps": 1}, ["0 games of more than 2 frames", FEW], id="short"),
    ],
)
def test_recordings_that_say_nothing_are_refused(tmp_path: Path, changes: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(DataError) as told:
        read(recorded(tmp_path, **changes))
    for part in parts:
        assert part in str(told.value)


def test_the_folder_of_a_run_is_told_its_episodes(tmp_path: Path) -> None:
    recorded(tmp_path / "episodes")
    with pytest.raises(DataError, match=f"such as {tmp_path / 'episodes'}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"games": 9}, "--games is 9: use at least 10; intervals need"),
        ({"steps": 0}, "--steps is 0"),
        ({"contexts": 0}, "--contexts is 0"),
    ],
)
def test_plans_that_measure_nothing_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plan(**changes)
