"""Every hyper-parameter, with its meaning, unit and the paper's value as default.

A configuration is data: nested frozen dataclasses of numbers, strings and tuples. Nothing in it names code, nothing
read from a file is evaluated. Values out of range raise `ConfigError` as soon as they are given. Presets are in
`config.presets`. Section numbers refer to the paper (Alonso et al. 2024, arXiv 2405.12399), EDM to Karras et al. 2022.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from diamond.errors import ConfigError


def require(holds: bool, name: str, value: object, remedy: str) -> None:
    """Raise a `ConfigError` that names the field, its value and the remedy, unless the condition holds."""
    if not holds:
        raise ConfigError(f"{name} is {value!r}: {remedy}")


@dataclass(frozen=True)
class EnvConfig:
    """The real environment and how its frames are prepared (paper appendix E; Mnih et al. 2015 for Atari)."""

    game: str = "Breakout"
    """Atari game, in the spelling of `<game>NoFrameskip-v4`; not used when `id` is given."""
    id: str | None = None
    """Gymnasium id of another environment with RGB uint8 image observations and discrete actions."""
    height: int = 64
    """Height of stored frames in pixels; frames of another size are resized by area averaging."""
    width: int = 64
    """Width of stored frames in pixels."""
    num_envs: int = 1
    """Environments that collect side by side."""
    frame_skip: int = 4
    """Emulator frames per action (Atari only); the frame kept is the maximum of the last two."""
    max_noops: int = 30
    """Up to this many no-op actions start each game (Atari only)."""
    life_loss_ends_episode: bool = True
    """A lost life ends the stored training episode; the game itself goes on (Atari only)."""
    max_episode_steps: int = 27_000
    """Agent steps after which a game is truncated (27,000 steps = 108,000 Atari frames)."""

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            require(8 <= getattr(self, name) <= 1024, f"env.{name}", getattr(self, name), "choose 8 to 1024 pixels")
        require(self.num_envs >= 1, "env.num_envs", self.num_envs, "use at least 1")
        require(self.frame_skip >= 1, "env.frame_skip", self.frame_skip, "use at least 1")
        require(self.max_noops >= 0, "env.max_noops", self.max_noops, "use 0 or more")
        require(self.max_episode_steps >= 1, "env.max_episode_steps", self.max_episode_steps, "use at least 1")

    @property
    def name(self) -> str:
        """What the environment is called in reports and run folders."""
        return self.id if self.id is not None else self.game


@dataclass(frozen=True)
class CollectionConfig:
    """How much real experience is gathered, and when (paper appendix E)."""

    epsilon: float = 0.01
    """Probability that a collected action is uniformly random, drawn for each environment and step."""
    first_epoch_min_steps: int = 5_000
    """Steps collected before any training."""
    first_epoch_max_steps: int = 10_000
    """Collection before training goes on in rounds until the rarer reward signs reach `first_epoch_min_rewards`, but
    not beyond this many steps."""
    first_epoch_min_rewards: int = 10
    """Samples wanted of the two rarer reward signs together before training starts."""
    steps_per_epoch: int = 100
    """Steps collected in each epoch, the first included, until `total_steps`."""
    total_steps: int = 100_000
    """Real environment steps in the whole run."""
    recordings: tuple[str, ...] = ()
    """Folders of episodes to begin with, such as a player's recordings; they come on top of `total_steps` and are
    copied into the run."""
    dreamed_recordings: bool = False
    """Also take the recordings that were played in a dream."""

    def __post_init__(self) -> None:
        require(0 <= self.epsilon <= 1, "collection.epsilon", self.epsilon, "choose a probability from 0 to 1")
        require(
            self.first_epoch_min_steps >= 1,
            "collection.first_epoch_min_steps",
            self.first_epoch_min_steps,
            "use at least 1",
        )
        require(
            self.first_epoch_max_steps >= self.first_epoch_min_steps,
            "collection.first_epoch_max_steps",
            self.first_epoch_max_steps,
            f"use at least first_epoch_min_steps ({self.first_epoch_min_steps})",
        )
        require(
            self.first_epoch_min_rewards >= 0,
            "collection.first_epoch_min_rewards",
            self.first_epoch_min_rewards,
            "use 0 or more",
        )
        require(self.steps_per_epoch >= 1, "collection.steps_per_epoch", self.steps_per_epoch, "use at least 1")
        require(
            self.total_steps >= self.first_epoch_max_steps,
            "collection.total_steps",
            self.total_steps,
            f"use at least first_epoch_max_steps ({self.first_epoch_max_steps})",
        )


@dataclass(frozen=True)
class ReplayConfig:
    """How training segments are drawn from the episodes."""

    age_weights: tuple[float, ...] = (0.1, 0.1, 0.1, 0.7)
    """Share of samples for each quarter of the episodes, oldest first; any number of groups, sum 1. Empty: by
    length."""

    def __post_init__(self) -> None:
        require(
            all(weight >= 0 for weight in self.age_weights)
            and (not self.age_weights or abs(sum(self.age_weights) - 1) < 1e-6),
            "replay.age_weights",
            self.age_weights,
            "give shares of 0 or more that add up to 1, or none",
        )


@dataclass(frozen=True)
class UNetConfig:
    """The denoiser's network (paper appendix D): channels, blocks and attention, one entry per resolution level."""

    channels: tuple[int, ...] = (64, 64, 64, 64)
    """Feature channels of each level; every level halves the resolution of the one before."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Residual blocks of each level on the way down; the way up has one more."""
    attention: tuple[bool, ...] = (False, False, False, False)
    """Self-attention after each residual block of a level; the middle blocks always have it."""
    condition_channels: int = 256
    """Width of the conditioning vector; a multiple of the context length and of 2."""

    def __post_init__(self) -> None:
        _check_levels("denoiser.unet", self.channels, self.depths, self.attention)
        joined = [2 * width for width in self.channels] + [sum(pair) for pair in pairwise(self.channels)]
        require(
            all(map(_can_be_normalised, joined)),
            "denoiser.unet.channels",
            self.channels,
            "on the way up a level's channels join its own and those above: their sums too must be divisible by their "
            "number of normalisation groups, channels // 32",
        )
        require(
            self.condition_channels >= 2 and self.condition_channels % 2 == 0,
            "denoiser.unet.condition_channels",
            self.condition_channels,
            "use an even number of at least 2",
        )


