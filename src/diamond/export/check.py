"""What ONNX Runtime makes of the graphs beside what PyTorch makes of the networks, on a dream of several steps.

Both get the same inputs in every call, which are PyTorch's: a difference is that of one call and does not grow.

Axes   c h w image | n past frames
"""

import math

import numpy as np
import torch
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.diffusion.samplers import sample
from diamond.errors import ExportError
from diamond.experience.frames import slide, to_network, to_pixel_grid
from diamond.export.graphs import INPUTS, OUTPUTS, Graph
from diamond.extras import require
from diamond.imagination.world import draw_noise
from diamond.networks.unet import IMAGE_CHANNELS
from diamond.play.game.worlds import Past
from diamond.runs.streams import derive_seed

STEPS = 5
COMPARED = 64
"""Values of each output that a page compares."""
TOLERANCE = {False: 1e-3, True: 5e-2}
"""Greatest difference by whether weights are halved; frames, logits and states all are numbers around 1."""


@torch.no_grad()
def differences(
    agent: Agent, graphs: dict[str, Graph], starts: tuple[Past, ...], steps: int = STEPS
) -> dict[str, float]:
    """Greatest absolute difference of any output of each network, on dreams from the first and the last start.

    Raises:
        ExportError: a package is missing.
    """
    calls = {name: _Both(name, graph) for name, graph in graphs.items()}
    for number, past in enumerate((starts[0], starts[-1])):
        generator = torch.Generator().manual_seed(derive_seed(0, "check", number))
        _dream(agent, calls, past, steps, generator)
    return {name: call.difference for name, call in calls.items()}


@torch.no_grad()
def trial(agent: Agent, graphs: dict[str, Graph]) -> dict[str, list[float]]:
    """What each network says of a pattern that a page can make as well, to see whether it computes the same there.

    Value i of the frames is ((7919 i) mod 256) / 127.5 - 1; the newest of them is the noisy frame and the frame, the
    oldest the next frame. The noise level is 1, actions and memories are 0.
    """
    config = agent.config
    length, size = config.denoiser.context_length, (IMAGE_CHANNELS, config.env.height, config.env.width)
    pattern = (7919 * torch.arange(length * math.prod(size)) % 256) / 127.5 - 1
    frames, actions = pattern.reshape(1, length, *size), torch.zeros(1, length, dtype=torch.int32)
    oldest, newest = frames[:, 0], frames[:, -1]
    (denoised,) = graphs["denoiser"].module(newest, torch.ones(1), frames, actions)
    memory = agent.reward_model.initial_state(1, "cpu")
    reward, termination, *_ = graphs["reward_model"].module(newest, actions[:, 0], oldest, *memory)
    logits, *_ = graphs["actor_critic"].module(newest, *agent.actor_critic.initial_state(1, "cpu"))
    said = {"denoised": denoised, "reward": reward, "termination": termination, "logits": logits}
    return {name: values.flatten()[:COMPARED].tolist() for name, values in said.items()}


def require_agreement(found: dict[str, float], half: bool) -> None:
    """Refuse graphs that compute something else.

    Raises:
        ExportError: a difference is greater than rounding explains.
    """
    for name, difference in found.items():
        if not difference <= TOLERANCE[half]:
            raise ExportError(
                f"{name}.onnx differs from PyTorch by {difference:.2g}, more than {TOLERANCE[half]:g}: "
                "install the versions in constraints.txt"
            )


class _Both:
    """A network in PyTorch and in ONNX Runtime; returns the former's outputs and keeps the greatest difference."""

    def __init__(self, name: str, graph: Graph) -> None:
        runtime = require("onnxruntime", "export", ExportError)
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors only
        self._session = runtime.InferenceSession(graph.onnx, options, providers=["CPUExecutionProvider"])
        self._module, self._inputs, self._outputs = graph.module, INPUTS[name], OUTPUTS[name]
        self.difference = 0.0

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        ours: tuple[Tensor, ...] = self._module(*inputs)
        feed = {name: value.numpy() for name, value in zip(self._inputs, inputs, strict=True)}
        theirs = self._session.run(list(self._outputs), feed)
        for mine, other in zip(ours, theirs, strict=True):
            greatest = float(np.abs(mine.numpy() - other).max())
            # A comparison with NaN is false, so that NaN stays where it comes in.
            self.difference = greatest if not greatest <= self.difference else self.difference
        return list(ours)


def _dream(agent: Agent, calls: dict[str, _Both], past: Past, steps: int, generator: torch.Generator) -> None:
    """A dream under actions drawn at random."""
    cfg, published = agent.config.sampler, agent.config.denoiser.published
    frames = to_network(torch.from_numpy(np.stack(past.frames))[None])
    actions = torch.tensor([[*past.actions, 0]], dtype=torch.int32)
    hidden, cell = agent.reward_model.initial_state(1, "cpu")
    policy_hidden, policy_cell = agent.actor_critic.initial_state(1, "cpu")

    def denoise(noisy: Tensor, sigma: float) -> Tensor:
        (denoised,) = calls["denoiser"](noisy, torch.full((1,), sigma), frames, actions)
        return to_pixel_grid(denoised, truncate=published)

    for _ in range(steps):
        _, _, policy_hidden, policy_cell = calls["actor_critic"](frames[:, -1], policy_hidden, policy_cell)
        actions[:, -1] = torch.randint(agent.num_actions, (1,), generator=generator)
        noise = draw_noise(frames[:, -1].shape, cfg, generator)
        images = sample(denoise, noise.initial * cfg.initial_noise_std, cfg, noise.churn, published)
        frame = to_pixel_grid(images[-1])
        _, _, hidden, cell = calls["reward_model"](frames[:, -1], actions[:, -1], frame, hidden, cell)
        frames, actions = slide(frames, frame), torch.cat((actions[:, 1:], torch.zeros_like(actions[:, :1])), dim=1)
