"""Every hyper-parameter, with its meaning, unit and the paper's value as default.

A configuration is data: nested frozen dataclasses of numbers, strings and tuples. Nothing in it names code, nothing
read from a file is evaluated. A range stands beside its field. Values outside raise `ConfigError` as soon as they are
given; `check_together` refuses values that do not fit each other. Presets are in `config.presets`. Section numbers
refer to the paper (Alonso et al. 2024, arXiv 2405.12399), EDM to Karras et al. 2022.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from diamond.config.levels import check_channels, check_joined, check_levels
from diamond.config.ranges import AtLeast, Between, Checked, Positive, require


@dataclass(frozen=True)
class EnvConfig(Checked, prefix="env."):
    """The real environment and how its frames are prepared (paper appendix E; Mnih et al. 2015 for Atari)."""

    game: str = "Breakout"
    """Atari game, in the spelling of `<game>NoFrameskip-v4`; not used when `id` is given."""
    id: str | None = None
    """Gymnasium id of another environment with RGB uint8 image observations and discrete actions."""
    height: Annotated[int, Between(8, 1024, "pixels")] = 64
    """Height of stored frames in pixels; frames of another size are resized by area averaging."""
    width: Annotated[int, Between(8, 1024, "pixels")] = 64
    """Width of stored frames in pixels."""
    num_envs: Annotated[int, AtLeast(1)] = 1
    """Environments that collect side by side."""
    frame_skip: Annotated[int, AtLeast(1)] = 4
    """Emulator frames per action (Atari only); the frame kept is the maximum of the last two."""
    max_noops: Annotated[int, AtLeast(0)] = 30
    """Up to this many no-op actions start each game (Atari only)."""
    life_loss_ends_episode: bool = True
    """A lost life ends the stored training episode; the game itself goes on (Atari only)."""
    max_episode_steps: Annotated[int, AtLeast(1)] = 27_000
    """Agent steps after which a game is truncated (27,000 steps = 108,000 Atari frames)."""

    @property
    def name(self) -> str:
        """What the environment is called in reports and run folders."""
        return self.id if self.id is not None else self.game


@dataclass(frozen=True)
class CollectionConfig(Checked, prefix="collection."):
    """How much real experience is gathered, and when (paper appendix E)."""

    epsilon: Annotated[float, Between(0, 1)] = 0.01
    """Probability that a collected action is uniformly random, drawn for each environment and step."""
    first_epoch_min_steps: Annotated[int, AtLeast(1)] = 5_000
    """Steps collected before any training."""
    first_epoch_max_steps: Annotated[int, AtLeast(1)] = 10_000
    """Collection before training goes on in rounds until the rarer reward signs reach `first_epoch_min_rewards`, but
    not beyond this many steps."""
    first_epoch_min_rewards: Annotated[int, AtLeast(0)] = 10
    """Samples wanted of the two rarer reward signs together before training starts."""
    steps_per_epoch: Annotated[int, AtLeast(1)] = 100
    """Steps collected in each epoch, the first included, until `total_steps`."""
    total_steps: Annotated[int, AtLeast(1)] = 100_000
    """Real environment steps in the whole run."""
    recordings: tuple[str, ...] = ()
    """Folders of episodes to begin with, such as a player's recordings; they come on top of `total_steps` and are
    copied into the run."""
    dreamed_recordings: bool = False
    """Also take the recordings that were played in a dream."""

    def check_together(self) -> None:
        """Steps before training fit into those of the whole run."""
        low, high, total = self.first_epoch_min_steps, self.first_epoch_max_steps, self.total_steps
        require(high >= low, "collection.first_epoch_max_steps", high, f"use at least first_epoch_min_steps ({low})")
        require(total >= high, "collection.total_steps", total, f"use at least first_epoch_max_steps ({high})")


@dataclass(frozen=True)
class ReplayConfig(Checked, prefix="replay."):
    """How training segments are drawn from the episodes."""

    age_weights: Annotated[tuple[float, ...], Between(0, 1)] = (0.1, 0.1, 0.1, 0.7)
    """Share of samples for each quarter of the episodes, oldest first; any number of groups, sum 1. Empty: by
    length."""

    def check_together(self) -> None:
        """Shares add up to a whole."""
        whole = not self.age_weights or abs(sum(self.age_weights) - 1) < 1e-6
        require(whole, "replay.age_weights", self.age_weights, "give shares that add up to 1, or none")


@dataclass(frozen=True)
class UNetConfig(Checked, prefix="denoiser.unet."):
    """The denoiser's network (paper appendix D): channels, blocks and attention, one entry per resolution level."""

    channels: Annotated[tuple[int, ...], AtLeast(1, 65_536)] = (64, 64, 64, 64)
    """Feature channels of each level; every level halves the resolution of the one before."""
    depths: Annotated[tuple[int, ...], AtLeast(1, 1_000)] = (2, 2, 2, 2)
    """Residual blocks of each level on the way down; the way up has one more."""
    attention: tuple[bool, ...] = (False, False, False, False)
    """Self-attention after each residual block of a level; the middle blocks always have it."""
    condition_channels: Annotated[int, AtLeast(2, 65_536)] = 256
    """Width of the conditioning vector; a multiple of the context length and of 2."""

    def check_together(self) -> None:
        """Every level is described, and its channels divide into groups."""
        check_levels("denoiser.unet", self.channels, self.depths, self.attention)
        check_joined("denoiser.unet", self.channels)
        even = self.condition_channels % 2 == 0
        require(even, "denoiser.unet.condition_channels", self.condition_channels, "use an even number")