def _can_be_normalised(channels: int) -> bool:
    """Whether the groups of `networks.blocks.num_groups` are of one size."""
    return channels < 64 or channels % (channels // 32) == 0


def _check_levels(name: str, channels: tuple[int, ...], depths: tuple[int, ...], attention: tuple[bool, ...]) -> None:
    require(
        len(channels) >= 1 and min(channels) >= 1, f"{name}.channels", channels, "give one positive number per level"
    )
    require(
        all(map(_can_be_normalised, channels)),
        f"{name}.channels",
        channels,
        "each must be divisible by its number of normalisation groups, channels // 32",
    )
    require(
        len(depths) == len(channels) and min(depths) >= 1,
        f"{name}.depths",
        depths,
        f"give {len(channels)} positive numbers, one per level",
    )
    require(
        len(attention) == len(channels), f"{name}.attention", attention, f"give {len(channels)} values, one per level"
    )


@dataclass(frozen=True)
class DenoiserConfig:
    """The diffusion model of the next frame (paper sections 2.2 and 3.1; EDM table 1)."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    context_length: int = 4
    """Past frames and actions that the model sees."""
    autoregressive_steps: int = 2
    """Frames predicted in a row during training, each from a context that holds the predictions before it."""
    sigma_data: float = 0.5
    """Standard deviation of the frames, as the preconditioning assumes it."""
    sigma_offset: float = 0.3
    """Standard deviation of the offset noise: one value per image and channel, added to the per-pixel noise."""
    training_sigma_log_mean: float = -0.4
    """Mean of ln(sigma) in training."""
    training_sigma_log_std: float = 1.2
    """Standard deviation of ln(sigma) in training."""
    training_sigma_min: float = 2e-3
    """Smallest noise level in training."""
    training_sigma_max: float = 20.0
    """Largest noise level in training."""
    final_frames: bool = False
    """Whether the true last frame of each episode is learned too. The paper's denoiser never sees it, so its dream
    cannot show what only a game's end shows, such as a ball below the paddle."""
    published: bool = False
    """Reproduce two quirks of the published code, for weights trained by it: frames are rounded down to the pixel
    grid, and a sampler with churn tells the network the noise level before churn."""

    def __post_init__(self) -> None:
        require(self.context_length >= 1, "denoiser.context_length", self.context_length, "use at least 1")
        require(
            self.unet.condition_channels % self.context_length == 0,
            "denoiser.context_length",
            self.context_length,
            f"must divide denoiser.unet.condition_channels ({self.unet.condition_channels})",
        )
        require(
            self.autoregressive_steps >= 1, "denoiser.autoregressive_steps", self.autoregressive_steps, "use at least 1"
        )
        require(self.sigma_data > 0, "denoiser.sigma_data", self.sigma_data, "use a positive number")
        require(self.sigma_offset >= 0, "denoiser.sigma_offset", self.sigma_offset, "use 0 or more")
        require(
            self.training_sigma_log_std > 0,
            "denoiser.training_sigma_log_std",
            self.training_sigma_log_std,
            "use a positive number",
        )
        require(
            0 < self.training_sigma_min < self.training_sigma_max,
            "denoiser.training_sigma_min",
            self.training_sigma_min,
            f"use a positive number below training_sigma_max ({self.training_sigma_max})",
        )


@dataclass(frozen=True)
class SamplerConfig:
    """How the next frame is drawn (EDM equation 5 and algorithm 2)."""

    num_steps: int = 3
    """Denoising steps per frame."""
    sigma_min: float = 2e-3
    """Last noise level above zero."""
    sigma_max: float = 5.0
    """First noise level."""
    rho: float = 7.0
    """Curvature of the noise schedule; larger spends more steps at low noise."""
    order: Literal[1, 2] = 1
    """1: Euler, one network call a step. 2: Heun, two calls, except in the last step."""
    initial_noise_std: float = 1.0
    """Standard deviation of the starting image. The published sampler uses 1, not `sigma_max`: less variance, less
    drift."""
    s_churn: float = 0.0
    """Amount of noise put back in each step (EDM algorithm 2); 0 is deterministic given the starting image."""
    s_tmin: float = 0.0
    """Lowest noise level at which noise is put back."""
    s_tmax: float = float("inf")
    """Highest noise level at which noise is put back."""
    s_noise: float = 1.0
    """Standard deviation of the noise put back."""

    def __post_init__(self) -> None:
        require(self.num_steps >= 1, "sampler.num_steps", self.num_steps, "use at least 1")
        require(
            0 < self.sigma_min < self.sigma_max,
            "sampler.sigma_min",
            self.sigma_min,
            f"use a positive number below sigma_max ({self.sigma_max})",
        )
        require(self.rho > 0, "sampler.rho", self.rho, "use a positive number")
        require(self.order in (1, 2), "sampler.order", self.order, "use 1 (Euler) or 2 (Heun)")
        require(
            self.initial_noise_std > 0, "sampler.initial_noise_std", self.initial_noise_std, "use a positive number"
        )
        for name in ("s_churn", "s_tmin", "s_tmax", "s_noise"):
            require(getattr(self, name) >= 0, f"sampler.{name}", getattr(self, name), "use 0 or more")


@dataclass(frozen=True)
class RewardModelConfig:
    """The recurrent model of reward sign and termination (paper section 3.2, appendix D)."""

    channels: tuple[int, ...] = (32, 32, 32, 32)
    """Feature channels of each level; every level halves the resolution of the one before."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Residual blocks of each level."""
    attention: tuple[bool, ...] = (False, False, False, False)
    """Self-attention after each residual block of a level; the last two blocks always have it."""
    condition_channels: int = 128
    """Width of the action embedding that conditions the residual blocks."""
    lstm_size: int = 512
    """Width of the recurrent state."""
    segment_length: int = 19
    """Frames of a training segment (one more than its transitions)."""

    def __post_init__(self) -> None:
        _check_levels("reward_model", self.channels, self.depths, self.attention)
        for name in ("condition_channels", "lstm_size"):
            require(getattr(self, name) >= 1, f"reward_model.{name}", getattr(self, name), "use at least 1")
        require(self.segment_length >= 2, "reward_model.segment_length", self.segment_length, "use at least 2 frames")


@dataclass(frozen=True)
class ActorCriticConfig:
    """The agent and its objective (paper section 3.2, appendices D and F)."""

    channels: tuple[int, ...] = (32, 32, 64, 64)
    """Feature channels of each convolutional block."""
    downsample: tuple[bool, ...] = (True, True, True, True)
    """Whether a block ends by halving the resolution."""
    lstm_size: int = 512
    """Width of the recurrent state."""
    window: int = 15
    """Imagined steps between two updates."""
    discount: float = 0.985
    """Weight of the next step's return, gamma."""
    lambda_: float = 0.95
    """Mix of bootstrapped values (0) and imagined rewards (1) in the return."""
    value_weight: float = 1.0
    """Weight of the squared error of the value."""
    entropy_weight: float = 0.001
    """Weight of the policy's entropy, which keeps it exploring."""
    burn_in_gradient: bool = True
    """Whether gradients flow through the frames that warm up the recurrent state after a restart inside a window."""

    def __post_init__(self) -> None:
        require(
            len(self.channels) >= 1 and min(self.channels) >= 1,
            "actor_critic.channels",
            self.channels,
            "give one positive number per block",
        )
        require(
            all(map(_can_be_normalised, self.channels)),
            "actor_critic.channels",
            self.channels,
            "each must be divisible by its number of normalisation groups, channels // 32",
        )
        require(
            len(self.downsample) == len(self.channels),
            "actor_critic.downsample",
            self.downsample,
            f"give {len(self.channels)} values, one per block",
        )
        for name in ("lstm_size", "window"):
            require(getattr(self, name) >= 1, f"actor_critic.{name}", getattr(self, name), "use at least 1")
        for name in ("discount", "lambda_"):
            require(0 <= getattr(self, name) <= 1, f"actor_critic.{name}", getattr(self, name), "choose from 0 to 1")
        for name in ("value_weight", "entropy_weight"):
            require(getattr(self, name) >= 0, f"actor_critic.{name}", getattr(self, name), "use 0 or more")


@dataclass(frozen=True)
class ImaginationConfig:
    """The dream in which the agent trains (paper section 3.2)."""

    num_envs: int = 32
    """Dreams that run side by side; the batch size of the actor-critic."""
    horizon: int = 15
    """Imagined steps after which a dream restarts from real frames."""

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "imagination.num_envs", self.num_envs, "use at least 1")
        require(self.horizon >= 1, "imagination.horizon", self.horizon, "use at least 1")


