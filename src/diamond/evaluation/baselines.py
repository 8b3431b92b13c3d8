"""What an agent must beat: chance, any one button held down, and itself before training. Same protocol for all.

The best constant action is chosen on games of its own and then measured again on others. The maximum of several noisy
means is too high on average; the second measurement does not inherit that luck.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from diamond.agents.policies import ConstantPolicy, Mode, Policy, RandomPolicy, RecurrentAgent
from diamond.config import EnvConfig
from diamond.envs import make_env as make_real_env
from diamond.evaluation.human_scores import SOURCE
from diamond.evaluation.scores import MakeEnv, evaluate_agent, evaluate_policy, summarise
from diamond.evaluation.statistics import reference_scores

NamedProgress = Callable[[str, int, int], None]
"""Called after every step with what is playing, the games counted and the games wanted."""


def measure_baselines(
    cfg: EnvConfig,
    untrained: RecurrentAgent | None,
    num_games: int,
    *,
    num_envs: int,
    seed: int,
    device: torch.device,
    mode: Mode = "sampled",
    temperature: float = 1.0,
    selection_games: int = 8,
    max_episode_steps: int | None = None,
    make_env: MakeEnv = make_real_env,
    progress: NamedProgress | None = None,
) -> dict[str, dict[str, Any]]:
    """Summaries of the baselines, keyed `random`, `best_constant` and, where a network is given, `untrained`.

    Args:
        untrained: a network as it was before training; acts in the same mode as the agent it is compared with.
        num_games: games of each final measurement, on `seed`, the seed that the trained agent should be given too.
        selection_games: games, on other seeds, by which each constant action is judged; `best_constant["candidates"]`
            lists all actions with their means there.
        max_episode_steps: overrides the step cap of the configuration.
        progress: called after every step.
    """

    def report(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else partial(progress, what)

    common: dict[str, Any] = {"num_envs": num_envs, "max_episode_steps": max_episode_steps, "make_env": make_env}
    measured = {"random": _measure_random(cfg, num_games, seed, report("random policy"), common)}
    measured["best_constant"] = _measure_best_constant(cfg, num_games, selection_games, seed, report, common)
    if untrained is not None:
        scores = evaluate_agent(
            cfg,
            untrained,
            num_games,
            seed=seed,
            device=device,
            mode=mode,
            temperature=temperature,
            progress=report("untrained network"),
            **common,
        )
        measured["untrained"] = summarise(scores, cfg.name)
    return measured


def evaluation_record(
    game: str, trained: dict[str, Any], baselines: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The content of a run's `evaluation.json`: the agent's summary, those of its baselines, and published scores."""
    reference = reference_scores(game)
    return {
        "game": game,
        "trained": trained,
        **(baselines or {}),
        "reference": None if reference is None else {**reference._asdict(), "source": SOURCE},
    }


def _measure_random(
    cfg: EnvConfig, num_games: int, seed: int, progress: Callable[[int, int], None] | None, common: dict[str, Any]
) -> dict[str, Any]:
    def make_policy(env: VectorEnv) -> Policy:
        return RandomPolicy(_num_actions(env), np.random.default_rng(seed))

    return summarise(evaluate_policy(cfg, make_policy, num_games, seed=seed, progress=progress, **common), cfg.name)


def _measure_best_constant(
    cfg: EnvConfig,
    num_games: int,
    selection_games: int,
    seed: int,
    report: Callable[[str], Callable[[int, int], None] | None],
    common: dict[str, Any],
) -> dict[str, Any]:
    env = common["make_env"](cfg, 1, training=False)
    meanings = _action_meanings(env)
    env.close()
    # the same games for every action, and none of those of the final measurement
    selection_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    means: list[float] = []
    for action, meaning in enumerate(meanings):
        scores = evaluate_policy(
            cfg,
            partial(_hold, action),
            selection_games,
            seed=selection_seed,
            progress=report(f"constant action {meaning}"),
            **common,
        )
        means.append(float(scores.returns.mean()))
    best = int(np.argmax(means))
    scores = evaluate_policy(
        cfg, partial(_hold, best), num_games, seed=seed, progress=report("best constant action"), **common
    )
    candidates = [
        {"action": action, "meaning": meanings[action], "mean": mean, "n": selection_games}
        for action, mean in enumerate(means)
    ]
    return {**summarise(scores, cfg.name), "action_meaning": meanings[best], "candidates": candidates}


def _hold(action: int, env: VectorEnv) -> Policy:
    return ConstantPolicy(action)


def _num_actions(env: VectorEnv) -> int:
    return int(env.single_action_space.n)  # type: ignore[attr-defined]


def _action_meanings(env: VectorEnv) -> list[str]:
    meanings = getattr(env, "action_meanings", ())
    return [meanings[i] if i < len(meanings) else str(i) for i in range(_num_actions(env))]
