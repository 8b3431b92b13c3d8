"""The runs that the benchmark asks for, as data for whatever starts them."""

from collections.abc import Sequence
from typing import Any

from diamond.config.presets import atari100k
from diamond.lab.atari100k.methods import require_games
from diamond.version import __version__

SEEDS = 5
_PREFIX = "runs/atari100k-"


def plan(games: Sequence[str] = ()) -> dict[str, Any]:
    """Every run of the paper's experiment, JSON-ready: game, seed, command and run folder; and how runs are measured.

    The protocol is read from the preset that the commands name (arXiv 2405.12399, section 4.1 and appendix E).

    Raises:
        ConfigError: a game is unknown or named twice.
    """
    config = atari100k()
    runs = [
        {
            "game": game,
            "seed": seed,
            "command": f"diamond train --preset atari100k --env.game {game} --seed {seed} --run {_run(game, seed)}",
            "run": _run(game, seed),
        }
        for game in require_games(games)
        for seed in range(SEEDS)
    ]
    return {
        "benchmark": "Atari 100k",
        "diamond": __version__,
        "protocol": {
            "env_steps": config.collection.total_steps,
            "frame_skip": config.env.frame_skip,
            "sticky_actions": False,
            "epochs": config.schedule.epochs,
            "evaluation_games": config.schedule.final_episodes,
            "evaluation_policy": "sampled, temperature 1, epsilon 0",
            "evaluation_game": "whole, all lives, unclipped rewards",
            "max_episode_steps": config.env.max_episode_steps,
            "seeds_per_game": SEEDS,
        },
        "runs": runs,
        "afterwards": f"diamond benchmark table {_PREFIX}* --out table.html",
    }


def _run(game: str, seed: int) -> str:
    return f"{_PREFIX}{game}-seed{seed}"
