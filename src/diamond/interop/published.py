"""Weights in the format of the published DIAMOND code: a flat state dict in one `.pt` file.

The file holds weights only. Network sizes are read from the tensors' shapes; what leaves no trace there (noise levels,
sampler, objectives) is the paper's, with which the published Atari agents were trained.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.config import ActorCriticConfig, Config, DenoiserConfig, EnvConfig, RewardModelConfig, UNetConfig
from diamond.errors import ConfigError, RunError

State = dict[str, Tensor]

RENAMES = (
    (r"^denoiser\.", r"denoiser.inner_model."),
    (r"^reward_model\.", r"rew_end_model."),
    (r"^actor_critic\.encoder\.", r"actor_critic.encoder.encoder."),
    (r"^actor_critic\.(actor|critic)\.", r"actor_critic.\1_linear."),
    (r"\.noise_embedding\.frequencies$", r".noise_emb.weight"),
    (r"^(denoiser\..*)\.action_embedding\.", r"\1.act_emb.0."),
    (r"^(rew_end_model)\.action_embedding\.", r"\1.act_emb."),
    (r"\.condition\.", r".cond_proj."),
    (r"\.norm_out\.", r".norm_out.norm."),
    (r"\.down_blocks\.(\d+)\.", r".d_blocks.\1.resblocks."),
    (r"\.up_blocks\.(\d+)\.", r".u_blocks.\1.resblocks."),
    (r"\.middle_blocks\.", r".mid_blocks.resblocks."),
    (r"\.levels\.(\d+)\.", r".blocks.\1.resblocks."),
    (r"\.attention\.norm\.", r".attn.norm.norm."),
    (r"\.attention\.(qkv|out)\.", r".attn.\1_proj."),
    (r"^(denoiser|rew_end_model)\.(.*)\.shortcut\.", r"\1.\2.proj."),
    (r"^(actor_critic\..*)\.shortcut\.", r"\1.skip_projection."),
    (r"^(actor_critic\.encoder\.encoder\.\d+)\.norm\.", r"\1.f.0.norm."),
    (r"^(actor_critic\.encoder\.encoder\.\d+)\.conv\.", r"\1.f.2."),
)
"""From our tensor names to the published ones: regular expressions, applied in this order."""


def published_name(ours: str) -> str:
    """What the published code calls a tensor of `Agent.state_dict()`."""
    name = ours
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    # The published lists of resampling layers begin with a layer that does nothing.
    return re.sub(r"(?<=samples\.)\d+", lambda index: str(int(index[0]) + 1), name)


def to_published(agent: Agent) -> State:
    """All weights of an agent with their published names and shapes; the inverse of `load_published`."""
    state = {published_name(ours): tensor for ours, tensor in agent.state_dict().items()}
    # The published noise frequencies are a matrix of one row.
    return {name: tensor[None] if name.endswith("noise_emb.weight") else tensor for name, tensor in state.items()}


def load_published(path: Path | str, *, game: str | None = None) -> Agent:
    """The agent in a published Atari checkpoint, on the CPU.

    `config.denoiser.published` is on: these weights were trained with its quirks. Everything else that the file does
    not tell is the paper's. The action meanings are unknown.

    Args:
        path: the `.pt` file.
        game: the Atari game that the agent plays; by default the file's name, as published files are named.

    Raises:
        RunError: the file is missing, damaged or something else; names the first tensor that is missing, unexpected, of
            the wrong shape or not finite.
    """
    path = Path(path)
    state = _read(path)
    try:
        config, num_actions = _config(state, game or path.stem)
        agent = Agent.create(config, num_actions, seed=0)
        _check(state, to_published(agent))
    except (ConfigError, RunError) as error:
        raise RunError(f"{path}: {error}; use a published Atari agent, <Game>.pt, or download it again") from None
    agent.load_state_dict({ours: state[published_name(ours)].view_as(old) for ours, old in agent.state_dict().items()})
    return agent


def _read(path: Path) -> State:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RunError(
            f"{path}: cannot be opened ({reason}); give the path of a published Atari agent, <Game>.pt"
        ) from None
    except Exception as error:  # what the reader raises depends on where a damaged or foreign file stops making sense
        raise RunError(
            f"{path}: not a file of PyTorch weights, or damaged ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise RunError(f"{path}: not a flat table of named tensors; use a published Atari agent, <Game>.pt")
    return state


def _check(state: State, expected: State) -> None:
    """Raise for the first tensor, in the order of the networks, that is not as the networks need it."""
    for name, tensor in expected.items():
        _require(name in state, name, "missing")
        _require(state[name].shape == tensor.shape, name, f"of shape {_shape(state[name])} instead of {_shape(tensor)}")
        _require(state[name].is_floating_point(), name, f"of type {state[name].dtype} instead of floating point")
        _require(bool(state[name].isfinite().all()), name, "not finite")
    for name in state:
        _require(name in expected, name, "unexpected")


def _require(holds: bool, name: str, fault: str) -> None:
    if not holds:
        raise RunError(f"tensor {name} is {fault}")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _config(state: State, game: str) -> tuple[Config, int]:
    """The paper's configuration with the sizes of these networks, and the number of actions."""
    num_actions = _size(state, "actor_critic.actor_linear.weight", 0)
    reward_model = _reward_model_config(state)
    image_size = _image_size(state, reward_model)
    config = Config(
        env=EnvConfig(game=game, height=image_size, width=image_size),
        denoiser=_denoiser_config(state),
        reward_model=reward_model,
        actor_critic=_actor_critic_config(state, image_size),
    )
    return config, num_actions


