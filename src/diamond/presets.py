"""Named configurations; a preset is a function that returns a typed `Config`."""

from collections.abc import Callable

from diamond.config import (
    ActorCriticConfig,
    CollectionConfig,
    ComputeConfig,
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


def laptop() -> Config:
    """Real Atari on two CPU cores in about a quarter of an hour: Ms. Pac-Man in 24x24 pixels, small networks."""
    learning_rate, batch_size, warmup_updates = 1e-3, 16, 50
    return Config(
        preset="laptop",
        env=EnvConfig(game="MsPacman", height=24, width=24),
        collection=CollectionConfig(
            first_epoch_min_steps=5_000, first_epoch_max_steps=6_000, steps_per_epoch=400, total_steps=12_000
        ),
        denoiser=DenoiserConfig(
            unet=UNetConfig(
                channels=(16, 16, 32), depths=(1, 1, 1), attention=(False, False, False), condition_channels=64
            ),
            autoregressive_steps=1,
            # One denoising step only ever meets the highest noise level, so training stays near it.
            training_sigma_log_mean=1.2,
            training_sigma_log_std=0.8,
        ),
        sampler=SamplerConfig(num_steps=1),
        reward_model=RewardModelConfig(
            channels=(8, 16, 32),
            depths=(1, 1, 1),
            attention=(False, False, False),
            condition_channels=64,
            lstm_size=128,
            segment_length=10,
        ),
        actor_critic=ActorCriticConfig(
            channels=(16, 32, 32),
            downsample=(True, True, True),
            lstm_size=128,
            entropy_weight=0.01,
            burn_in_gradient=False,
        ),
        imagination=ImaginationConfig(num_envs=16),
        updates=UpdatesConfig(
            denoiser=UpdateConfig(
                updates_per_epoch=150,
                first_epoch_updates=2_500,
                batch_size=batch_size,
                learning_rate=learning_rate,
                warmup_updates=warmup_updates,
            ),
            reward_model=UpdateConfig(
                updates_per_epoch=40,
                first_epoch_updates=300,
                batch_size=batch_size,
                learning_rate=learning_rate,
                warmup_updates=warmup_updates,
                max_gradient_norm=100.0,
            ),
            actor_critic=UpdateConfig(
                updates_per_epoch=70,
                first_epoch_updates=200,
                learning_rate=7e-4,
                weight_decay=0.0,
                warmup_updates=warmup_updates,
                max_gradient_norm=100.0,
            ),
        ),
        schedule=ScheduleConfig(
            epochs=15,
            evaluate_every=5,
            evaluation_episodes=8,
            final_episodes=40,
            checkpoint_every=1,
            keep_every=0,
            baseline_selection_games=4,
        ),
        compute=ComputeConfig(threads=2),
    )


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


DEFAULT_PRESET = "laptop"
PRESETS: dict[str, Callable[[], Config]] = {"laptop": laptop, "atari100k": atari100k, "debug": debug}


def preset(name: str) -> Config:
    """The configuration of a preset.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]()