@dataclass(frozen=True)
class DenoiserConfig(Checked, prefix="denoiser."):
    """The diffusion model of the next frame (paper sections 2.2 and 3.1; EDM table 1)."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    context_length: Annotated[int, AtLeast(1, 1_000)] = 4
    """Past frames and actions that the model sees."""
    autoregressive_steps: Annotated[int, AtLeast(1, 1_000)] = 2
    """Frames predicted in a row during training, each from a context that holds the predictions before it."""
    sigma_data: Annotated[float, Positive()] = 0.5
    """Standard deviation of the frames, as the preconditioning assumes it."""
    sigma_offset: Annotated[float, AtLeast(0, 1e6)] = 0.3
    """Standard deviation of the offset noise: one value per image and channel, added to the per-pixel noise."""
    training_sigma_log_mean: Annotated[float, Between(-20, 20)] = -0.4
    """Mean of ln(sigma) in training."""
    training_sigma_log_std: Annotated[float, Positive(high=20)] = 1.2
    """Standard deviation of ln(sigma) in training."""
    training_sigma_min: Annotated[float, Positive()] = 2e-3
    """Smallest noise level in training."""
    training_sigma_max: Annotated[float, Positive()] = 20.0
    """Largest noise level in training."""
    final_frames: bool = False
    """Whether the true last frame of each episode is learned too. The paper's denoiser never sees it, so its dream
    cannot show what only a game's end shows, such as a ball below the paddle."""
    published: bool = False
    """Reproduce two quirks of the published code, for weights trained by it: frames are rounded down to the pixel
    grid, and a sampler with churn tells the network the noise level before churn."""

    def check_together(self) -> None:
        """The context shares the conditioning vector, and noise levels are in order."""
        width, smallest, largest = self.unet.condition_channels, self.training_sigma_min, self.training_sigma_max
        require(
            width % self.context_length == 0,
            "denoiser.context_length",
            self.context_length,
            f"must divide denoiser.unet.condition_channels ({width})",
        )
        require(
            smallest < largest,
            "denoiser.training_sigma_min",
            smallest,
            f"use a positive number below training_sigma_max ({largest})",
        )


@dataclass(frozen=True)
class SamplerConfig(Checked, prefix="sampler."):
    """How the next frame is drawn (EDM equation 5 and algorithm 2)."""

    num_steps: Annotated[int, AtLeast(1, 10_000)] = 3
    """Denoising steps per frame."""
    sigma_min: Annotated[float, Positive()] = 2e-3
    """Last noise level above zero."""
    sigma_max: Annotated[float, Positive()] = 5.0
    """First noise level."""
    rho: Annotated[float, Positive(0.1, 1_000)] = 7.0
    """Curvature of the noise schedule; larger spends more steps at low noise."""
    order: Literal[1, 2] = 1
    """1: Euler, one network call a step. 2: Heun, two calls, except in the last step."""
    initial_noise_std: Annotated[float, Positive()] = 1.0
    """Standard deviation of the starting image. The published sampler uses 1, not `sigma_max`: less variance, less
    drift."""
    s_churn: Annotated[float, AtLeast(0, 1e6)] = 0.0
    """Amount of noise put back in each step (EDM algorithm 2); 0 is deterministic given the starting image."""
    s_tmin: Annotated[float, AtLeast(0, 1e6)] = 0.0
    """Lowest noise level at which noise is put back."""
    s_tmax: Annotated[float, AtLeast(0, float("inf"))] = float("inf")
    """Highest noise level at which noise is put back."""
    s_noise: Annotated[float, AtLeast(0, 1e6)] = 1.0
    """Standard deviation of the noise put back."""

    def check_together(self) -> None:
        """Noise levels are in order."""
        require(
            self.sigma_min < self.sigma_max,
            "sampler.sigma_min",
            self.sigma_min,
            f"use a positive number below sigma_max ({self.sigma_max})",
        )
        require(self.order in (1, 2), "sampler.order", self.order, "use 1 (Euler) or 2 (Heun)")


