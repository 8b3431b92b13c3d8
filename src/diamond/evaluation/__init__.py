"""How good an agent and its dream are: scores with intervals, baselines, videos, reports.

`diamond.evaluation.video` and `diamond.evaluation.report` are imported by name, because of the libraries they need.
"""

from diamond.evaluation.baselines import evaluation_record, measure_baselines
from diamond.evaluation.policies import ConstantPolicy, NetworkPolicy, Policy, RandomPolicy
from diamond.evaluation.scores import (
    GameScores,
    evaluate_agent,
    evaluate_policy,
    metrics_row,
    play_games,
    quotas,
    summarise,
)
from diamond.evaluation.statistics import Estimate, bootstrap_mean, human_normalised, reference_scores

__all__ = [
    "ConstantPolicy",
    "Estimate",
    "GameScores",
    "NetworkPolicy",
    "Policy",
    "RandomPolicy",
    "bootstrap_mean",
    "evaluate_agent",
    "evaluate_policy",
    "evaluation_record",
    "human_normalised",
    "measure_baselines",
    "metrics_row",
    "play_games",
    "quotas",
    "reference_scores",
    "summarise",
]