def _denoiser_config(state: State) -> DenoiserConfig:
    prefix = "denoiser.inner_model."
    channels, depths, attention = _levels(state, f"{prefix}unet.d_blocks")
    unet = UNetConfig(channels, depths, attention, condition_channels=_size(state, f"{prefix}cond_proj.0.weight", 0))
    frames = _size(state, f"{prefix}conv_in.weight", 1) // _size(state, f"{prefix}conv_out.weight", 0)
    return DenoiserConfig(unet=unet, context_length=frames - 1, published=True)


def _reward_model_config(state: State) -> RewardModelConfig:
    channels, depths, attention = _levels(state, "rew_end_model.encoder.blocks")
    return RewardModelConfig(
        channels=channels[:-1],  # the last entry is the two blocks with attention that every encoder ends with
        depths=depths[:-1],
        attention=attention[:-1],
        condition_channels=_size(state, "rew_end_model.act_emb.weight", 1),
        lstm_size=_size(state, "rew_end_model.lstm.weight_hh_l0", 1),
    )


def _image_size(state: State, cfg: RewardModelConfig) -> int:
    """Height and width of the square frames, which every level below the first halves without remainder."""
    name = "rew_end_model.lstm.weight_ih_l0"
    features = _size(state, name, 1)
    side = math.isqrt(features // cfg.channels[-1])
    _require(side**2 * cfg.channels[-1] == features, name, f"of {features} columns, not a square of {cfg.channels[-1]}")
    return side * 2 ** (len(cfg.channels) - 1)


def _actor_critic_config(state: State, image_size: int) -> ActorCriticConfig:
    prefix = "actor_critic.encoder.encoder"
    # Layers are numbered, and pooling has no weights: a number left out is a pooling layer.
    blocks = [index for index in _indices(state, prefix) if index > 0]
    channels = tuple(_size(state, f"{prefix}.{index}.f.2.weight", 0) for index in blocks)
    _require(len(channels) > 0, f"{prefix}.1.f.2.weight", "missing")
    downsample = [after - before == 2 for before, after in zip(blocks[:-1], blocks[1:], strict=True)]
    # No number follows the last block: whether its features are pooled shows in how many of them there are.
    unpooled = channels[-1] * (image_size >> sum(downsample)) ** 2
    downsample.append(_size(state, "actor_critic.lstm.weight_ih", 1) != unpooled)
    lstm_size = _size(state, "actor_critic.lstm.weight_hh", 1)
    return ActorCriticConfig(channels=channels, downsample=tuple(downsample), lstm_size=lstm_size)


def _levels(state: State, prefix: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[bool, ...]]:
    """Channels, number of residual blocks and presence of attention in each of a list of groups of residual blocks."""
    groups = [f"{prefix}.{index}.resblocks" for index in _indices(state, prefix)]
    _require(len(groups) > 0, f"{prefix}.0.resblocks.0.conv1.weight", "missing")
    return (
        tuple(_size(state, f"{group}.0.conv1.weight", 0) for group in groups),
        tuple(len(_indices(state, group)) for group in groups),
        tuple(any(name.startswith(f"{group}.0.attn.") for name in state) for group in groups),
    )


def _indices(state: Iterable[str], prefix: str) -> list[int]:
    """The numbers that follow `prefix.` in the names of tensors, ascending."""
    found = (re.match(re.escape(prefix) + r"\.(\d+)\.", name) for name in state)
    return sorted({int(match[1]) for match in found if match})


def _size(state: State, name: str, dimension: int) -> int:
    _require(name in state, name, "missing")
    shape = state[name].shape
    _require(
        len(shape) > dimension and shape[dimension] > 0, name, f"of shape {_shape(state[name])}, which fits nothing"
    )
    return shape[dimension]
