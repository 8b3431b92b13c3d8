"""The baselines are measured fairly: same games as the agent, and no credit for the luck of a choice."""

import json

import numpy as np
import torch
from scripted_games import ScriptedMaker

from diamond.agents.policies import ConstantPolicy
from diamond.config import ActorCriticConfig, EnvConfig
from diamond.envs import make_env
from diamond.evaluation.baselines import evaluation_record, measure_baselines
from diamond.evaluation.scores import evaluate_policy, summarise
from diamond.networks.actor_critic import ActorCritic

CPU = torch.device("cpu")
PAY = {0: 0.0, 1: 3.0, 2: -1.0}


def untrained() -> ActorCritic:
    return ActorCritic(3, 2, 3, ActorCriticConfig(channels=(4,), downsample=(False,), lstm_size=4))


def test_the_best_constant_action_is_found() -> None:
    maker = ScriptedMaker(length=lambda seed: 5, pay=lambda action: PAY[action])
    measured = measure_baselines(EnvConfig(), untrained(), 6, num_envs=2, seed=0, device=CPU, make_env=maker)
    best = measured["best_constant"]
    assert (best["action"], best["action_meaning"], best["mean"]) == (1, "LEFT", 15.0)
    assert [candidate["mean"] for candidate in best["candidates"]] == [0.0, 15.0, -5.0]
    assert set(measured) == {"random", "best_constant", "untrained"}
    assert all(summary["n"] == 6 and summary["seed"] == 0 for summary in measured.values())
    json.dumps(measured)


def test_without_a_network_there_is_no_untrained_score() -> None:
    measured = measure_baselines(
        EnvConfig(), None, 2, num_envs=2, seed=0, device=CPU, selection_games=1, make_env=ScriptedMaker()
    )
    assert set(measured) == {"random", "best_constant"}


def test_the_choice_is_made_on_other_games_than_the_measurement() -> None:
    maker = ScriptedMaker()
    measure_baselines(EnvConfig(), None, 4, num_envs=4, seed=0, device=CPU, selection_games=4, make_env=maker)
    reference = ScriptedMaker()
    evaluate_policy(EnvConfig(), lambda env: ConstantPolicy(0), 4, num_envs=4, seed=0, make_env=reference)
    measured_on = set(reference.started)
    selected_on = set(maker.started) - measured_on
    # every game that was started is one of the final measurement or one of the selection, which all actions share
    assert len(selected_on) == len(measured_on)
    assert all(maker.started.count(seed) >= len(PAY) for seed in selected_on)


def test_progress_names_what_plays() -> None:
    told: list[str] = []
    measure_baselines(
        EnvConfig(),
        untrained(),
        1,
        num_envs=1,
        seed=0,
        device=CPU,
        selection_games=1,
        make_env=ScriptedMaker(),
        progress=lambda what, done, wanted: told.append(what),
    )
    assert list(dict.fromkeys(told)) == [
        "random policy",
        "constant action NOOP",
        "constant action LEFT",
        "constant action RIGHT",
        "best constant action",
        "untrained network",
    ]


def test_an_untrained_network_plays_like_chance() -> None:
    """Its heads start at zero, so that every action is equally likely."""
    cfg = EnvConfig(id="diamond/Catch-v0", height=16, width=16)
    env = make_env(cfg, 1, training=False)
    env.close()
    measured = measure_baselines(
        cfg,
        ActorCritic(3, 16, 16, ActorCriticConfig(channels=(4,), downsample=(True,), lstm_size=4)),
        100,
        num_envs=8,
        seed=0,
        device=CPU,
    )
    low, high = measured["random"]["low"], measured["random"]["high"]
    assert low < measured["untrained"]["high"] and high > measured["untrained"]["low"]


def test_the_record_of_an_evaluation() -> None:
    maker = ScriptedMaker()
    scores = evaluate_policy(EnvConfig(), lambda env: ConstantPolicy(0), 2, num_envs=1, seed=0, make_env=maker)
    summary = summarise(scores, "Pong")
    record = evaluation_record("Pong", summary, {"random": summary})
    assert record["game"] == "Pong"
    assert record["trained"] == record["random"] == summary
    assert (record["reference"]["random"], record["reference"]["human"]) == (-20.7, 14.6)
    assert "2405.12399" in record["reference"]["source"]
    assert evaluation_record("diamond/Catch-v0", summary)["reference"] is None
    assert np.isfinite(record["trained"]["mean"])
