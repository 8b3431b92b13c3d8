"""What a dream can teach at most: the agent and its objective on the real Atari game, at the dream's frame size.

    python -m diamond.lab.real_game --out FOLDER             every game of Atari 100k, one after the other
    python -m diamond.lab.real_game --table FOLDER           the results so far as Markdown

Each game gives one JSON file when it is done; games that have theirs are skipped, so the same command goes on after a
stop. Games run on one thread: start several commands with different `--games` to use more cores.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from gymnasium.vector import VectorEnv

from diamond.agents.policies import RandomPolicy
from diamond.compute import choose_device
from diamond.config import ActorCriticConfig, ComputeConfig, EnvConfig, UpdatesConfig
from diamond.envs import make_env
from diamond.errors import ConfigError, DiamondError
from diamond.evaluation.scores import evaluate_agent, evaluate_policy, summarise
from diamond.evaluation.statistics import bootstrap_mean, human_normalised
from diamond.lab.atari100k.methods import require_games
from diamond.lab.real_learning import Objective, Player, Trainer
from diamond.networks.actor_critic import ActorCritic
from diamond.runs.files import write_json
from diamond.runs.folder import read_json
from diamond.runs.provenance import origin
from diamond.runs.streams import derive_seed
from diamond.runs.wording import duration_text, interval_text, number_text
from diamond.training.learner import Learner

LAST_GAMES = 32
STEPS_PER_POINT = 5_000
SECONDS_PER_LINE = 30.0
COLUMNS = ["game", "pixels", "objective", "seed", "steps", "random", "last 32 games", "last fifth", "whole games"]
COLUMNS += ["human-normalised", "CPU minutes"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How the agent plays and learns; recorded with each result."""

    size: int = 32
    """Height and width of frames in pixels."""
    steps: int = 150_000
    """Steps of all games together, rounded up to whole windows."""
    envs: int = 32
    """Games side by side."""
    window: int = 15
    """Steps of each game between two updates."""
    objective: Objective = "ppo"
    """`a2c`: as `diamond train`. `ppo`: several passes over a window, clipped, advantages over their spread."""
    passes: int = 3
    """Gradient steps on each window (ppo)."""
    clip: float = 0.2
    """How far the probability of an action may move within a window before it stops gaining (ppo)."""
    learning_rate: float = 5e-4
    """Step size after the warm-up."""
    entropy_weight: float = 0.01
    """Weight of the policy's entropy."""
    channels: tuple[int, ...] = (16, 32, 32)
    """Feature channels of each convolutional block; each halves the resolution."""
    lstm_size: int = 128
    """Width of the recurrent state."""
    max_game_steps: int = 27_000
    """Steps after which a game is cut off."""
    random_games: int = 32
    """Whole games of the random policy, to compare with."""
    final_games: int = 0
    """Whole games of the trained agent, counted without favour for short ones; 0 plays none."""

    def __post_init__(self) -> None:
        for name in ("steps", "envs", "window", "passes", "random_games"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} is {getattr(self, name)}: use at least 1")
        if not 0 < self.clip < 1:
            raise ConfigError(f"--clip is {self.clip}: choose a number between 0 and 1")

    @property
    def actor_critic(self) -> ActorCriticConfig:
        """The network and the constants of its objective."""
        halve = (True,) * len(self.channels)
        return ActorCriticConfig(
            self.channels, halve, self.lstm_size, window=self.window, entropy_weight=self.entropy_weight
        )