@dataclass(frozen=True)
class RewardModelConfig(Checked, prefix="reward_model."):
    """The recurrent model of reward sign and termination (paper section 3.2, appendix D)."""

    channels: Annotated[tuple[int, ...], AtLeast(1, 65_536)] = (32, 32, 32, 32)
    """Feature channels of each level; every level halves the resolution of the one before."""
    depths: Annotated[tuple[int, ...], AtLeast(1, 1_000)] = (2, 2, 2, 2)
    """Residual blocks of each level."""
    attention: tuple[bool, ...] = (False, False, False, False)
    """Self-attention after each residual block of a level; the last two blocks always have it."""
    condition_channels: Annotated[int, AtLeast(1, 65_536)] = 128
    """Width of the action embedding that conditions the residual blocks."""
    lstm_size: Annotated[int, AtLeast(1, 65_536)] = 512
    """Width of the recurrent state."""
    segment_length: Annotated[int, AtLeast(2)] = 19
    """Frames of a training segment (one more than its transitions)."""

    def check_together(self) -> None:
        """Every level is described."""
        check_levels("reward_model", self.channels, self.depths, self.attention)


@dataclass(frozen=True)
class ActorCriticConfig(Checked, prefix="actor_critic."):
    """The agent and its objective (paper section 3.2, appendices D and F)."""

    channels: Annotated[tuple[int, ...], AtLeast(1, 65_536)] = (32, 32, 64, 64)
    """Feature channels of each convolutional block."""
    downsample: tuple[bool, ...] = (True, True, True, True)
    """Whether a block ends by halving the resolution."""
    lstm_size: Annotated[int, AtLeast(1, 65_536)] = 512
    """Width of the recurrent state."""
    window: Annotated[int, AtLeast(1, 100_000)] = 15
    """Imagined steps between two updates."""
    discount: Annotated[float, Between(0, 1)] = 0.985
    """Weight of the next step's return, gamma."""
    lambda_: Annotated[float, Between(0, 1)] = 0.95
    """Mix of bootstrapped values (0) and imagined rewards (1) in the return."""
    value_weight: Annotated[float, AtLeast(0, 1e6)] = 1.0
    """Weight of the squared error of the value."""
    entropy_weight: Annotated[float, AtLeast(0, 1e6)] = 0.001
    """Weight of the policy's entropy, which keeps it exploring."""
    burn_in_gradient: bool = True
    """Whether gradients flow through the frames that warm up the recurrent state after a restart inside a window."""

    def check_together(self) -> None:
        """Every block is described."""
        check_channels("actor_critic", self.channels, "block")
        require(
            len(self.downsample) == len(self.channels),
            "actor_critic.downsample",
            self.downsample,
            f"give {len(self.channels)} values, one per block",
        )


@dataclass(frozen=True)
class ImaginationConfig(Checked, prefix="imagination."):
    """The dream in which the agent trains (paper section 3.2)."""

    num_envs: Annotated[int, AtLeast(1)] = 32
    """Dreams that run side by side; the batch size of the actor-critic."""
    horizon: Annotated[int, AtLeast(1)] = 15
    """Imagined steps after which a dream restarts from real frames."""


@dataclass(frozen=True)
class UpdateConfig(Checked):
    """One network's optimiser (AdamW) and how often it runs (paper appendix E)."""

    updates_per_epoch: Annotated[int, AtLeast(0)] = 400
    """Gradient steps in each epoch after the first."""
    first_epoch_updates: Annotated[int, AtLeast(0)] = 10_000
    """Gradient steps in the first epoch."""
    batch_size: Annotated[int, AtLeast(1)] = 32
    """Segments per gradient step; the actor-critic's batch is `imagination.num_envs` instead."""
    learning_rate: Annotated[float, Positive(1e-12, 1)] = 1e-4
    """Step size after the warm-up."""
    weight_decay: Annotated[float, AtLeast(0, 1_000)] = 1e-2
    """Decoupled weight decay; never applied to biases, normalisation and embeddings."""
    epsilon: Annotated[float, Positive(1e-16, 1)] = 1e-8
    """Added to the denominator of Adam."""
    warmup_updates: Annotated[int, AtLeast(0)] = 100
    """Updates over which the step size grows linearly from 0."""
    max_gradient_norm: Annotated[float, Positive(high=float("inf"))] = 1.0
    """Gradients longer than this are scaled down to it."""
    ema_decay: Annotated[float, Between(0, 1, closed=False)] = 0.0
    """Decay of an exponential moving average of the weights, used for dreaming and acting; 0 uses the weights
    themselves."""


