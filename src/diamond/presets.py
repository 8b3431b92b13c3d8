"""Named configurations; a preset is a function that returns a typed `Config`."""

from collections.abc import Callable

from diamond.config import (
    ActorCriticConfig,
    CollectionConfig,
    Config,
    DenoiserConfig,
    EnvConfig,
    ImaginationConfig,
    RewardModelConfig,
    SamplerConfig,
    ScheduleConfig,
    UNetConfig,
    UpdateConfig,
    UpdatesConfig,
)
from diamond.errors import ConfigError


def atari100k() -> Config:
    """The paper's experiment: any of 26 Atari games, 100,000 steps, 1,000 epochs (for a GPU)."""
    return Config()


def debug() -> Config:
    """Everything once, as small as it goes: end to end in under a minute, learns nothing."""
    return Config(
        preset="debug",
        env=EnvConfig(game="Breakout", height=16, width=16, max_episode_steps=200),
        collection=CollectionConfig(
            first_epoch_min_steps=100, first_epoch_max_steps=200, steps_per_epoch=20, total_steps=240
        ),
        denoiser=DenoiserConfig(
            unet=UNetConfig(channels=(8, 8), depths=(1, 1), attention=(False, False), condition_channels=16)
        ),
        sampler=SamplerConfig(num_steps=2),
        reward_model=RewardModelConfig(
            channels=(8, 8),
            depths=(1, 1),
            attention=(False, False),
            condition_channels=8,
            lstm_size=16,
            segment_length=8,
        ),
        actor_critic=ActorCriticConfig(channels=(8, 8), downsample=(True, True), lstm_size=16, window=5),
        imagination=ImaginationConfig(num_envs=4, horizon=5),
        updates=UpdatesConfig(
            denoiser=UpdateConfig(updates_per_epoch=3, first_epoch_updates=5, batch_size=4, warmup_updates=2),
            reward_model=UpdateConfig(
                updates_per_epoch=3, first_epoch_updates=5, batch_size=4, warmup_updates=2, max_gradient_norm=100.0
            ),
            actor_critic=UpdateConfig(
                updates_per_epoch=3, first_epoch_updates=5, warmup_updates=2, weight_decay=0.0, max_gradient_norm=100.0
            ),
        ),
        schedule=ScheduleConfig(
            epochs=3,
            evaluate_every=2,
            evaluation_episodes=2,
            final_episodes=2,
            evaluation_envs=2,
            checkpoint_every=1,
            keep_every=2,
            baseline_selection_games=1,
            fidelity_segments=8,
        ),
    )


DEFAULT_PRESET = "debug"
PRESETS: dict[str, Callable[[], Config]] = {"atari100k": atari100k, "debug": debug}


def preset(name: str) -> Config:
    """The configuration of a preset.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]()
