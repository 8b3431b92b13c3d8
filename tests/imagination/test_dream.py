"""One imagined step: what it returns, what it depends on, and that nothing in it waits for the device."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dreams import (
    ACTIONS,
    drawn_world,
    keep_frame,
    random_agent,
    random_segment,
    random_state,
    random_world,
    uneventful,
    without_content,
)
from torch import Tensor

from diamond.config import DenoiserConfig, SamplerConfig
from diamond.diffusion.samplers import noise_schedule
from diamond.experience.actions import sample_categorical
from diamond.experience.frames import to_network, to_pixel_grid, to_stored
from diamond.imagination.dream import append_action, begin, denoising, dream_step, finish_step, next_frame
from diamond.imagination.world import DreamNoise, DreamState, WorldModel, draw_noise, restart_where, select

COUNT = 3
CHURN = SamplerConfig(num_steps=3, s_churn=1.0)


@pytest.fixture
def world() -> WorldModel:
    return random_world()


@pytest.fixture
def state(world: WorldModel, generator: torch.Generator) -> DreamState:
    return random_state(world, generator, COUNT)


@pytest.fixture
def action() -> Tensor:
    return torch.tensor([0, 1, 2])


@pytest.fixture
def noise(world: WorldModel, generator: torch.Generator) -> DreamNoise:
    return noise_for(world, generator)


def noise_for(world: WorldModel, generator: torch.Generator, count: int = COUNT) -> DreamNoise:
    return draw_noise(torch.Size((count, 3, 16, 16)), world.sampler_cfg, generator)


def with_sampler(world: WorldModel, cfg: SamplerConfig) -> WorldModel:
    return dataclasses.replace(world, sampler_cfg=cfg)


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


# What a step returns


@torch.no_grad()
def test_the_window_slides(world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise) -> None:
    """The new frame enters, the oldest leaves, the action settles beside the frame that it was taken in."""
    following, step = dream_step(world, state, action, noise)
    assert torch.equal(following.frames, torch.cat((state.frames[:, 1:], step.frame[:, None]), dim=1))
    assert torch.equal(following.actions[:, :2], state.actions[:, 1:3])
    assert torch.equal(following.actions[:, 2], action)
    assert torch.equal(following.actions[:, 3], torch.zeros(COUNT, dtype=torch.long)), "still open"
    assert torch.equal(following.steps, torch.ones(COUNT, dtype=torch.long))


@torch.no_grad()
def test_what_a_step_brings(world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise) -> None:
    _, step = dream_step(world, state, action, noise)
    assert step.frame.shape == (COUNT, 3, 16, 16)
    assert set(step.reward.tolist()) <= {-1.0, 0.0, 1.0}
    assert step.terminated.dtype == torch.bool
    assert torch.equal(step.reward, sample_categorical(step.reward_logits, noise.reward).float() - 1)
    assert torch.equal(step.terminated, sample_categorical(step.termination_logits, noise.termination) == 1)


@pytest.mark.parametrize("cfg", [SamplerConfig(num_steps=1), SamplerConfig(num_steps=2, order=2), CHURN])
@pytest.mark.parametrize("published", [False, True])
@torch.no_grad()
def test_frames_are_grey_levels(
    cfg: SamplerConfig, published: bool, state: DreamState, action: Tensor, generator: torch.Generator
) -> None:
    """Exactly: storing and reading them changes nothing, so real and dreamed frames look alike to every network."""
    world = dataclasses.replace(random_world(), sampler_cfg=cfg, denoiser_cfg=DenoiserConfig(published=published))
    _, step = dream_step(world, state, action, noise_for(world, generator))
    assert torch.equal(step.frame, to_pixel_grid(step.frame))
    assert torch.allclose(step.frame, to_network(to_stored(step.frame)), atol=1e-6)
    assert len(step.frame.unique()) > 20, "and many of them"


@torch.no_grad()
def test_a_sure_world_is_dreamed_as_it_is(action: Tensor, generator: torch.Generator) -> None:
    """With a denoiser that knows the next frame, noise decides nothing."""

    def paint(frames: Tensor, actions: Tensor) -> Tensor:
        return to_pixel_grid(frames.mean(dim=1) + actions[:, -1, None, None, None] / 4)

    def rate(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return action - 1, action == 2

    for cfg in (SamplerConfig(num_steps=1), SamplerConfig(num_steps=3, order=2), CHURN):
        world = with_sampler(drawn_world(paint, rate), cfg)
        start = begin(world, random_segment(generator, COUNT))
        _, step = dream_step(world, start, action, noise_for(world, generator))
        truth = paint(start.frames, torch.cat((start.actions[:, :-1], action[:, None]), dim=1))
        assert torch.allclose(step.frame, truth, atol=1e-5)
        assert step.reward.tolist() == [-1, 0, 1]
        assert step.terminated.tolist() == [False, False, True]


@torch.no_grad()
def test_a_step_never_restarts(generator: torch.Generator) -> None:
    """Whoever dreams decides when to restart: steps count on after an end."""
    world = drawn_world(keep_frame, lambda frame, action, next_frame, seen: (action - 1, torch.ones_like(action)))
    state = start = random_state(world, generator, COUNT)
    for steps in range(1, 4):
        state, step = dream_step(world, state, torch.zeros(COUNT, dtype=torch.long), noise_for(world, generator))
        assert step.terminated.all()
        assert state.steps.tolist() == [steps] * COUNT
        assert torch.allclose(state.frames[:, -1], start.frames[:, -1], atol=1e-6)


# The parts of a step


def test_the_action_taken_takes_the_open_place(action: Tensor) -> None:
    """And the actions before it stay; the state that they came from is left as it was."""
    actions = torch.tensor([[2, 2, 1, 0], [0, 1, 2, 0], [1, 1, 1, 0]])
    assert append_action(actions, action).tolist() == [[2, 2, 1, 0], [0, 1, 2, 1], [1, 1, 1, 2]]
    assert not actions[:, -1].any()
    assert append_action(actions[:, -1:], action).tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("cfg", [SamplerConfig(num_steps=1), SamplerConfig(num_steps=4, order=2), CHURN])
@torch.no_grad()
def test_a_step_is_its_parts_one_after_the_other(
    cfg: SamplerConfig, state: DreamState, action: Tensor, generator: torch.Generator
) -> None:
    """Bit by bit: close the action, denoise, snap to grey levels, see what it brings."""
    world = with_sampler(random_world(), cfg)
    noise = noise_for(world, generator)
    following, step = dream_step(world, state, action, noise)
    actions = append_action(state.actions, action)
    frame = to_pixel_grid(denoising(world, state.frames, actions, noise)[-1])
    assert torch.equal(frame, next_frame(world, state.frames, actions, noise))
    by_parts, same_step = finish_step(world, state, actions, frame, noise)
    assert same(by_parts.tensors(), following.tensors())
    assert same(vars(same_step), vars(step))


@pytest.mark.parametrize("num_steps", [1, 2, 5])
@torch.no_grad()
def test_denoising_leads_from_noise_to_the_frame(
    num_steps: int, state: DreamState, action: Tensor, generator: torch.Generator
) -> None:
    """One image more than steps; the first is the scaled noise, the last lies on the grey levels of the frame."""
    world = with_sampler(random_world(), SamplerConfig(num_steps=num_steps, initial_noise_std=2.5))
    noise, actions = noise_for(world, generator), append_action(state.actions, action)
    images = denoising(world, state.frames, actions, noise)
    assert len(images) == num_steps + 1
    assert torch.equal(images[0], 2.5 * noise.initial)
    assert torch.allclose(images[-1], next_frame(world, state.frames, actions, noise), atol=1e-5)
    assert not torch.allclose(images[-2], images[-1], atol=0.1)


@torch.no_grad()
def test_denoising_comes_closer_with_every_step(state: DreamState, action: Tensor, generator: torch.Generator) -> None:
    """Where the denoiser knows the frame, the distance to it shrinks exactly as the noise level does."""
    world = with_sampler(random_world(), SamplerConfig(num_steps=3))
    images = denoising(
        drawn_world(keep_frame, uneventful, num_steps=3),
        state.frames,
        append_action(state.actions, action),
        noise_for(world, generator),
    )
    errors = [(image - state.frames[:, -1]).square().mean().sqrt().item() for image in images]
    levels = noise_schedule(world.sampler_cfg)
    for step in range(3):
        assert errors[step + 1] == pytest.approx(errors[step] * levels[step + 1] / levels[step], rel=1e-3, abs=1e-5)


@torch.no_grad()
def test_arriving_judges_the_frame_it_is_given(
    world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise
) -> None:
    """Wherever that came from: a frame that was denoised elsewhere, or stored and read again."""
    actions = append_action(state.actions, action)
    given = to_pixel_grid(-state.frames[:, 0])
    following, step = finish_step(world, state, actions, given, noise)
    assert torch.equal(step.frame, given)
    assert torch.equal(following.frames[:, -1], given)
    rewards, terminations, memory = world.reward_model(
        state.frames[:, -1:], action[:, None], given[:, None], state.reward_state
    )
    assert torch.equal(step.reward_logits, rewards[:, 0])
    assert torch.equal(step.termination_logits, terminations[:, 0])
    assert torch.equal(following.reward_state[0], memory[0])


# What a step depends on


@torch.no_grad()
def test_noise_decides_everything(world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise) -> None:
    (following, step), (again, same_step) = (dream_step(world, state, action, noise) for _ in range(2))
    assert same(following.tensors(), again.tensors())
    assert same(vars(step), vars(same_step))
    other = dataclasses.replace(noise, initial=noise.initial + 0.1)
    assert not torch.equal(dream_step(world, state, action, other)[1].frame, step.frame)


@torch.no_grad()
def test_churn_is_part_of_the_noise(state: DreamState, action: Tensor, generator: torch.Generator) -> None:
    world = with_sampler(random_world(), CHURN)
    noise = noise_for(world, generator)
    assert noise.churn is not None
    other = dataclasses.replace(noise, churn=-noise.churn)
    frames = [dream_step(world, state, action, each)[1].frame for each in (noise, noise, other)]
    assert torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[0], frames[2])


@torch.no_grad()
def test_the_start_of_sampling_is_scaled(state: DreamState, action: Tensor, noise: DreamNoise) -> None:
    """`sampler.initial_noise_std` times the standard normal draw."""
    world = random_world()
    wide = with_sampler(world, dataclasses.replace(world.sampler_cfg, initial_noise_std=2.0))
    halved = dataclasses.replace(noise, initial=noise.initial / 2)
    frame, narrow = (dream_step(w, state, action, n)[1].frame for w, n in ((world, noise), (wide, halved)))
    assert torch.equal(frame, narrow)


@torch.no_grad()
def test_a_step_depends_on_its_action(world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise) -> None:
    """Only in the dream where it is taken."""
    _, step = dream_step(world, state, action, noise)
    action[1] = 2
    _, other = dream_step(world, state, action, noise)
    for name in ("frame", "reward_logits", "termination_logits"):
        before, after = getattr(step, name), getattr(other, name)
        assert not torch.allclose(before[1], after[1], atol=1e-3), name
        assert torch.equal(before[[0, 2]], after[[0, 2]]), name


@pytest.mark.parametrize("position", range(4))
@torch.no_grad()
def test_a_frame_depends_on_all_of_the_context(
    position: int, world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise
) -> None:
    """Every one of the n frames and of the n actions, the last of which is the step's own."""
    frame = dream_step(world, state, action, noise)[1].frame
    frames, actions = state.frames.clone(), state.actions.clone()
    frames[0, position] = -frames[0, position]
    actions[0, position] = (actions[0, position] + 1) % ACTIONS
    moved = dream_step(world, dataclasses.replace(state, frames=frames), action, noise)[1].frame
    assert not torch.equal(moved[0], frame[0])
    steered = dream_step(world, dataclasses.replace(state, actions=actions), action, noise)[1].frame
    # The open action is not known yet: the step's own takes its place.
    assert torch.equal(steered[0], frame[0]) == (position == 3)


