"""Every number of the published code is reproduced: same weights, same inputs, same noise, same outputs.

Up to rounding: where truncation to the grid sits on an edge, up to one pixel in a thousand may differ by a grey level.

`tests/fixtures/parity` holds tensors recorded from the published code. Batch comes before time there.
"""

import inspect
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from diamond.agents.agent import Agent
from diamond.config import ActorCriticConfig, SamplerConfig
from diamond.diffusion.edm import denoise, denoising_loss, scalings, training_noise, training_sigma
from diamond.diffusion.samplers import noise_schedule, sample
from diamond.experience.segments import Segment, reward_sign
from diamond.imagination.dream import begin, next_frame
from diamond.imagination.returns import lambda_returns
from diamond.imagination.world import DreamNoise, WorldModel
from diamond.interop.published import load_published
from diamond.kernels import for_inference
from diamond.kernels.library import library
from diamond.training.learner import decayed_parameters
from diamond.training.objectives import actor_critic_loss, reward_termination_loss

FIXTURES = Path(__file__).parent.parent / "fixtures" / "parity"
FACTS = json.loads((FIXTURES / "atari_config.json").read_text(encoding="utf-8"))
SAMPLERS = {
    "euler1": SamplerConfig(num_steps=1),
    "euler3": SamplerConfig(num_steps=3),
    "heun4": SamplerConfig(num_steps=4, order=2),
    "churn5": SamplerConfig(num_steps=5, s_churn=2.0, s_tmin=0.05, s_tmax=3.0, s_noise=1.003),
}


class Recorded:
    """The recorded tensors; remembers which of them were asked for."""

    def __init__(self) -> None:
        self.tensors = load_file(FIXTURES / "atari_io.safetensors")
        self.unused = set(self.tensors)

    def __call__(self, name: str) -> Tensor:
        self.unused.discard(name)
        return self.tensors[name].clone()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture(params=["contiguous", "channels last", "fused"])
def agent(request: pytest.FixtureRequest) -> Agent:
    """The recorded agent, in either memory order, on PyTorch's operations or on our own kernels."""
    loaded = load_published(FIXTURES / "atari_agent.pt")
    if request.param == "fused":
        if library() is None:
            pytest.skip("no C++ compiler")
        return for_inference(loaded)
    return loaded if request.param == "contiguous" else loaded.to("cpu")


def assert_same(ours: Tensor, published: Tensor, tolerance: float = 1e-5) -> None:
    """Equal up to `tolerance` times the largest magnitude."""
    assert ours.shape == published.shape
    error = (ours - published).abs().max() / published.abs().max()
    assert error <= tolerance, f"relative error {error:.1e}"


def assert_same_pixels(ours: Tensor, published: Tensor) -> None:
    """Equal grey levels, but for one level in at most one pixel of a thousand: where rounding sits on an edge."""
    assert ours.shape == published.shape
    levels = ((ours - published) * 127.5).abs()
    assert (levels - levels.round()).max() < 1e-3, "not on the pixel grid"
    assert levels.max() < 1.5
    assert (levels > 0.5).float().mean() <= 1e-3


def assert_same_but_for_edges(ours: Tensor, published: Tensor, tolerance: float) -> None:
    """As `assert_same`, but for up to one grey level in at most one pixel of a thousand, as `assert_same_pixels`."""
    assert ours.shape == published.shape
    error = (ours - published).abs()
    assert error.max() < 1.5 / 127.5
    assert (error > tolerance * published.abs().max()).float().mean() <= 1e-3


def recorded_step(recorded: Recorded, agent: Agent, noisy: Tensor, sigma: Tensor) -> Tensor:
    return denoise(
        agent.denoiser, noisy, sigma, recorded("denoise.obs"), recorded("denoise.act"), agent.config.denoiser
    )