def _actor_critic_updates() -> UpdateConfig:
    return UpdateConfig(first_epoch_updates=5_000, weight_decay=0.0, max_gradient_norm=100.0)


@dataclass(frozen=True)
class UpdatesConfig(Checked, prefix="updates."):
    """The optimisers of the three networks, in the order in which each epoch runs them."""

    denoiser: UpdateConfig = field(default_factory=UpdateConfig)
    reward_model: UpdateConfig = field(default_factory=lambda: UpdateConfig(max_gradient_norm=100.0))
    actor_critic: UpdateConfig = field(default_factory=_actor_critic_updates)


@dataclass(frozen=True)
class ScheduleConfig(Checked, prefix="schedule."):
    """Epochs, evaluations and checkpoints."""

    epochs: Annotated[int, AtLeast(1)] = 1_000
    """Epochs in the whole run."""
    evaluate_every: Annotated[int, AtLeast(0)] = 10
    """Epochs between evaluations in the real environment; 0 never evaluates before the end."""
    evaluation_episodes: Annotated[int, AtLeast(1)] = 4
    """Whole games per evaluation during training."""
    final_episodes: Annotated[int, AtLeast(1)] = 100
    """Whole games of the evaluation at the end."""
    evaluation_envs: Annotated[int, AtLeast(1)] = 8
    """Games that an evaluation plays side by side."""
    baseline_selection_games: Annotated[int, AtLeast(0)] = 0
    """Games per constant action by which the best one is found at the end, to compare with; 0 measures no baselines."""
    fidelity_segments: Annotated[int, AtLeast(1)] = 256
    """Held-out real segments on which the dream's errors are measured at the end."""
    checkpoint_every: Annotated[int, AtLeast(1)] = 10
    """Epochs between checkpoints; a stopped run resumes from the newest."""
    checkpoint_minutes: Annotated[float, AtLeast(0)] = 30.0
    """Minutes without a checkpoint after which one is written in the middle of an epoch, so that a crash or a power
    failure costs no more than this; 0 writes none by time. The first epoch of `atari100k` alone takes hours."""
    keep_every: Annotated[int, AtLeast(0)] = 100
    """Every checkpoint at a multiple of this many epochs is kept, besides the newest and the best; 0 keeps only
    those."""


@dataclass(frozen=True)
class ComputeConfig(Checked, prefix="compute."):
    """Where and how the arithmetic runs; none of it changes what is computed, only how exactly and how fast."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps` ...; `auto` takes the fastest device present."""
    bfloat16: bool = False
    """Run the networks under bfloat16 autocast; weights, losses and noise scaling stay float32. On a CPU, this
    is instead of the fused kernels."""
    compile: bool = False
    """Compile what training spends its time in with `torch.compile`; on a CPU, this is instead of the fused kernels."""
    fused: bool = True
    """On a CPU under Linux, dream, act and evaluate on this package's own fused kernels, which the machine's C++
    compiler builds at the first use; without one, on PyTorch's operations. Last digits differ; off, all machines are
    equal."""
    threads: Annotated[int, AtLeast(0, 4_096)] = 0
    """CPU threads for PyTorch; 0 leaves PyTorch's choice. Another number may change results in the last digits."""

    def check_together(self) -> None:
        """A device is named as PyTorch names it; whether it is present is seen later."""
        known = re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", self.device) is not None
        require(known, "compute.device", self.device, "choose auto, cpu, mps, cuda, or one of several as in cuda:1")


@dataclass(frozen=True)
class LoggingConfig:
    """Where metrics go besides `metrics.jsonl`."""

    tensorboard: bool = True
    """Write TensorBoard event files into the run folder."""
    wandb: bool = False
    """Also log to Weights & Biases; a failure there is reported once and never stops the run."""


@dataclass(frozen=True)
class Config(Checked, prefix=""):
    """All hyper-parameters of a run; the defaults are the paper's Atari 100k experiment."""

    preset: str = "atari100k"
    """The preset that these values started from."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
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

    def check_together(self) -> None:
        """Frames are large enough for the networks."""
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