@dataclass(frozen=True)
class UpdateConfig:
    """One network's optimiser (AdamW) and how often it runs (paper appendix E)."""

    updates_per_epoch: int = 400
    """Gradient steps in each epoch after the first."""
    first_epoch_updates: int = 10_000
    """Gradient steps in the first epoch."""
    batch_size: int = 32
    """Segments per gradient step; the actor-critic's batch is `imagination.num_envs` instead."""
    learning_rate: float = 1e-4
    """Step size after the warm-up."""
    weight_decay: float = 1e-2
    """Decoupled weight decay; never applied to biases, normalisation and embeddings."""
    epsilon: float = 1e-8
    """Added to the denominator of Adam."""
    warmup_updates: int = 100
    """Updates over which the step size grows linearly from 0."""
    max_gradient_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""
    ema_decay: float = 0.0
    """Decay of an exponential moving average of the weights, used for dreaming and acting; 0 uses the weights
    themselves."""

    def __post_init__(self) -> None:
        for name in ("updates_per_epoch", "first_epoch_updates", "warmup_updates"):
            require(getattr(self, name) >= 0, f"updates.{name}", getattr(self, name), "use 0 or more")
        require(self.batch_size >= 1, "updates.batch_size", self.batch_size, "use at least 1")
        for name in ("learning_rate", "epsilon", "max_gradient_norm"):
            require(getattr(self, name) > 0, f"updates.{name}", getattr(self, name), "use a positive number")
        require(self.weight_decay >= 0, "updates.weight_decay", self.weight_decay, "use 0 or more")
        require(0 <= self.ema_decay < 1, "updates.ema_decay", self.ema_decay, "choose from 0 to below 1")


