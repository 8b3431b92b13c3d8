"""Learning on the real game: windows are evaluated as they were played, PPO's closed form, a command that goes on."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from scripted_games import ScriptedGame
from torch import Tensor

from diamond.config import ActorCriticConfig, EnvConfig
from diamond.envs import RealEnv
from diamond.errors import ConfigError
from diamond.lab import real_game
from diamond.lab.real_game import Settings, file_name, learn, measure, table
from diamond.lab.real_learning import Player, Window, clipped_loss, evaluate
from diamond.networks.actor_critic import ActorCritic
from diamond.runs.files import write_json
from diamond.runs.folder import read_json
from diamond.training.objectives import actor_critic_loss

TINY = ActorCriticConfig(channels=(4,), downsample=(True,), lstm_size=8)
CLIP = 0.2


def player(length: int, cut: int, games: int = 3) -> tuple[Player, ActorCritic]:
    """A network with random heads that plays games of `length` steps, cut off after `cut`; button 1 pays 3 points."""
    torch.random.default_generator.manual_seed(0)
    network = ActorCritic(3, 8, 8, TINY)
    for head in (network.actor, network.critic):
        torch.nn.init.normal_(head.weight)
    scripted = [Wide(lambda seed: length, lambda action: 3.0 * (action == 1)) for _ in range(games)]
    env = RealEnv("scripted", scripted, height=8, width=8, max_episode_steps=cut)
    return Player(env, network, torch.Generator().manual_seed(0), seed=0), network


class Wide(ScriptedGame):
    """Frames of the size that networks see."""

    def frame(self) -> np.ndarray:
        return np.full((8, 8, 3), 10 * self._steps, np.uint8)


def random_window(t: int, b: int, actions: int) -> tuple[Tensor, Tensor, Window]:
    """Logits, values, and a window that was played by exactly this policy."""
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(t, b, actions, generator=g).requires_grad_()
    values = torch.randn(t, b, generator=g).requires_grad_()
    taken = torch.randint(actions, (t, b), generator=g)
    chances = logits.detach().log_softmax(-1).gather(-1, taken[..., None]).squeeze(-1)
    no = torch.zeros(t, b, dtype=torch.bool)
    frames, state = torch.zeros(t, b, 3, 8, 8), (torch.zeros(b, 8), torch.zeros(b, 8))
    return logits, values, Window(frames, taken, chances, values.detach(), values.detach(), no, no, values, state)


@pytest.mark.parametrize(("length", "cut"), [(4, 100), (100, 3), (5, 100), (100, 100)])
def test_evaluating_a_window_gives_what_was_played(length: int, cut: int) -> None:
    """Memory is zero after an end or a cut, and carried from one window to the next elsewhere."""
    play, network = player(length, cut)
    for _ in range(3):
        window = play.play(5)
        logits, values = evaluate(network, window)
        chances = logits.log_softmax(-1).gather(-1, window.actions[..., None]).squeeze(-1)
        torch.testing.assert_close(chances, window.log_probability)
        torch.testing.assert_close(values, window.values)
    assert bool(window.state[0].any()) == (length != 5)  # a game of 5 steps ends where a window does


def test_the_value_of_the_successor_is_that_of_the_next_frame() -> None:
    play, _ = player(100, 100)
    first, second = play.play(5), play.play(5)
    torch.testing.assert_close(first.next_value, torch.cat((first.values[1:], second.values[:1])))


def test_a_game_that_is_cut_off_is_valued_at_its_true_last_frame() -> None:
    """As in a game that goes on, though the window shows the next game's first frame."""
    cut, _ = player(100, cut=3)
    whole, _ = player(100, cut=100)
    ended, going = cut.play(5), whole.play(5)
    assert ended.truncated.nonzero()[:, 0].unique().tolist() == [2]
    torch.testing.assert_close(ended.next_value[:3], going.next_value[:3])
    assert not torch.isclose(ended.next_value[2], ended.values[3]).any()


def test_returns_are_of_whole_games_and_unclipped() -> None:
    play, _ = player(4, 100)
    windows = [play.play(5) for _ in range(4)]
    assert play.ended_at == [3 * step for step in (4, 8, 12, 16, 20) for _ in range(3)]
    actions, rewards = (torch.cat([getattr(w, name) for w in windows]) for name in ("actions", "rewards"))
    assert torch.equal(rewards, (actions == 1).float())
    assert play.returns == (3 * rewards.unflatten(0, (5, 4)).sum(1)).flatten().tolist()
    assert play.reward == sum(play.returns)


def test_a_first_pass_of_ppo_has_the_gradient_of_the_policy() -> None:
    """At ratio 1 nothing is clipped: the gradient is that of the product's objective, closed form included."""
    cfg = ActorCriticConfig(value_weight=0.7, entropy_weight=0.3)
    logits, values, window = random_window(4, 3, 5)
    returns = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    advantages = returns - window.values
    ours = torch.autograd.grad(
        clipped_loss(logits, values, window, advantages, returns, CLIP, cfg)[0], (logits, values)
    )
    product = torch.autograd.grad(actor_critic_loss(logits, values, window.actions, returns, cfg)[0], (logits, values))
    torch.testing.assert_close(ours, product)

    bare = ActorCriticConfig(value_weight=0.0, entropy_weight=0.0)
    (gradient,) = torch.autograd.grad(clipped_loss(logits, values, window, advantages, returns, CLIP, bare)[0], logits)
    taken = torch.nn.functional.one_hot(window.actions, 5)
    torch.testing.assert_close(gradient, (logits.softmax(-1) - taken).detach() * advantages[..., None] / 12)


