"""Named streams of random numbers, all derived from one seed.

Each use has a stream of its own, so that a change in how often one is drawn from leaves the others as they were, and
the state of all of them can be saved and put back.
"""

import zlib

import numpy as np
import torch
from torch import Tensor

from diamond.errors import RunError


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the use called `names`; equal inputs give equal seeds on every machine."""
    words = [zlib.crc32(str(name).encode("utf-8")) for name in names]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> 1)


class RandomStreams:
    """Generators by name, on the CPU (decisions) and on the training device (noise)."""

    CPU = ("collect", "denoiser_batches", "reward_model_batches", "actor_critic_batches")
    DEVICE = ("denoiser_noise", "dream_noise")

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = {name: torch.Generator("cpu") for name in self.CPU}
        self._generators |= {name: torch.Generator(device) for name in self.DEVICE}
        for name, generator in self._generators.items():
            generator.manual_seed(derive_seed(seed, name))

    def __getitem__(self, name: str) -> torch.Generator:
        return self._generators[name]

    def state_dict(self) -> dict[str, Tensor]:
        """The state of every stream."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue every stream where `state_dict()` was taken.

        Raises:
            RunError: the state was taken on another kind of device.
        """
        for name, generator in self._generators.items():
            if state[name].shape != generator.get_state().shape:
                raise RunError(
                    f"random stream {name} was saved on another kind of device than {generator.device.type}: "
                    "resume on the kind of device that the run was started on"
                )
            generator.set_state(state[name])
