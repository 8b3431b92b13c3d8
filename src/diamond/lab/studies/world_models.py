"""Models of the next frame, trained on static data: EDM and DDPM behind one face.

Axes   b batch | n past frames | c h w image
Units  frames are floats in [-1, 1]
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor

from diamond import kernels
from diamond.config import DenoiserConfig, SamplerConfig
from diamond.diffusion.ddpm import DDPMConfig, ddpm_loss, ddpm_sample, noise_to_predict
from diamond.diffusion.edm import denoising_loss, draw_training_noise
from diamond.diffusion.samplers import denoising_trajectory
from diamond.errors import DataError
from diamond.experience.frames import to_pixel_grid
from diamond.experience.segments import Segment
from diamond.imagination.open_loop import Predict
from diamond.lab.studies.folder import StudyFolder
from diamond.lab.studies.static_data import TrainingGames
from diamond.networks.unet import DenoiserNetwork
from diamond.runs.files import write_bytes
from diamond.runs.streams import derive_seed
from diamond.training.learner import Learner

UPDATES_BETWEEN_SAVES = 250


@runtime_checkable
class Diffusion(Protocol):
    """A kind of diffusion: how its network is trained, and how a frame is drawn with it."""

    @property
    def denoiser(self) -> DenoiserConfig:
        """The network, and how many frames it sees and predicts."""
        ...

    def loss(self, network: DenoiserNetwork, segment: Segment, generator: torch.Generator) -> Float[Tensor, ""]:
        """The training objective on a batch, with noise from `generator`."""
        ...

    def predictor(self, network: DenoiserNetwork, num_steps: int, generator: torch.Generator) -> Predict:
        """Draws the next frame in `num_steps` denoising steps, with noise from `generator`."""
        ...


@dataclass(frozen=True)
class EDM:
    """Karras et al. 2022, as DIAMOND uses it."""

    denoiser: DenoiserConfig
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """Everything but the number of steps; without churn."""

    def loss(self, network: DenoiserNetwork, segment: Segment, generator: torch.Generator) -> Float[Tensor, ""]:
        """See `diffusion.edm.denoising_loss`."""
        predicted = segment.frames[:, self.denoiser.context_length :]
        sigma, noise = draw_training_noise(predicted.shape, self.denoiser, generator)
        return denoising_loss(network, segment, sigma, noise, self.denoiser)

    def predictor(self, network: DenoiserNetwork, num_steps: int, generator: torch.Generator) -> Predict:
        """See `diffusion.samplers.sample`."""
        sampler = dataclasses.replace(self.sampler, num_steps=num_steps)

        def predict(frames: Tensor, actions: Tensor) -> Tensor:
            normal = torch.randn(frames[:, 0].shape, generator=generator, device=frames.device)
            return to_pixel_grid(
                denoising_trajectory(network, normal, None, frames, actions, self.denoiser, sampler)[-1]
            )

        return predict


@dataclass(frozen=True)
class DDPM:
    """Ho et al. 2020, on single-step segments."""

    denoiser: DenoiserConfig
    """Of which only the network and the context's length count."""
    cfg: DDPMConfig = field(default_factory=DDPMConfig)

    def loss(self, network: DenoiserNetwork, segment: Segment, generator: torch.Generator) -> Float[Tensor, ""]:
        """See `diffusion.ddpm.ddpm_loss`."""
        clean, device = segment.frames[:, -1], segment.frames.device
        batch, channels = clean.shape[:2]
        step = torch.randint(self.cfg.num_levels, (batch,), generator=generator, device=device)
        pixel_normal = torch.randn(clean.shape, generator=generator, device=device)
        offset_normal = torch.randn((batch, channels, 1, 1), generator=generator, device=device)
        return ddpm_loss(network, segment, step, noise_to_predict(pixel_normal, offset_normal, self.cfg), self.cfg)

    def predictor(self, network: DenoiserNetwork, num_steps: int, generator: torch.Generator) -> Predict:
        """See `diffusion.ddpm.ddpm_sample`."""

        def predict(frames: Tensor, actions: Tensor) -> Tensor:
            shape = frames[:, 0].shape
            initial = torch.randn(shape, generator=generator, device=frames.device)
            normal = torch.randn((num_steps, *shape), generator=generator, device=frames.device)
            return ddpm_sample(network, initial, normal, frames, actions, self.cfg)

        return predict


def trained(diffusion: Diffusion, name: str, games: TrainingGames, folder: StudyFolder, seed: int) -> DenoiserNetwork:
    """A network to dream with, trained at the study's scale; updates that are kept under `models/` are not done again.

    Equal seeds see the same batches, whatever the kind of diffusion. On a CPU, stopping and going on changes nothing.

    Args:
        diffusion: how to train.
        name: of the file and for the user, without the seed.
        games: the static data.
        folder: the study.
        seed: of weights, batches and noise.

    Raises:
        DataError: the file is damaged.
        TrainingError: a loss or gradient is not finite.
        DiskError: the disk refuses the write.
    """
    scale, device, path = folder.scale, folder.device, folder.path / "models" / f"{name}-seed{seed}.safetensors"
    cfg, streams = diffusion.denoiser, _Streams(seed, device)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(derive_seed(seed, "weights"))
        network = DenoiserNetwork(games.num_actions, cfg.context_length, cfg.unet)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner("denoiser", network, scale.updates_cfg)
    if path.exists():
        _restore(path, network, learner, streams)
    length = cfg.context_length + cfg.autoregressive_steps
    while learner.updates < scale.updates:
        segment = games.replay.sample(scale.batch_size, length, streams.batches, ())
        learner.step(diffusion.loss(network, _to(segment, device), streams.noise))
        if learner.updates % UPDATES_BETWEEN_SAVES == 0 or learner.updates == scale.updates:
            learner.check_finite()
            _save(path, network, learner, streams)
            folder.say(f"{name}, seed {seed}: {learner.updates} of {scale.updates} updates")
    dreaming = kernels.accelerate(learner.averaged)
    assert isinstance(dreaming, DenoiserNetwork)
    return dreaming


class _Streams:
    """Random numbers of training: batches from the CPU, noise from the device."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.batches = torch.Generator().manual_seed(derive_seed(seed, "batches"))
        self.noise = torch.Generator(device).manual_seed(derive_seed(seed, "noise"))


def _to(segment: Segment, device: torch.device) -> Segment:
    fields = dataclasses.fields(segment)
    return Segment(**{item.name: getattr(segment, item.name).to(device) for item in fields})


def _save(path: Path, network: DenoiserNetwork, learner: Learner, streams: _Streams) -> None:
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"learner.{name}": tensor for name, tensor in learner.state_dict().items()}
    state |= {"batches": streams.batches.get_state(), "noise": streams.noise.get_state()}
    write_bytes(path, safetensors.torch.save({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}))


def _restore(path: Path, network: DenoiserNetwork, learner: Learner, streams: _Streams) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    try:
        # Copied to where PyTorch would put them: on other memory boundaries, sums differ in their last bits.
        state = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
        network.load_state_dict(part("network."))
        learner.load_state_dict(part("learner."))
        streams.batches.set_state(state["batches"])
        streams.noise.set_state(state["noise"])
    except (safetensors.SafetensorError, OSError, KeyError, RuntimeError) as error:  # the latter where it holds others
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read ({reason}): remove it, and its training starts anew") from error