@torch.no_grad()
def test_a_frame_depends_on_nothing_else(
    world: WorldModel, state: DreamState, action: Tensor, noise: DreamNoise
) -> None:
    """Neither on the reward model's memory nor on the dream's age; rewards do have a memory."""
    _, step = dream_step(world, state, action, noise)
    memory = (state.reward_state[0] + 1, state.reward_state[1] - 1)
    other = dataclasses.replace(state, reward_state=memory, steps=state.steps + 7)
    following, other_step = dream_step(world, other, action, noise)
    assert torch.equal(other_step.frame, step.frame)
    assert not torch.equal(other_step.reward_logits, step.reward_logits)
    assert following.steps.tolist() == [8] * COUNT


# Randomness


def test_noise_comes_from_its_generator() -> None:
    shape = torch.Size((4000, 3, 2, 2))
    first, again = (draw_noise(shape, CHURN, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.churn is not None
    assert again.churn is not None
    assert first.churn.shape == (3, *shape), "one image a denoising step"
    for name, normal in (("initial", True), ("churn", True), ("reward", False), ("termination", False)):
        draws = getattr(first, name)
        assert torch.equal(draws, getattr(again, name))
        mean, std = (0.0, 1.0) if normal else (0.5, 12**-0.5)
        assert draws.mean().item() == pytest.approx(mean, abs=0.02)
        assert draws.std().item() == pytest.approx(std, abs=0.02)
    assert first.reward.min() >= 0
    assert first.reward.max() < 1
    assert draw_noise(shape, SamplerConfig(), torch.Generator()).churn is None, "a sampler without churn needs none"


# Starting


@torch.no_grad()
def test_a_dream_begins_where_its_segment_ends(world: WorldModel, generator: torch.Generator) -> None:
    """The memory is that of the reward model after one real transition at a time."""
    segment = random_segment(generator, COUNT)
    state = begin(world, segment)
    memory = world.reward_model.initial_state(COUNT, "cpu")
    for t in range(3):
        now = slice(t, t + 1)
        *_, memory = world.reward_model(
            segment.frames[:, now], segment.actions[:, now], segment.frames[:, t + 1 : t + 2], memory
        )
    assert torch.equal(state.frames, segment.frames)
    assert torch.equal(state.actions[:, :3], segment.actions[:, :3])
    assert not state.actions[:, 3].any(), "the last action of the segment is not taken in the dream"
    assert not state.steps.any()
    for ours, by_hand in zip(state.reward_state, memory, strict=True):
        assert torch.allclose(ours, by_hand, atol=1e-5)


@torch.no_grad()
def test_one_frame_is_enough(generator: torch.Generator) -> None:
    """Without a transition there is nothing to remember yet."""
    world = random_world()
    state = begin(world, random_segment(generator, COUNT, length=1))
    assert not any(memory.any() for memory in state.reward_state)
    assert state.frames.shape == (COUNT, 1, 3, 16, 16)


@torch.no_grad()
def test_rewards_are_judged_as_in_one_long_segment(world: WorldModel, generator: torch.Generator) -> None:
    """The reward model sees three real transitions and then the dream's, as if it were one stretch of a game."""
    segment = random_segment(generator, COUNT)
    state = begin(world, segment)
    frames, actions, steps = segment.frames, segment.actions[:, :-1], []
    for t in range(3):
        action = torch.tensor([t, 1, 2 - t])
        state, step = dream_step(world, state, action, noise_for(world, generator))
        frames = torch.cat((frames, step.frame[:, None]), dim=1)
        actions = torch.cat((actions, action[:, None]), dim=1)
        steps.append(step)
    zeros = world.reward_model.initial_state(COUNT, "cpu")
    rewards, terminations, memory = world.reward_model(frames[:, :-1], actions, frames[:, 1:], zeros)
    assert torch.allclose(torch.stack([step.reward_logits for step in steps], dim=1), rewards[:, 3:], atol=1e-4)
    assert torch.allclose(
        torch.stack([step.termination_logits for step in steps], dim=1), terminations[:, 3:], atol=1e-4
    )
    assert torch.allclose(state.reward_state[0], memory[0], atol=1e-5)


# Restarting


def test_only_what_ended_restarts(world: WorldModel, generator: torch.Generator) -> None:
    """The others go on bit for bit, and nothing of the old dream is left, not even what is not finite."""
    state, pool = random_state(world, generator, COUNT), random_state(world, generator, 5)
    state = dataclasses.replace(state, steps=torch.tensor([4, 5, 6]))
    state.frames[1] = float("nan")
    state.reward_state[0][1] = float("nan")
    done, index = torch.tensor([False, True, False]), torch.tensor([0, 3, 4])
    restarted = restart_where(done, state, pool, index).tensors()
    for name, tensor in restarted.items():
        assert torch.equal(tensor[[0, 2]], state.tensors()[name][[0, 2]]), name
        assert torch.equal(tensor[1], pool.tensors()[name][3]), name
    assert restarted["steps"].tolist() == [4, 0, 6]


def test_all_or_none_restart(world: WorldModel, generator: torch.Generator) -> None:
    state, pool = (random_state(world, generator, COUNT) for _ in range(2))
    index = torch.tensor([2, 2, 0])
    none = restart_where(torch.zeros(COUNT, dtype=torch.bool), state, pool, index)
    assert same(none.tensors(), state.tensors())
    every = restart_where(torch.ones(COUNT, dtype=torch.bool), state, pool, index)
    assert same(every.tensors(), select(pool, index).tensors())


def test_a_state_survives_a_checkpoint(state: DreamState) -> None:
    again = DreamState.from_tensors(state.tensors())
    assert same(again.tensors(), state.tensors())
    assert set(again.tensors()) == {"frames", "actions", "hidden", "cell", "steps"}


# Fixed shapes, no waiting

COMPILE = """
import torch
import torch._dynamo
from dreams import random_segment, random_world
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.world import draw_noise, restart_where

@torch.no_grad()
def step(state, pool, action, noise):
    following, step = dream_step(world, state, action, noise)
    return restart_where(step.terminated, following, pool, action), step

torch._dynamo.config.allow_rnn = True  # without it PyTorch leaves every nn.LSTM to Python
generator, world = torch.Generator().manual_seed(0), random_world()
state, pool = (begin(world, random_segment(generator, 3)) for _ in range(2))
noise = draw_noise(state.frames[:, 0].shape, world.sampler_cfg, generator)
action = torch.tensor([0, 1, 2])
(plain, one), (compiled, two) = step(state, pool, action, noise), torch.compile(
    step, backend="eager", fullgraph=True, dynamic=False)(state, pool, action, noise)
for ours, theirs in ((plain.tensors(), compiled.tensors()), (vars(one), vars(two))):
    assert all(torch.allclose(ours[name].float(), theirs[name].float(), atol=1e-5) for name in ours)
"""


@pytest.mark.slow
def test_the_step_is_one_graph() -> None:
    """It compiles as a whole, with nothing left to Python (in a process without the run-time checks of shapes)."""
    tests = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", COMPILE], cwd=tests, check=True, timeout=250)


@pytest.mark.parametrize("cfg", [SamplerConfig(num_steps=2, order=2), CHURN])
@torch.no_grad()
def test_nothing_waits_for_the_device(cfg: SamplerConfig) -> None:
    """On tensors without content every look at a value fails, and so does arithmetic with another device."""
    world = with_sampler(random_world(), cfg)
    generator = torch.Generator().manual_seed(0)
    parts = (random_state(world, generator, COUNT), random_state(world, generator, 5), noise_for(world, generator))
    state, pool, noise = without_content(parts)
    world = with_sampler(random_world(random_agent().to("meta")), cfg)
    action = torch.empty(COUNT, dtype=torch.long, device="meta")
    following, step = dream_step(world, state, action, noise)
    restarted = restart_where(step.terminated, following, pool, action)
    for name, tensor in restarted.tensors().items():
        assert tensor.shape == parts[0].tensors()[name].shape, name
        assert tensor.is_meta, name
    begun = begin(world, without_content(random_segment(generator, COUNT)))
    assert all(tensor.is_meta for tensor in (*begun.tensors().values(), *vars(step).values()))
