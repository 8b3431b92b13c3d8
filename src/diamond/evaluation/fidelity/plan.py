"""What is to be measured, and the real games for it.

Axes   k moments | a actions
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diamond.agents.agent import Agent
from diamond.agents.policies import Policy, RandomPolicy, policy
from diamond.envs import RealEnv
from diamond.errors import ConfigError, DataError, RunError
from diamond.evaluation.fidelity.games import (
    FEWEST_GAMES,
    GameSet,
    WholeGame,
    contexts_of,
    draw_moments,
    open_games,
    play_whole,
    real_branches,
    recorded_games,
)

SeedOf = Callable[..., int]
"""A seed for the use of that name."""
Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done and how much there is; called often."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Raises:
        ConfigError: a number is out of range.
    """

    games: int = 16
    """Real games of the agent, and as many of random actions."""
    steps: int = 1_100
    """After which a game is cut off."""
    contexts: int = 256
    """Real moments at which every action is tried."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.games < FEWEST_GAMES:
            raise ConfigError(f"--games is {self.games}: use at least {FEWEST_GAMES}; intervals need that many games")
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}: give 0 or more")
        for name in ("steps", "contexts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}: give at least 1")


def fresh_sets(agent: Agent, plan: Plan, seed_of: SeedOf, progress: Progress) -> list[GameSet]:
    """Games freshly played by the agent and by chance, branched off at some moments to try every action.

    Raises:
        DataError: no game lasts long enough to start a dream from.
        RunError: the weights are of a game with other actions.
    """
    found = []
    for name in ("agent", "random"):
        progress(f"playing {plan.games} real games: {name}", 0, plan.games)
        seed, env = seed_of(name, "games"), open_games(agent.config.env, plan.games, plan.steps)
        try:
            _require_actions(agent, env)
            games = play_whole(env, _policy(agent, name, plan.games, seed_of(name, "actions taken")), seed)
            moments = _moments(agent, games, plan.contexts // 2, seed_of)
            branches = real_branches(env, games, moments, seed) if moments else None
        finally:
            env.close()
        found.append(GameSet(name, games, moments, branches))
    _require_contexts(agent, found, "play longer games, with a larger --steps")
    return found


def recorded_set(
    agent: Agent, folder: Path, plan: Plan, seed_of: SeedOf, known: Collection[bytes] = ()
) -> list[GameSet]:
    """The games in a folder of recordings but those that are `known` from training, by their `games.digest`.

    The real game cannot be asked for what other actions would have done.

    Raises:
        DataError: see `games.recorded_games`.
    """
    env, n = agent.config.env, agent.config.denoiser.context_length
    games = recorded_games(folder, env.name, agent.num_actions, (env.height, env.width, 3), n, known)
    found = [GameSet("recorded", games, _moments(agent, games, plan.contexts, seed_of))]
    _require_contexts(agent, found, "record longer games")
    return found


def _require_actions(agent: Agent, env: RealEnv) -> None:
    """Refuse a game that the weights are not of, and take over the names of its actions if the weights tell none."""
    if env.num_actions != agent.num_actions:
        raise RunError(
            f"{env.name} has {env.num_actions} actions, the weights were trained for {agent.num_actions}: name the "
            "game that they belong to with --game"
        )
    agent.action_meanings = agent.action_meanings or env.action_meanings


def _policy(agent: Agent, name: str, num_games: int, seed: int) -> Policy:
    if name == "random":
        return RandomPolicy(agent.num_actions, np.random.default_rng(seed))
    return policy(agent, num_games, seed)


def _moments(agent: Agent, games: tuple[WholeGame, ...], count: int, seed_of: SeedOf) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed_of("moments"))
    return draw_moments(games, agent.config.denoiser.context_length, max(1, count), rng)


def _require_contexts(agent: Agent, sets: list[GameSet], remedy: str) -> None:
    n = agent.config.denoiser.context_length
    if not any(contexts_of(game, n) for one in sets for game in one.games):
        raise DataError(f"no real game lasts {n} steps, and a dream needs {n} real frames to start: {remedy}")