def churn_noise(recorded: Recorded, name: str, cfg: SamplerConfig) -> Tensor | None:
    """The recorded noise, one row for each step inside [s_tmin, s_tmax], put in the rows of those steps."""
    if cfg.s_churn == 0:
        return None
    inside = [step for step, sigma in enumerate(noise_schedule(cfg)[:-1]) if cfg.s_tmin <= sigma <= cfg.s_tmax]
    drawn = recorded(f"sample.{name}.eps")
    noise = torch.zeros(cfg.num_steps, *drawn.shape[1:])
    noise[inside] = drawn
    return noise


# Denoiser


def test_preconditioning(recorded: Recorded, agent: Agent) -> None:
    s = scalings(recorded("denoise.sigma"), agent.config.denoiser)
    assert_same(s.in_.flatten(), recorded("denoise.c_in"))
    assert_same(s.out.flatten(), recorded("denoise.c_out"))
    assert_same(s.skip.flatten(), recorded("denoise.c_skip"))
    assert_same(s.level, recorded("denoise.c_noise"))


@torch.no_grad()
def test_denoiser_network(recorded: Recorded, agent: Agent) -> None:
    s = scalings(recorded("denoise.sigma"), agent.config.denoiser)
    noisy, context = s.in_ * recorded("denoise.noisy"), s.past * recorded("denoise.obs")
    output = agent.denoiser(noisy, s.level, context, recorded("denoise.act"))
    assert_same(output, recorded("denoise.network_output"))


@torch.no_grad()
def test_denoised_frame(recorded: Recorded, agent: Agent) -> None:
    frame = recorded_step(recorded, agent, recorded("denoise.noisy"), recorded("denoise.sigma"))
    assert_same_pixels(frame, recorded("denoise.denoised"))


