"""Named configurations; a preset is a function that returns a typed `Config`."""

import dataclasses
from collections.abc import Callable

from diamond.config.experiment import (
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
    """MinAtar Breakout on a CPU, in a quarter of an hour: 10x10 pixels, small networks."""
    return Config(
        preset="laptop",
        env=EnvConfig(id="MinAtar/Breakout-v1", height=10, width=10, max_episode_steps=5_000),
        collection=CollectionConfig(
            first_epoch_min_steps=5_000, first_epoch_max_steps=6_000, steps_per_epoch=1_000, total_steps=20_000
        ),
        denoiser=DenoiserConfig(
            unet=_unet(channels=(16, 32), condition_channels=64),
            autoregressive_steps=1,
            # Only the last frame of a game shows the ball below the paddle.
            final_frames=True,
        ),
        reward_model=_reward_model((16, 32), condition_channels=64, lstm_size=128, segment_length=19),
        actor_critic=ActorCriticConfig(
            channels=(16, 32), downsample=(True, True), lstm_size=128, entropy_weight=0.01, burn_in_gradient=False
        ),
        imagination=ImaginationConfig(num_envs=16),
        updates=_updates(
            denoiser=(2_000, 250),
            reward_model=(300, 40),
            actor_critic=(200, 110),
            batch_size=16,
            warmup_updates=50,
            ema_decays=(0.995, 0.98),
        ),
        schedule=ScheduleConfig(
            epochs=15,
            evaluate_every=5,
            evaluation_episodes=16,
            final_episodes=100,
            checkpoint_every=1,
            keep_every=0,
            baseline_selection_games=10,
        ),
        # A second thread makes networks this small a seventh faster on an idle machine, far slower on a busy one.
        compute=ComputeConfig(threads=1),
    )


def debug() -> Config:
    """Everything once, as small as it goes: end to end in under a minute, learns nothing."""
    return Config(
        preset="debug",
        env=EnvConfig(game="Breakout", height=16, width=16, max_episode_steps=200),
        collection=CollectionConfig(
            first_epoch_min_steps=100, first_epoch_max_steps=200, steps_per_epoch=20, total_steps=240
        ),
        denoiser=DenoiserConfig(unet=_unet(channels=(8, 8), condition_channels=16)),
        sampler=SamplerConfig(num_steps=2),
        reward_model=_reward_model((8, 8), condition_channels=8, lstm_size=16, segment_length=8),
        actor_critic=ActorCriticConfig(channels=(8, 8), downsample=(True, True), lstm_size=16, window=5),
        imagination=ImaginationConfig(num_envs=4, horizon=5),
        updates=_updates(denoiser=(5, 3), reward_model=(5, 3), actor_critic=(5, 3), batch_size=4, warmup_updates=2),
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
        compute=ComputeConfig(threads=1),
    )


def _unet(channels: tuple[int, ...], condition_channels: int) -> UNetConfig:
    """One block a level, attention in the middle only."""
    return UNetConfig(channels, (1,) * len(channels), (False,) * len(channels), condition_channels)


def _reward_model(
    channels: tuple[int, ...], condition_channels: int, lstm_size: int, segment_length: int
) -> RewardModelConfig:
    """One block a level, attention at the lowest resolution only."""
    depths, attention = (1,) * len(channels), (False,) * len(channels)
    return RewardModelConfig(channels, depths, attention, condition_channels, lstm_size, segment_length)


def _updates(
    denoiser: tuple[int, int],
    reward_model: tuple[int, int],
    actor_critic: tuple[int, int],
    batch_size: int,
    warmup_updates: int,
    ema_decays: tuple[float, float] = (0.0, 0.0),
) -> UpdatesConfig:
    """Updates in the first epoch and in each later one, with the step size of networks of some 100,000 weights.

    `ema_decays` are the denoiser's and the reward model's.
    """
    paper = UpdatesConfig()

    def small(cfg: UpdateConfig, updates: tuple[int, int], ema_decay: float = 0.0) -> UpdateConfig:
        return dataclasses.replace(
            cfg,
            first_epoch_updates=updates[0],
            updates_per_epoch=updates[1],
            batch_size=batch_size,
            learning_rate=1e-3,
            warmup_updates=warmup_updates,
            ema_decay=ema_decay,
        )

    return UpdatesConfig(
        denoiser=small(paper.denoiser, denoiser, ema_decays[0]),
        reward_model=small(paper.reward_model, reward_model, ema_decays[1]),
        actor_critic=small(paper.actor_critic, actor_critic),
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
