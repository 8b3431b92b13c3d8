"""Whole games, played to the end and counted without bias.

Environments run side by side, and games differ in length. Counting the first games *to finish* would favour short ones,
and in most games a short life is a bad one. So each environment has a quota, fixed before play: its first so many games
count, however long they take, and nothing it plays afterwards does.

Axes   n environments | g games | t frames | h w 3 image
Units  returns in the environment's own, unclipped reward; lengths in agent steps
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float64, Int64, UInt8

from diamond.agents.agent import Agent
from diamond.agents.policies import Mode, NetworkPolicy, Policy, RecurrentAgent
from diamond.agents.rollout import rollout
from diamond.config import EnvConfig
from diamond.envs import make_env as make_real_env
from diamond.evaluation.statistics import bootstrap_mean, human_normalised

Progress = Callable[[int, int], None]
"""Called after every step with the number of games that have been counted and the number wanted: keep it cheap."""

MakeEnv = Callable[..., VectorEnv]
"""`diamond.envs.make_env`, or anything else called as `make(cfg, num_envs, training=False)`."""


@dataclass(frozen=True)
class GameScores:
    """What g games gave, in the order environment by environment, and within one as played."""

    returns: Float64[np.ndarray, "g"]
    lengths: Int64[np.ndarray, "g"]
    capped: Bool[np.ndarray, "g"]
    """Games that the step cap ended before they were over."""
    environments: Int64[np.ndarray, "g"]
    """Which of the environments played each game."""
    seed: int
    """Seed of the environments' reset."""
    policy: dict[str, Any]
    """The policy's description of itself."""
    max_episode_steps: int | None = None
    """The step cap that was in force, where the caller named it."""
    first_game: UInt8[np.ndarray, "t h w 3"] | None = None
    """The opening of the first environment's first game, if it was to be recorded."""


