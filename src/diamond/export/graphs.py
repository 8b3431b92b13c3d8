"""The three networks as ONNX graphs, each a whole file with its weights inside.

denoiser       noisy frame (1 c h w), sigma (1), frames (1 n c h w), actions (1 n) -> denoised frame (1 c h w),
               before it is rounded to the 256 levels: browsers cannot do that on WebGPU
reward_model   frame (1 c h w), action (1), next frame (1 c h w), hidden and cell state (1 m)
               -> reward logits (1 r), termination logits (1 d), both states
actor_critic   frame (1 c h w), hidden and cell state (1 m) -> logits (1 a), value (1), both states

Axes   1 batch | n past frames | c h w image | m recurrent state | r d reward and termination classes | a actions
Units  frames are float32 in [-1, 1]; actions are int32, those of the last n frames, the newest last
"""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from diamond.agents.agent import Agent
from diamond.diffusion.edm import expected_frame
from diamond.errors import ExportError
from diamond.extras import require
from diamond.networks.unet import IMAGE_CHANNELS

CHANNELS_AT_ONCE = 4
STATE = ("hidden", "cell")
NEXT_STATE = ("next_hidden", "next_cell")
INPUTS = {
    "denoiser": ("noisy", "sigma", "frames", "actions"),
    "reward_model": ("frame", "action", "next_frame", *STATE),
    "actor_critic": ("frame", *STATE),
}
OUTPUTS = {
    "denoiser": ("denoised",),
    "reward_model": ("reward", "termination", *NEXT_STATE),
    "actor_critic": ("logits", "value", *NEXT_STATE),
}


class DenoiserGraph(nn.Module):
    """The denoiser with its preconditioning."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.network, self.cfg = agent.denoiser, agent.config.denoiser

    def forward(
        self,
        noisy: Float[Tensor, "1 c h w"],
        sigma: Float[Tensor, "1"],
        frames: Float[Tensor, "1 n c h w"],
        actions: Int[Tensor, "1 n"],
    ) -> tuple[Float[Tensor, "1 c h w"]]:
        """The denoised frame, before it is rounded."""
        return (expected_frame(self.network, noisy, sigma, frames, actions, self.cfg),)


class RewardModelGraph(nn.Module):
    """The reward and termination model on one transition."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.network = agent.reward_model

    def forward(
        self,
        frame: Float[Tensor, "1 c h w"],
        action: Int[Tensor, "1"],
        next_frame: Float[Tensor, "1 c h w"],
        hidden: Float[Tensor, "1 m"],
        cell: Float[Tensor, "1 m"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reward logits, termination logits and the state after."""
        reward, termination, state = self.network(frame[:, None], action[:, None], next_frame[:, None], (hidden, cell))
        return reward[:, 0], termination[:, 0], *state


class ActorCriticGraph(nn.Module):
    """The actor-critic on one frame."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.network = agent.actor_critic

    def forward(
        self, frame: Float[Tensor, "1 c h w"], hidden: Float[Tensor, "1 m"], cell: Float[Tensor, "1 m"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits, value and the state after."""
        logits, value, state = self.network(frame, (hidden, cell))
        return logits, value, *state


class FilledConv(nn.Module):
    """A convolution whose input is filled up with channels of zeros, to a multiple of four.

    ONNX Runtime's convolution on WebGPU is wrong for some other numbers of channels, 6 and 15 among them
    (microsoft/onnxruntime, issue 29651).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.groups == 1 and isinstance(conv.padding, tuple) and conv.bias is not None
        self.missing = -conv.in_channels % CHANNELS_AT_ONCE
        self.weight = nn.Parameter(F.pad(conv.weight.detach(), (0, 0, 0, 0, 0, self.missing)))
        self.bias = conv.bias
        self.stride, self.padding = conv.stride, conv.padding

    def forward(self, x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 d h2 w2"]:
        """Convolve."""
        x = F.pad(x, (0, 0, 0, 0, 0, self.missing))
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


@dataclass(frozen=True)
class Graph:
    """A network both ways."""

    module: nn.Module
    """What it is in PyTorch; takes and gives what the graph does."""
    onnx: bytes
    """What it is as a file."""


def make_graphs(agent: Agent, half: bool) -> dict[str, Graph]:
    """The networks of an agent on the CPU, by name.

    Args:
        agent: whose networks; plain ones (`load_source(..., fused=False)`), and they are left as they are.
        half: whether weights are stored with 16 bits; they become float32 again before anything is computed.

    Raises:
        ExportError: a package is missing.
    """
    modules: dict[str, nn.Module] = {
        "denoiser": DenoiserGraph(agent),
        "reward_model": RewardModelGraph(agent),
        "actor_critic": ActorCriticGraph(agent),
    }
    examples = _examples(agent)
    with _quiet(), torch.no_grad():
        return {name: Graph(module, _onnx(name, module, examples[name], half)) for name, module in modules.items()}


def _examples(agent: Agent) -> dict[str, tuple[Tensor, ...]]:
    """Inputs of the right shapes and types, no two of them one tensor, which the exporter would take for one input."""
    config = agent.config
    length, size = config.denoiser.context_length, (IMAGE_CHANNELS, config.env.height, config.env.width)
    noisy, frame, next_frame, seen = (torch.zeros(1, *size) for _ in range(4))
    actions, action = torch.zeros(1, length, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    return {
        "denoiser": (noisy, torch.ones(1), torch.zeros(1, length, *size), actions),
        "reward_model": (frame, action, next_frame, *agent.reward_model.initial_state(1, "cpu")),
        "actor_critic": (seen, *agent.actor_critic.initial_state(1, "cpu")),
    }


def _onnx(name: str, module: nn.Module, example: tuple[Tensor, ...], half: bool) -> bytes:
    names: dict[str, Any] = {"input_names": INPUTS[name], "output_names": OUTPUTS[name]}
    program = torch.onnx.export(_with_filled_convolutions(module).eval(), example, dynamo=True, verbose=False, **names)
    assert program is not None
    model = program.model_proto
    # Traces of where each operation comes from: a megabyte, with the folders of whoever exports.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    for end in (*model.graph.input, *model.graph.output):
        del end.metadata_props[:]
    if half:
        _halve(model)
    content: bytes = model.SerializeToString()
    return content


def _with_filled_convolutions(module: nn.Module) -> nn.Module:
    """A copy that computes the same."""
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.in_channels % CHANNELS_AT_ONCE:
                setattr(parent, name, FilledConv(child))
    return module


def _halve(model: Any) -> None:
    """Store matrices and kernels with 16 bits, each before a cast; vectors are small and keep their precision."""
    onnx = require("onnx", "export", ExportError)
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name = weight.name
        values = onnx.numpy_helper.to_array(weight).astype("float16")
        weight.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.half"))
        cast = onnx.helper.make_node("Cast", [weight.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself: of a package it could use, and of its own outdated calls."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
            yield
    finally:
        log.setLevel(before)