@pytest.mark.parametrize(
    ("move", "advantage", "learns"), [(1, 1, False), (1, -1, True), (-1, -1, False), (-1, 1, True)]
)
def test_what_has_moved_far_enough_is_left_alone(move: int, advantage: int, learns: bool) -> None:
    """Beyond the clip, only what undoes the move has a gradient."""
    logits, values, window = random_window(1, 1, 3)
    moved = (logits.detach() + move * torch.nn.functional.one_hot(window.actions, 3)).requires_grad_()
    bare = ActorCriticConfig(value_weight=0.0, entropy_weight=0.0)
    loss, _ = clipped_loss(moved, values, window, torch.full((1, 1), float(advantage)), values.detach(), CLIP, bare)
    loss.backward()
    assert moved.grad is not None
    assert bool(moved.grad.any()) == learns


CATCH = EnvConfig(id="diamond/Catch-v0", height=8, width=8)


class Signal(gymnasium.Env):
    """A third of the frame is lit; the button below it pays 1, the others cost 1. Four signals are a game."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.step_number = 0
        return self.show(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.step_number += 1
        reward = 1.0 if action == self.lit else -1.0
        return self.show(), reward, self.step_number == 4, False, {}

    def show(self) -> np.ndarray:
        self.lit = int(self.np_random.integers(3))
        frame = np.zeros((8, 8, 3), np.uint8)
        frame[:, 3 * self.lit : 3 * self.lit + 2] = 255
        return frame


def test_it_learns_what_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance gives 4 x (1/3 - 2/3), knowing 4."""
    monkeypatch.setitem(gymnasium.registry, "Signal-v0", EnvSpec("Signal-v0", entry_point=Signal))
    signal = EnvConfig(id="Signal-v0", height=8, width=8)
    settings = Settings(size=8, steps=6_000, envs=8, window=8, learning_rate=3e-3, channels=(8,), lstm_size=16)
    learned = learn(signal, settings, 0, lambda line: None)
    assert learned["random"]["high"] < 0
    assert learned["last_fifth"]["low"] > 2


def test_the_same_seed_gives_the_same_result() -> None:
    settings = Settings(size=8, steps=200, envs=4, window=5, channels=(4,), lstm_size=8, random_games=4, final_games=4)
    first, second = (learn(CATCH, settings, 7, lambda line: None) for _ in range(2))
    for name in ("returns", "ended_at", "curve", "random", "final", "last_games", "last_fifth"):
        assert first[name] == second[name], name
    assert first["steps"] == 200
    assert len(first["returns"]) == 16  # 50 steps of 4 games of 12 steps
    assert first["last_games"]["mean"] == pytest.approx(np.mean(first["returns"]))
    assert first["last_fifth"]["n"] == sum(end > 160 for end in first["ended_at"]) == 4
    assert first["random"]["n"] == first["final"]["n"] == 4


def result(game: str, **changes: Any) -> dict[str, Any]:
    learned = learn(CATCH, Settings(size=8, steps=100, envs=4, window=5, channels=(4,), random_games=4), 0, print)
    return learned | {"game": game} | changes


def test_finished_games_are_skipped_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []

    def quickly(cfg: EnvConfig, settings: Settings, seed: int, say: Any) -> dict[str, Any]:
        if cfg.game == "Krull" and not played[1:]:
            played.append("stopped")
            raise KeyboardInterrupt
        played.append(cfg.game)
        return result(cfg.game, settings=real_game._plain(settings), seed=seed)

    monkeypatch.setattr(real_game, "learn", quickly)
    games, lines = ("Boxing", "Krull"), list[str]()
    with pytest.raises(KeyboardInterrupt):
        measure(games, Settings(), 3, tmp_path, lines.append)
    assert [path.name for path in tmp_path.iterdir()] == [file_name("Boxing", Settings(), 3)]
    measure(games, Settings(), 3, tmp_path, lines.append)
    assert played == ["Boxing", "stopped", "Krull"]
    assert "Boxing: done before" in lines
    with pytest.raises(ConfigError, match="holds a result of other settings: choose another --out"):
        measure(games, Settings(steps=10), 3, tmp_path, lines.append)


def test_the_table_has_the_best_game_first(tmp_path: Path) -> None:
    scale = {"human_normalised_low": 0.1, "human_normalised_high": 0.9, "mean": 5.0, "low": 4.0, "high": 6.0, "n": 32}
    for game, score in (("Boxing", 0.2), ("Krull", 0.8)):
        write_json(
            tmp_path / file_name(game, Settings(), 0), result(game, last_games=scale | {"human_normalised": score})
        )
    rows = [line.split(" | ") for line in table(tmp_path).splitlines()]
    assert [row[0] for row in rows] == [
        "| game",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        "| Krull",
        "| Boxing",
    ]
    assert rows[2][6] == "5.0 (4.0 to 6.0)"
    assert rows[2][9] == "0.80 (0.10 to 0.90)"
    with pytest.raises(ConfigError, match="holds no results"):
        table(tmp_path / "nothing")


def test_the_command_writes_one_file_a_game(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--games Boxing --size 16 --steps 40 --envs 2 --window 5 --channels 4 --random-games 1 --max-game-steps 30"
    real_game.main([*words.split(), "--out", str(tmp_path), "--objective", "a2c"])
    record = read_json(tmp_path / "Boxing-16px-a2c-seed100.json")
    assert record["ended_at"] == []
    assert record["last_games"] is None
    assert record["random"]["lengths"] == [30]
    assert {"commit", "command", "machine", "seed", "curve", "cpu_seconds"} <= set(record)
    real_game.main(["--table", str(tmp_path)])
    assert "| Boxing | 16 | a2c | 100 | 40 |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="^error: --table"):
        real_game.main(["--table", str(tmp_path / "nothing")])