def quotas(num_games: int, num_envs: int) -> Int64[np.ndarray, "n"]:
    """Games that count in each environment: as equal as can be, the first environments take the remainder."""
    return np.full(num_envs, num_games // num_envs, dtype=np.int64) + (np.arange(num_envs) < num_games % num_envs)


def play_games(
    env: VectorEnv,
    policy: Policy,
    num_games: int,
    *,
    seed: int,
    record_frames: int = 0,
    progress: Progress | None = None,
) -> GameScores:
    """Play `num_games` whole games and count them by fixed quotas.

    Args:
        env: environments made with `training=False`, so that a lost life does not end a game, and with autoreset
            SAME_STEP; reset here, closed by the caller.
        policy: acts in all of them at once.
        num_games: games that count; environments beyond this number play idly.
        seed: of the environments' reset.
        record_frames: keep up to this many frames of the first game, its true last frame included.
        progress: called after every step.
    """
    wanted = quotas(num_games, env.num_envs)
    returns: list[list[float]] = [[] for _ in wanted]
    lengths: list[list[int]] = [[] for _ in wanted]
    capped: list[list[bool]] = [[] for _ in wanted]
    running_return, running_length = np.zeros(env.num_envs), np.zeros(env.num_envs, dtype=np.int64)
    counted = np.zeros_like(wanted)
    frames, _ = env.reset(seed=seed)
    recording = [frames[0].copy()] if record_frames > 0 else []
    played = rollout(env, policy, frames)
    while (counted < wanted).any():
        step = next(played)
        if 0 < len(recording) < record_frames and counted[0] == 0:
            recording.append(step.successors[0].copy())
        running_return += step.rewards
        running_length += 1
        for i in np.flatnonzero(step.ended & (counted < wanted)):
            returns[i].append(float(running_return[i]))
            lengths[i].append(int(running_length[i]))
            capped[i].append(bool(step.truncated[i] and not step.terminated[i]))
            counted[i] += 1
        running_return[step.ended], running_length[step.ended] = 0.0, 0
        if progress is not None:
            progress(int(counted.sum()), num_games)
    return GameScores(
        returns=np.array([value for games in returns for value in games], dtype=np.float64),
        lengths=np.array([value for games in lengths for value in games], dtype=np.int64),
        capped=np.array([value for games in capped for value in games], dtype=np.bool_),
        environments=np.repeat(np.arange(env.num_envs, dtype=np.int64), wanted),
        seed=seed,
        policy=policy.describe(),
        first_game=np.stack(recording) if recording else None,
    )


def evaluate_policy(
    cfg: EnvConfig,
    make_policy: Callable[[VectorEnv], Policy],
    num_games: int,
    *,
    num_envs: int,
    seed: int,
    max_episode_steps: int | None = None,
    record_frames: int = 0,
    make_env: MakeEnv = make_real_env,
    progress: Progress | None = None,
) -> GameScores:
    """Open the environments, play whole games (see `play_games`) and close them.

    `make_policy` is given the open environments, for their number and their actions. `max_episode_steps` overrides the
    step cap of the configuration.
    """
    cap = cfg.max_episode_steps if max_episode_steps is None else max_episode_steps
    env = make_env(dataclasses.replace(cfg, max_episode_steps=cap), min(num_envs, num_games), training=False)
    try:
        scores = play_games(env, make_policy(env), num_games, seed=seed, record_frames=record_frames, progress=progress)
    finally:
        env.close()
    return dataclasses.replace(scores, max_episode_steps=cap)


def evaluate_agent(
    cfg: EnvConfig,
    actor_critic: RecurrentAgent,
    num_games: int,
    *,
    num_envs: int,
    seed: int,
    device: torch.device,
    mode: Mode = "sampled",
    temperature: float = 1.0,
    epsilon: float = 0.0,
    max_episode_steps: int | None = None,
    record_frames: int = 0,
    make_env: MakeEnv = make_real_env,
    progress: Progress | None = None,
) -> GameScores:
    """The score of a network in the real game; by default the paper's protocol: sampled actions, epsilon 0.

    `seed` seeds the environments and, in a generator of its own, the sampled actions.
    """

    def make_policy(env: VectorEnv) -> Policy:
        generator = torch.Generator().manual_seed(seed)
        return NetworkPolicy(actor_critic, env.num_envs, device, generator, mode, temperature, epsilon)

    return evaluate_policy(
        cfg,
        make_policy,
        num_games,
        num_envs=num_envs,
        seed=seed,
        max_episode_steps=max_episode_steps,
        record_frames=record_frames,
        make_env=make_env,
        progress=progress,
    )


def score(
    agent: Agent,
    episodes: int,
    seed: int,
    mode: Mode = "sampled",
    temperature: float = 1.0,
    max_episode_steps: int | None = None,
    record_frames: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], GameScores]:
    """Play whole real games; the summary (JSON-ready) and the games themselves."""
    games = evaluate_agent(
        agent.config.env,
        agent.actor_critic,
        episodes,
        num_envs=agent.config.schedule.evaluation_envs,
        seed=seed,
        device=agent.device,
        mode=mode,
        temperature=temperature,
        max_episode_steps=max_episode_steps,
        record_frames=record_frames,
        progress=progress,
    )
    return summarise(games, agent.config.env.name), games


def summarise(scores: GameScores, game: str, rng: np.random.Generator | None = None) -> dict[str, Any]:
    """A JSON-ready record: mean return with its 95 % interval, the human scale, every game, and how it was played.

    The human-normalised values are None for environments without published reference scores. Without `rng` the interval
    is drawn from a generator seeded by `scores.seed`.
    """
    rng = np.random.default_rng(scores.seed) if rng is None else rng
    estimate = bootstrap_mean(scores.returns, rng)
    return {
        **estimate._asdict(),
        "human_normalised": human_normalised(game, estimate.mean),
        "human_normalised_low": human_normalised(game, estimate.low),
        "human_normalised_high": human_normalised(game, estimate.high),
        **scores.policy,
        "seed": scores.seed,
        "num_envs": int(scores.environments.max()) + 1,
        "max_episode_steps": scores.max_episode_steps,
        "capped": int(scores.capped.sum()),
        "returns": scores.returns.tolist(),
        "lengths": scores.lengths.tolist(),
    }


def metrics_row(summary: dict[str, Any]) -> dict[str, float]:
    """A summary as flat metrics for `metrics.jsonl`."""
    row = {
        "evaluation/return_mean": summary["mean"],
        "evaluation/return_low": summary["low"],
        "evaluation/return_high": summary["high"],
        "evaluation/episodes": summary["n"],
        "evaluation/length_mean": float(np.mean(summary["lengths"])),
        "evaluation/capped": summary["capped"],
    }
    if summary["human_normalised"] is not None:
        row["evaluation/human_normalised"] = summary["human_normalised"]
    return row
