"""What a run is told: every hyper-parameter with its meaning, unit and range; presets; the form it has in files."""

from diamond.config.experiment import (
    ActorCriticConfig,
    CollectionConfig,
    ComputeConfig,
    Config,
    DenoiserConfig,
    EnvConfig,
    ImaginationConfig,
    LoggingConfig,
    ReplayConfig,
    RewardModelConfig,
    SamplerConfig,
    ScheduleConfig,
    UNetConfig,
    UpdateConfig,
    UpdatesConfig,
)
from diamond.config.serial import FREE_ON_RESUME, changes_that_forbid_resume, flatten, from_dict, to_dict

__all__ = [
    "FREE_ON_RESUME",
    "ActorCriticConfig",
    "CollectionConfig",
    "ComputeConfig",
    "Config",
    "DenoiserConfig",
    "EnvConfig",
    "ImaginationConfig",
    "LoggingConfig",
    "ReplayConfig",
    "RewardModelConfig",
    "SamplerConfig",
    "ScheduleConfig",
    "UNetConfig",
    "UpdateConfig",
    "UpdatesConfig",
    "changes_that_forbid_resume",
    "flatten",
    "from_dict",
    "to_dict",
]