def _actor_critic_updates() -> UpdateConfig:
    return UpdateConfig(first_epoch_updates=5_000, weight_decay=0.0, max_gradient_norm=100.0)


@dataclass(frozen=True)
class UpdatesConfig:
    """The optimisers of the three networks, in the order in which each epoch runs them."""

    denoiser: UpdateConfig = field(default_factory=UpdateConfig)
    reward_model: UpdateConfig = field(default_factory=lambda: UpdateConfig(max_gradient_norm=100.0))
    actor_critic: UpdateConfig = field(default_factory=_actor_critic_updates)


@dataclass(frozen=True)
class ScheduleConfig:
    """Epochs, evaluations and checkpoints."""

    epochs: int = 1_000
    """Epochs in the whole run."""
    evaluate_every: int = 10
    """Epochs between evaluations in the real environment; 0 never evaluates before the end."""
    evaluation_episodes: int = 4
    """Whole games per evaluation during training."""
    final_episodes: int = 100
    """Whole games of the evaluation at the end."""
    evaluation_envs: int = 8
    """Games that an evaluation plays side by side."""
    baseline_selection_games: int = 0
    """Games per constant action by which the best one is found at the end, to compare with; 0 measures no baselines."""
    fidelity_segments: int = 256
    """Held-out real segments on which the dream's errors are measured at the end."""
    checkpoint_every: int = 10
    """Epochs between checkpoints; a stopped run resumes from the newest."""
    checkpoint_minutes: float = 30.0
    """Minutes without a checkpoint after which one is written in the middle of an epoch, so that a crash or a power
    failure costs no more than this; 0 writes none by time. The first epoch of `atari100k` alone takes hours."""
    keep_every: int = 100
    """Every checkpoint at a multiple of this many epochs is kept, besides the newest and the best; 0 keeps only
    those."""

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "evaluation_episodes",
            "final_episodes",
            "evaluation_envs",
            "checkpoint_every",
            "fidelity_segments",
        ):
            require(getattr(self, name) >= 1, f"schedule.{name}", getattr(self, name), "use at least 1")
        for name in ("evaluate_every", "checkpoint_minutes", "keep_every", "baseline_selection_games"):
            require(getattr(self, name) >= 0, f"schedule.{name}", getattr(self, name), "use 0 or more")


