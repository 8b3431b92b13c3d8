"""Published checkpoints are read without any side file, written back unchanged, and refused with a clear word."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.config import (
    ActorCriticConfig,
    Config,
    DenoiserConfig,
    EnvConfig,
    RewardModelConfig,
    SamplerConfig,
    UNetConfig,
)
from diamond.config.presets import atari100k
from diamond.errors import RunError
from diamond.interop.published import load_published, published_name, to_published

CHECKPOINT = Path(__file__).parent.parent / "fixtures" / "parity" / "atari_agent.pt"

State = dict[str, Tensor]


def published_state() -> State:
    return dict(torch.load(CHECKPOINT, weights_only=True))


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def test_round_trip_changes_nothing() -> None:
    before, after = published_state(), to_published(load_published(CHECKPOINT))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_tensor_has_a_name_of_its_own() -> None:
    ours = load_published(CHECKPOINT).state_dict()
    assert len({published_name(name) for name in ours}) == len(ours)


@pytest.mark.parametrize(
    ("ours", "published"),
    [
        ("denoiser.noise_embedding.frequencies", "denoiser.inner_model.noise_emb.weight"),
        (
            "denoiser.unet.down_blocks.3.1.norm1.linear.bias",
            "denoiser.inner_model.unet.d_blocks.3.resblocks.1.norm1.linear.bias",
        ),
        ("denoiser.unet.downsamples.0.conv.bias", "denoiser.inner_model.unet.downsamples.1.conv.bias"),
        (
            "reward_model.encoder.levels.4.0.attention.qkv.weight",
            "rew_end_model.encoder.blocks.4.resblocks.0.attn.qkv_proj.weight",
        ),
        ("actor_critic.encoder.5.shortcut.weight", "actor_critic.encoder.encoder.5.skip_projection.weight"),
        ("actor_critic.critic.bias", "actor_critic.critic_linear.bias"),
    ],
)
def test_names(ours: str, published: str) -> None:
    assert published_name(ours) == published


def test_paper_size_agent_loads_with_the_paper_configuration(tmp_path: Path) -> None:
    agent = Agent.create(atari100k(), num_actions=4, seed=0)
    loaded = load_published(save(to_published(agent), tmp_path / "Pong.pt"))
    paper = atari100k()
    assert loaded.config == replace(
        paper, env=replace(paper.env, game="Pong"), denoiser=replace(paper.denoiser, published=True)
    )
    assert loaded.num_actions == 4
    assert loaded.action_meanings == ()
    assert loaded.config.sampler == SamplerConfig()


def test_the_game_may_be_named() -> None:
    assert load_published(CHECKPOINT, game="Boxing").config.env.game == "Boxing"


def small_config(draw: st.DrawFn) -> Config:
    """Sizes of any shape that a checkpoint of square frames can have."""

    def levels(count: int) -> dict[str, tuple]:
        def per_level(values: st.SearchStrategy) -> tuple:
            return tuple(draw(st.lists(values, min_size=count, max_size=count)))

        return {
            "channels": per_level(st.sampled_from((2, 8, 24))),
            "depths": per_level(st.integers(1, 2)),
            "attention": per_level(st.booleans()),
        }

    reward_levels = draw(st.integers(1, 3))
    size = 8 * draw(st.integers(1, 3))
    blocks = draw(st.integers(1, 3))
    context = draw(st.integers(1, 3))
    pooled = draw(st.lists(st.booleans(), min_size=blocks, max_size=blocks))
    condition = 2 * context * draw(st.integers(1, 4))
    return Config(
        env=EnvConfig(game="Breakout", height=size, width=size),
        denoiser=DenoiserConfig(
            unet=UNetConfig(**levels(draw(st.integers(1, 3))), condition_channels=condition),
            context_length=context,
            published=True,
        ),
        reward_model=RewardModelConfig(**levels(reward_levels), condition_channels=5, lstm_size=6),
        actor_critic=ActorCriticConfig(
            channels=levels(blocks)["channels"], downsample=tuple(pooled), lstm_size=draw(st.integers(1, 9))
        ),
    )


@settings(max_examples=20)
@given(st.data(), st.integers(1, 6))
def test_sizes_are_read_from_the_shapes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, num_actions: int
) -> None:
    config = small_config(data.draw)
    agent = Agent.create(config, num_actions, seed=0)
    path = save(to_published(agent), tmp_path_factory.mktemp("published") / "Breakout.pt")
    loaded = load_published(path)
    assert loaded.config == config
    assert loaded.num_actions == num_actions
    ours, theirs = agent.state_dict(), loaded.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


QKV = "denoiser.inner_model.unet.mid_blocks.resblocks.1.attn.qkv_proj.weight"
LSTM = "rew_end_model.lstm.weight_ih_l0"


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def having(name: str, value: Tensor) -> Callable[[State], State]:
    return lambda state: {**state, name: value}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without(QKV), f"{QKV} is missing"),
        (without("denoiser.inner_model.noise_emb.weight"), "denoiser.inner_model.noise_emb.weight is missing"),
        (without("actor_critic.actor_linear.weight"), "actor_critic.actor_linear.weight is missing"),
        (without("actor_critic.lstm.bias_hh"), "actor_critic.lstm.bias_hh is missing"),
        (
            having("upsampler.inner_model.conv_in.bias", torch.zeros(3)),
            "upsampler.inner_model.conv_in.bias is unexpected",
        ),
        (having(QKV, torch.zeros(192, 32, 1, 1)), f"{QKV} is of shape 192x32x1x1 instead of 192x64x1x1"),
        (having(QKV, torch.full((192, 64, 1, 1), torch.nan)), f"{QKV} is not finite"),
        (having(QKV, torch.zeros(192, 64, 1, 1, dtype=torch.int8)), f"{QKV} is of type torch.int8"),
        (having(LSTM, torch.zeros(96, 2047)), f"{LSTM} is of 2047 columns"),
        (having(LSTM, torch.zeros(())), f"{LSTM} is of shape a single number"),
        (having("rew_end_model.act_emb.weight", torch.zeros(7, 16)), "rew_end_model.act_emb.weight is of shape 7x16"),
        (lambda state: {}, "actor_critic.actor_linear.weight is missing"),
        (lambda state: {"epoch": 3}, "not a flat table of named tensors"),
        (lambda state: [torch.zeros(3)], "not a flat table of named tensors"),
    ],
)
def test_other_tensors_are_refused(tmp_path: Path, change: Callable[[State], State], complaint: str) -> None:
    path = save(change(published_state()), tmp_path / "Breakout.pt")
    with pytest.raises(RunError) as error:
        load_published(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert complaint in message
    assert "use a published Atari agent" in message
    assert "\n" not in message


@pytest.mark.parametrize("kept", [0, 1, 100, 100_000, 4_000_000])
def test_truncated_files_are_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "Breakout.pt"
    path.write_bytes(CHECKPOINT.read_bytes()[:kept])
    with pytest.raises(RunError, match="damaged .*download it again"):
        load_published(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "Breakout.pt"
    path.write_text("these are not weights", encoding="utf-8")
    with pytest.raises(RunError, match="not a file of PyTorch weights"):
        load_published(path)


@pytest.mark.parametrize("name", [".", "absent.pt"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot be opened .*give the path"):
        load_published(tmp_path / name)


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.victim,))


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "harmed"
    pickle.loads(pickle.dumps(Harmful(victim)))
    assert victim.exists(), "the attack itself works"
    victim.unlink()
    path = save({"denoiser": Harmful(victim)}, tmp_path / "Breakout.pt")
    with pytest.raises(RunError, match="not a file of PyTorch weights"):
        load_published(path)
    assert not victim.exists()