def learn(env_cfg: EnvConfig, settings: Settings, seed: int, say: Say) -> dict[str, Any]:
    """Train one agent on the real game; returns the JSON-ready result.

    Raises:
        EnvError: there is no such game.
        TrainingError: a loss is not finite.
    """
    began, cpu = time.monotonic(), time.process_time()
    cfg, curve, said = settings.actor_critic, list[dict[str, Any]](), began
    env = make_env(env_cfg, settings.envs, training=True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(derive_seed(seed, "weights"))
            network = ActorCritic(env.num_actions, env_cfg.height, env_cfg.width, cfg)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = dataclasses.replace(UpdatesConfig().actor_critic, learning_rate=settings.learning_rate)
        learner = Learner("actor_critic", network, optimizer)
        trainer = Trainer(learner, settings.objective, cfg, settings.passes, settings.clip)
        player = Player(env, network, torch.Generator().manual_seed(derive_seed(seed, "actions")), seed)
        while player.steps < settings.steps:
            metrics = trainer.update(network, player.play(settings.window))
            learner.check_finite()
            if player.steps >= min(STEPS_PER_POINT * (len(curve) + 1), settings.steps):
                curve.append(_point(player, curve) | {name: float(value) for name, value in metrics.items()})
            if time.monotonic() - said > SECONDS_PER_LINE:
                said = time.monotonic()
                say(_line(env_cfg.name, player, settings.steps, float(metrics["entropy"]), said - began))
    finally:
        env.close()
    recent = [value for value, end in zip(player.returns, player.ended_at, strict=True) if end > 0.8 * player.steps]
    return {
        "game": env_cfg.name,
        "settings": _plain(settings),
        **origin(seed, fused=False),
        "steps": player.steps,
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu,
        "last_games": _mean(env_cfg.name, player.returns[-LAST_GAMES:], seed),
        "last_fifth": _mean(env_cfg.name, recent, seed),
        **_whole_games(env_cfg, network, settings, derive_seed(seed, "evaluation")),
        "returns": player.returns,
        "ended_at": player.ended_at,
        "curve": curve,
    }


def _point(player: Player, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """One point of the curve: the games that ended since the last one, and all reward so far, of open games too."""
    new = player.returns[sum(point["games"] for point in curve) :]
    mean = float(np.mean(new)) if new else None
    return {"steps": player.steps, "games": len(new), "return_mean": mean, "reward_so_far": player.reward}


def _line(game: str, player: Player, steps: int, entropy: float, seconds: float) -> str:
    rate, recent = player.steps / seconds, player.returns[-LAST_GAMES:]
    score = f"return {number_text(float(np.mean(recent)))} ({len(recent)} games)" if recent else "no game over yet"
    left = duration_text(max(0, steps - player.steps) / rate)
    return f"{game}: {player.steps:,} of {steps:,} | {rate:.0f}/s | {score} | entropy {entropy:.2f} | {left} left"


def _mean(game: str, returns: list[float], seed: int) -> dict[str, Any] | None:
    """A mean return with its 95 % interval, on the human scale too; None if no game ended."""
    if not returns:
        return None
    estimate = bootstrap_mean(np.array(returns), np.random.default_rng(seed))
    scale = {f"human_normalised_{name}": human_normalised(game, getattr(estimate, name)) for name in ("low", "high")}
    return {**estimate._asdict(), "human_normalised": human_normalised(game, estimate.mean), **scale}


def _whole_games(env_cfg: EnvConfig, network: ActorCritic, settings: Settings, seed: int) -> dict[str, Any]:
    """Scores of the random policy and, if asked for, of the trained agent on the same games."""

    def chance(env: VectorEnv) -> RandomPolicy:
        return RandomPolicy(len(env.action_meanings), np.random.default_rng(seed))  # type: ignore[attr-defined]

    common: dict[str, Any] = {"num_envs": settings.envs, "seed": seed}
    record: dict[str, Any] = {"final": None}
    record["random"] = summarise(evaluate_policy(env_cfg, chance, settings.random_games, **common), env_cfg.name)
    if settings.final_games:
        scores = evaluate_agent(env_cfg, network, settings.final_games, device=torch.device("cpu"), **common)
        record["final"] = summarise(scores, env_cfg.name)
    return record


def _plain(settings: Settings) -> dict[str, Any]:
    return dataclasses.asdict(settings) | {"channels": list(settings.channels)}


def file_name(game: str, settings: Settings, seed: int) -> str:
    """Where a result is kept within its folder."""
    return f"{game}-{settings.size}px-{settings.objective}-seed{seed}.json"


def measure(games: tuple[str, ...], settings: Settings, seed: int, out: Path, say: Say) -> None:
    """Train on each game in turn and write its result; games whose file is there are skipped.

    Raises:
        ConfigError: a game is unknown; a file holds a result of other settings.
        DiskError: a result cannot be written.
        TrainingError: a loss is not finite.
    """
    for game in require_games(games):
        path = out / file_name(game, settings, seed)
        if path.is_file():
            if read_json(path).get("settings") != _plain(settings):
                raise ConfigError(f"{path} holds a result of other settings: choose another --out")
            say(f"{game}: done before")
            continue
        env = EnvConfig(game=game, height=settings.size, width=settings.size, max_episode_steps=settings.max_game_steps)
        result = learn(env, settings, seed, say)
        write_json(path, result)
        say(f"{game}: {_score(result['last_games'])} in the last games, random {_score(result['random'])}: {path}")


def table(folder: Path) -> str:
    """All results in a folder as Markdown, the best on the human scale first.

    Raises:
        ConfigError: there are none.
        RunError: a file is damaged.
    """
    results = [read_json(path) for path in sorted(folder.glob("*-seed*.json"))]
    if not results:
        raise ConfigError(f"--table {folder} holds no results: name the --out of an earlier command")
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for result in sorted(results, key=_rank):
        settings, last = result["settings"], result["last_games"] or {}
        cells = [result["game"], settings["size"], settings["objective"], result["seed"], f"{result['steps']:,}"]
        cells += [_score(result[name]) for name in ("random", "last_games", "last_fifth", "final")]
        mean, low, high = (last.get(f"human_normalised{end}") for end in ("", "_low", "_high"))
        cells += ["" if mean is None else interval_text(mean, low, high), round(result["cpu_seconds"] / 60)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _rank(result: dict[str, Any]) -> float:
    scale = (result["last_games"] or {}).get("human_normalised")
    return float("inf") if scale is None else -scale


def _score(estimate: dict[str, Any] | None) -> str:
    return "" if estimate is None else interval_text(estimate["mean"], estimate["low"], estimate["high"])


@dataclass(frozen=True)
class Options:
    """Train the agent on the real Atari game, to bound what a dream can teach."""

    settings: tyro.conf.OmitArgPrefixes[Settings] = dataclasses.field(default_factory=Settings)
    games: tuple[str, ...] = ()
    """Games of Atari 100k; by default all 26."""
    seed: int = 100
    """Seed of weights, actions and games."""
    out: Path = Path("runs/real-game")
    """Folder of the results, one JSON file a game."""
    table: Path | None = None
    """Train nothing: print the results in this folder as Markdown."""


def main(words: list[str] | None = None) -> None:
    """The command line."""
    options = tyro.cli(Options, args=words, prog="python -m diamond.lab.real_game")
    try:
        if options.table is not None:
            print(table(options.table))
            return
        choose_device(ComputeConfig(device="cpu", threads=1))
        measure(options.games, options.settings, options.seed, options.out, lambda line: print(line, flush=True))
    except DiamondError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