@dataclass(frozen=True)
class ComputeConfig:
    """Where and how the arithmetic runs; none of it changes what is computed, only how exactly and how fast."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps` ...; `auto` takes the fastest device present."""
    bfloat16: bool = False
    """Run the networks under bfloat16 autocast; weights, losses and noise scaling stay float32. On a CPU in place of
    the fused kernels."""
    compile: bool = False
    """Compile what training spends its time in with `torch.compile`; on a CPU in place of the fused kernels."""
    fused: bool = True
    """On a CPU under Linux, dream, act and evaluate on this package's own fused kernels, which the machine's C++
    compiler builds at the first use; without one, on PyTorch's operations. Last digits differ; off, all machines are
    equal."""
    threads: int = 0
    """CPU threads for PyTorch; 0 leaves PyTorch's choice. Another number may change results in the last digits."""

    def __post_init__(self) -> None:
        require(self.threads >= 0, "compute.threads", self.threads, "use 0 or more")


@dataclass(frozen=True)
class LoggingConfig:
    """Where metrics go besides `metrics.jsonl`."""

    tensorboard: bool = True
    """Write TensorBoard event files into the run folder."""
    wandb: bool = False
    """Also log to Weights & Biases; a failure there is reported once and never stops the run."""


MAY_BE_INFINITE = ("sampler.s_tmax", "max_gradient_norm")
"""Ends of the names of fields where infinity means "no limit"."""


@dataclass(frozen=True)
class Config:
    """All hyper-parameters of a run; the defaults are the paper's Atari 100k experiment."""

    preset: str = "atari100k"
    """The preset that these values started from."""
    seed: int = 0
    """Seed of every random stream of the run."""
    env: EnvConfig = field(default_factory=EnvConfig)
    collection: CollectionConfig = field(default_factory=CollectionConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    actor_critic: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    updates: UpdatesConfig = field(default_factory=UpdatesConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "choose from 0 to 4294967295")
        for name, value in flatten(self).items():
            finite = not isinstance(value, float) or math.isfinite(value) or name.endswith(MAY_BE_INFINITE)
            require(finite, name, value, "use a finite number")
        smallest = min(self.env.height, self.env.width)
        for name, halvings in (
            ("reward_model.channels", len(self.reward_model.channels) - 1),
            ("actor_critic.downsample", sum(self.actor_critic.downsample)),
        ):
            require(
                smallest >> halvings >= 1,
                name,
                f"{halvings} halvings",
                f"too many for frames of {self.env.height}x{self.env.width}; use fewer levels or larger frames",
            )


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted field names and their values, for example `denoiser.unet.channels`.

    Args:
        config: a configuration or the table that its file holds.
        prefix: stands before each name.
    """
    flat: dict[str, Any] = {}
    for name, value in (config if isinstance(config, dict) else vars(config)).items():
        if dataclasses.is_dataclass(value) or (isinstance(value, dict) and value):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