@pytest.mark.parametrize("agent", ["contiguous", "channels last"], indirect=True)
def test_denoising_loss_and_its_gradient(recorded: Recorded, agent: Agent) -> None:
    """Two frames in a row; the second is predicted from a context that holds the first prediction."""
    cfg = agent.config.denoiser
    frames, valid = recorded("loss.obs"), recorded("loss.mask")
    nothing = torch.zeros(valid.shape)
    segment = Segment(frames, recorded("loss.act"), nothing, nothing.bool(), valid)
    sigma = training_sigma(recorded("loss.log_sigma_normal").T, cfg)
    pixel, offset = recorded("loss.eps_normal").transpose(0, 1), recorded("loss.offset_normal").transpose(0, 1)
    loss = denoising_loss(agent.denoiser, segment, sigma, training_noise(sigma, pixel, offset, cfg), cfg)
    assert_same(loss, recorded("loss.value"))
    loss.backward()
    gradients = [parameter.grad for parameter in agent.denoiser.parameters() if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert_same(norm, recorded("loss.grad_norm"))


# Sampler


@torch.no_grad()
def test_samplers(recorded: Recorded, agent: Agent) -> None:
    """Noise levels, each image on the way, and the sample on the pixel grid."""
    for name, cfg in SAMPLERS.items():
        assert_same(torch.tensor(noise_schedule(cfg)), recorded(f"sample.{name}.sigmas"))

        def denoise_in_context(noisy: Tensor, sigma: float) -> Tensor:
            return recorded_step(recorded, agent, noisy, torch.full((len(noisy),), sigma))

        churn = churn_noise(recorded, name, cfg)
        trajectory = sample(denoise_in_context, recorded(f"sample.{name}.x0"), cfg, churn, published=True)
        for ours, published in zip(trajectory, recorded(f"sample.{name}.trajectory"), strict=True):
            assert_same_but_for_edges(ours, published, tolerance=1e-4)
        assert_same_pixels(trajectory[-1], recorded(f"sample.{name}.out"))


@torch.no_grad()
def test_frames_of_the_dream(recorded: Recorded, agent: Agent) -> None:
    """The same samples, through the door that training uses; they are exact grey levels there."""
    uniform = torch.zeros(3)
    for name, cfg in SAMPLERS.items():
        world = WorldModel(agent.denoiser, agent.reward_model, agent.config.denoiser, cfg)
        noise = DreamNoise(recorded(f"sample.{name}.x0"), churn_noise(recorded, name, cfg), uniform, uniform)
        frame = next_frame(world, recorded("denoise.obs"), recorded("denoise.act"), noise)
        assert_same_pixels(frame, recorded(f"sample.{name}.out"))


# Reward and termination model


@torch.no_grad()
def test_reward_and_termination_logits(recorded: Recorded, agent: Agent) -> None:
    frames, actions = recorded("rew_end.obs"), recorded("rew_end.act")
    zeros = agent.reward_model.initial_state(len(frames), "cpu")
    reward, termination, state = agent.reward_model(frames[:, :-1], actions[:, :-1], frames[:, 1:], zeros)
    assert_same(reward, recorded("rew_end.logits_rew"))
    assert_same(termination, recorded("rew_end.logits_end"))
    assert_same(state[0][None], recorded("rew_end.hx"))
    assert_same(state[1][None], recorded("rew_end.cx"))
    # One more transition from that state: the first one again.
    reward, termination, _ = agent.reward_model(frames[:, :1], actions[:, :1], frames[:, 1:2], state)
    assert_same(reward, recorded("rew_end.next_logits_rew"))
    assert_same(termination, recorded("rew_end.next_logits_end"))


def test_reward_and_termination_loss(recorded: Recorded, agent: Agent) -> None:
    """Padding does not count, and the frame after the terminating transition is the true final frame."""
    frames, terminated = recorded("rew_end.obs"), recorded("rew_end.end").bool()
    ((sample_index, step),) = terminated.nonzero().tolist()
    frames[sample_index, step + 1] = recorded("rew_end.final_obs_0")
    segment = Segment(frames, recorded("rew_end.act"), recorded("rew_end.rew"), terminated, recorded("rew_end.mask"))
    loss, metrics = reward_termination_loss(agent.reward_model, segment)
    assert_same(metrics["reward_loss"], recorded("rew_end.loss_rew"))
    assert_same(metrics["termination_loss"], recorded("rew_end.loss_end"))
    assert_same(loss, recorded("rew_end.loss_rew") + recorded("rew_end.loss_end"))


def test_memory_at_the_start_of_a_dream(recorded: Recorded, agent: Agent) -> None:
    """The reward model has seen the start segment's transitions."""
    frames, actions = recorded("denoise.obs"), recorded("denoise.act")
    nothing = torch.zeros(actions.shape)
    segment = Segment(frames, actions, nothing, nothing.bool(), nothing.bool())
    dream = begin(WorldModel.of(agent.denoiser, agent.reward_model, agent.config), segment)
    assert_same(dream.reward_state[0][None], recorded("burn_in.hx"))
    assert_same(dream.reward_state[1][None], recorded("burn_in.cx"))


# Actor-critic


@torch.no_grad()
def test_policy_and_value(recorded: Recorded, agent: Agent) -> None:
    frames = recorded("actor_critic.obs")
    state = agent.actor_critic.initial_state(len(frames), "cpu")
    for t in range(frames.shape[1]):
        logits, value, state = agent.actor_critic(frames[:, t], state)
        assert_same(logits, recorded(f"actor_critic.logits_{t}"))
        assert_same(value, recorded(f"actor_critic.value_{t}"))
    assert_same(state[0], recorded("actor_critic.hx"))
    assert_same(state[1], recorded("actor_critic.cx"))


def test_lambda_returns(recorded: Recorded, agent: Agent) -> None:
    terminated, truncated = recorded("lambda.end").T.bool(), recorded("lambda.trunc").T.bool()
    reward, next_value = reward_sign(recorded("lambda.rew").T), recorded("lambda.val_bootstrap").T
    for lambda_, name in ((0.0, "lambda.returns_lambda0"), (0.95, "lambda.returns_lambda0.95")):
        returns = lambda_returns(reward, next_value, terminated, truncated, agent.config.actor_critic.discount, lambda_)
        assert_same(returns.T, recorded(name))


def test_actor_critic_loss(recorded: Recorded, agent: Agent) -> None:
    cfg = agent.config.actor_critic
    logits, values = recorded("ac_loss.logits").transpose(0, 1), recorded("ac_loss.value").T.requires_grad_()
    returns = recorded("lambda.returns_lambda0.95").T
    loss, metrics = actor_critic_loss(logits, values, recorded("ac_loss.act").T, returns, cfg)
    assert_same(metrics["policy_loss"], recorded("ac_loss.actions"))
    assert_same(cfg.value_weight * metrics["value_loss"], recorded("ac_loss.values"))
    assert_same(-cfg.entropy_weight * metrics["entropy"], recorded("ac_loss.entropy"))
    assert_same(loss, recorded("ac_loss.total"))
    # Only its own squared error trains the value; the policy's loss takes it as a fixed baseline.
    loss.backward()
    assert values.grad is not None
    assert_same(values.grad, cfg.value_weight * 2 * (values.detach() - returns) / values.numel())


# Facts that are not tensors


def test_configuration(agent: Agent) -> None:
    """Sizes come from the tensors; what shapes cannot tell is the paper's."""
    denoiser, inner = agent.config.denoiser, FACTS["denoiser"]["inner_model"]
    assert agent.num_actions == FACTS["num_actions"]
    assert denoiser.published
    assert denoiser.sigma_data == FACTS["denoiser"]["sigma_data"]
    assert denoiser.sigma_offset == FACTS["denoiser"]["sigma_offset_noise"]
    assert denoiser.context_length == inner["num_steps_conditioning"]
    assert denoiser.unet.condition_channels == inner["cond_channels"]
    assert levels_of(denoiser.unet) == levels_in(inner)
    assert agent.config.reward_model.lstm_size == FACTS["rew_end_model"]["lstm_dim"]
    assert agent.config.reward_model.condition_channels == FACTS["rew_end_model"]["cond_channels"]
    assert levels_of(agent.config.reward_model) == levels_in(FACTS["rew_end_model"])
    assert agent.config.env.height == agent.config.env.width == FACTS["actor_critic"]["img_size"]
    actor_critic = agent.config.actor_critic
    assert actor_critic.channels == tuple(FACTS["actor_critic"]["channels"])
    assert actor_critic.downsample == tuple(map(bool, FACTS["actor_critic"]["down"]))
    assert actor_critic.lstm_size == FACTS["actor_critic"]["lstm_dim"]
    sigma = FACTS["sigma_distribution"]
    assert (denoiser.training_sigma_log_mean, denoiser.training_sigma_log_std) == (sigma["loc"], sigma["scale"])
    assert (denoiser.training_sigma_min, denoiser.training_sigma_max) == (sigma["sigma_min"], sigma["sigma_max"])
    returns = FACTS["lambda"]
    defaults = ActorCriticConfig()
    assert (defaults.discount, defaults.lambda_) == (returns["gamma"], returns["lambda_"])
    assert defaults.entropy_weight == returns["entropy_weight"]


def levels_of(cfg: object) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, getattr(cfg, name))) for name in ("channels", "depths", "attention"))


def levels_in(facts: dict[str, list[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(facts[name]) for name in ("channels", "depths", "attn_depths"))


def test_weight_decay_groups(agent: Agent) -> None:
    """As many tensors decay, and as many do not, as in the published optimisers."""
    networks = {"denoiser": agent.denoiser, "rew_end_model": agent.reward_model, "actor_critic": agent.actor_critic}
    for name, network in networks.items():
        decayed = len(decayed_parameters(network))
        counts = [decayed, len(list(network.parameters())) - decayed]
        assert counts == FACTS["optimizer_param_counts_decay_nodecay"][name]


def test_every_recorded_tensor_is_compared() -> None:
    recorded, agent = Recorded(), load_published(FIXTURES / "atari_agent.pt")
    for name, function in list(globals().items()):
        if name.startswith("test_") and list(inspect.signature(function).parameters) == ["recorded", "agent"]:
            function(recorded, agent)
    assert not recorded.unused
