"""Acting in the dream: the same experience and the same gradient as the slow and obvious way, written out here."""

import dataclasses
from dataclasses import dataclass

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
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diamond.config import ActorCriticConfig
from diamond.experience.actions import sample_categorical
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.returns import lambda_returns
from diamond.imagination.rollout import (
    Carry,
    Trajectory,
    WindowNoise,
    burn_in,
    draw_window_noise,
    evaluate_policy,
    imagine,
    pool_size,
)
from diamond.imagination.world import DreamState, WorldModel
from diamond.networks.actor_critic import ActorCritic
from diamond.networks.blocks import LSTMState
from diamond.training.objectives import actor_critic_loss

DREAMS, WINDOW, HORIZON, POOL = 5, 6, 4, 4
FOREVER = 1000


@dataclass
class Scene:
    """A window about to be dreamed."""

    world: WorldModel
    policy: ActorCritic
    carry: Carry
    pool: DreamState
    noise: WindowNoise

    def imagine(self, horizon: int) -> tuple[Carry, Trajectory]:
        return imagine(self.world, self.policy, self.carry, self.pool, self.noise, horizon)

    def part(self, start: int, stop: int, carry: Carry) -> "Scene":
        """Some steps of the window, from a given point on."""
        noise = WindowNoise(self.noise.dream[start:stop], self.noise.action[start:stop])
        return dataclasses.replace(self, carry=carry, noise=noise)


@pytest.fixture
def scene(generator: torch.Generator) -> Scene:
    """Random networks, in the middle of a dream: memories are not zero."""
    agent = random_agent()
    world, policy = random_world(agent), agent.actor_critic
    carry = Carry(random_state(world, generator, DREAMS), burn_in(policy, random_segment(generator, DREAMS).frames))
    carry = Carry(carry.dream, (carry.policy_state[0].detach(), carry.policy_state[1].detach()))
    noise = draw_window_noise(carry.dream.frames[:, 0].shape, WINDOW, world, generator)
    # These random networks end a dream at a draw above 0.27 or so; most should reach the horizon.
    steps = [dataclasses.replace(step, termination=0.33 * step.termination) for step in noise.dream]
    return Scene(world, policy, carry, random_state(world, generator, POOL), WindowNoise(steps, noise.action))


def scripted(actions: list[list[int]], pool: int = POOL, ending_action: int = 2, size: int = 16) -> Scene:
    """A still world where one action ends the dream, and an agent that does as it is told, step by step.

    A fresh policy is uniform, so that its noise alone chooses: (action + 0.5) / 3.
    """
    generator = torch.Generator().manual_seed(0)

    def rate(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(action), action == ending_action

    world = drawn_world(keep_frame, rate)
    policy = ActorCritic(ACTIONS, size, size, ActorCriticConfig(channels=(8,), downsample=(True,), lstm_size=8))
    told = torch.tensor(actions)
    dreams = told.shape[1]
    noise = draw_window_noise(torch.Size((dreams, 3, size, size)), len(told), world, generator)
    noise = dataclasses.replace(noise, action=(told + 0.5) / ACTIONS)
    carry = Carry(random_state(world, generator, dreams), policy.initial_state(dreams, "cpu"))
    return Scene(world, policy, carry, random_state(world, generator, pool), noise)


def done(trajectory: Trajectory) -> Tensor:
    return trajectory.terminated | trajectory.truncated


def assert_same(one: object, two: object, tolerance: float = 1e-5) -> None:
    """Equal tensors in two dataclasses of the same kind."""
    for field in dataclasses.fields(one):  # type: ignore[arg-type]
        ours, theirs = getattr(one, field.name), getattr(two, field.name)
        if dataclasses.is_dataclass(ours):
            assert_same(ours, theirs, tolerance)
        else:
            torch.testing.assert_close(
                ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda text, name=field.name: f"{name}: {text}"
            )


# The slow and obvious way: one dream after the other, one frame at a time.


def memory_after(policy: ActorCritic, frames: Tensor) -> LSTMState:
    """The policy's memory after watching all but the newest of the frames (n c h w) of a start."""
    memory = policy.initial_state(1, "cpu")
    for frame in frames[:-1]:
        *_, memory = policy(frame[None], memory)
    return memory


def rows(state: LSTMState) -> list[LSTMState]:
    return [(state[0][b : b + 1], state[1][b : b + 1]) for b in range(len(state[0]))]


@torch.no_grad()
def imagine_by_hand(scene: Scene, horizon: int) -> tuple[Carry, Trajectory]:
    """What `imagine` should do; only the dream's step itself is taken for granted."""
    policy, pool = scene.policy, scene.pool
    dream, memory = scene.carry.dream, rows(scene.carry.policy_state)
    dreams, window = len(dream.steps), len(scene.noise.action)
    rewards, next_value = torch.zeros(window, dreams), torch.zeros(window, dreams)
    terminated, truncated = torch.zeros(2, window, dreams).bool()
    actions, start_index = torch.zeros(2, window, dreams).long()
    frames, unused = [], 0
    for t in range(window):
        frames.append(dream.frames[:, -1])
        for b in range(dreams):
            logits, _, memory[b] = policy(dream.frames[b : b + 1, -1], memory[b])
            actions[t, b] = sample_categorical(logits[0], scene.noise.action[t, b])
        dream, step = dream_step(scene.world, dream, actions[t], scene.noise.dream[t])
        dream = DreamState.from_tensors({name: tensor.clone() for name, tensor in dream.tensors().items()})
        rewards[t], terminated[t] = step.reward, step.terminated
        for b in range(dreams):
            next_value[t, b] = policy(step.frame[b : b + 1], memory[b])[1]
            truncated[t, b] = not terminated[t, b] and dream.steps[b] == horizon
            if terminated[t, b] or truncated[t, b]:
                start_index[t, b] = unused % len(pool.steps)
                unused += 1
                for name, tensor in dream.tensors().items():
                    tensor[b] = pool.tensors()[name][start_index[t, b]]
                memory[b] = memory_after(policy, pool.frames[start_index[t, b]])
    starts = [memory_after(policy, pool.frames[start]) for start in range(len(pool.steps))]
    trajectory = Trajectory(
        torch.stack(frames),
        actions,
        rewards,
        terminated,
        truncated,
        next_value,
        start_index,
        policy_state=scene.carry.policy_state,
        start_state=(torch.cat([h for h, _ in starts]), torch.cat([c for _, c in starts])),
    )
    return Carry(dream, (torch.cat([h for h, _ in memory]), torch.cat([c for _, c in memory]))), trajectory


def evaluate_by_hand(
    policy: ActorCritic, trajectory: Trajectory, pool: DreamState, burn_in_gradient: bool
) -> tuple[Tensor, Tensor]:
    """What `evaluate_policy` should give: back-propagation goes through every single step."""
    window, dreams = trajectory.actions.shape
    logits, values = [], []
    for b, memory in enumerate(rows(trajectory.policy_state)):
        for t in range(window):
            step_logits, value, memory = policy(trajectory.frames[t, b : b + 1], memory)
            logits.append(step_logits[0])
            values.append(value[0])
            if done(trajectory)[t, b]:
                with torch.set_grad_enabled(burn_in_gradient):
                    memory = memory_after(policy, pool.frames[trajectory.start_index[t, b]])
    return (
        torch.stack(logits).unflatten(0, (dreams, window)).transpose(0, 1),
        torch.stack(values).unflatten(0, (dreams, window)).T,
    )


# Rolling out


def test_a_window_as_by_hand(scene: Scene) -> None:
    """Every number of the trajectory and of what lives on, with ends of both kinds in the middle."""
    following, trajectory = scene.imagine(HORIZON)
    following_by_hand, by_hand = imagine_by_hand(scene, HORIZON)
    assert trajectory.terminated[:-1].any()
    assert trajectory.truncated[:-1].any()
    by_hand = dataclasses.replace(
        by_hand, start_index=torch.where(done(trajectory), by_hand.start_index, trajectory.start_index)
    )
    assert_same(trajectory, by_hand)
    assert_same(following, following_by_hand)


def test_shapes_of_a_window(scene: Scene) -> None:
    following, trajectory = scene.imagine(HORIZON)
    assert trajectory.frames.shape == (WINDOW, DREAMS, 3, 16, 16)
    for name in ("actions", "rewards", "terminated", "truncated", "next_value", "start_index"):
        assert getattr(trajectory, name).shape == (WINDOW, DREAMS), name
    assert not any(tensor.requires_grad for tensor in vars(trajectory).values() if isinstance(tensor, Tensor))
    assert not following.policy_state[0].requires_grad


def test_actions_are_drawn_from_the_policy_that_is_evaluated(scene: Scene) -> None:
    """The gradient is that of the very policy that acted, restarts included."""
    _, trajectory = scene.imagine(HORIZON)
    logits, _ = evaluate_policy(scene.policy, trajectory, scene.pool, burn_in_gradient=True)
    assert torch.equal(sample_categorical(logits, scene.noise.action), trajectory.actions)


def test_next_value_is_that_of_the_true_successor(scene: Scene) -> None:
    """Inside a dream it is the next step's value; where one ends, its last frame's, never that of the next start."""
    following, trajectory = scene.imagine(HORIZON)
    _, values = evaluate_policy(scene.policy, trajectory, scene.pool, burn_in_gradient=True)
    goes_on = ~done(trajectory)
    assert torch.allclose(trajectory.next_value[:-1][goes_on[:-1]], values[1:][goes_on[:-1]], atol=1e-5)
    assert not torch.isclose(trajectory.next_value[:-1][~goes_on[:-1]], values[1:][~goes_on[:-1]], atol=1e-3).any()
    # The next window begins with the frame that this one ended before.
    _, later = scene.part(0, WINDOW, following).imagine(HORIZON)
    _, later_values = evaluate_policy(scene.policy, later, scene.pool, burn_in_gradient=True)
    assert torch.allclose(trajectory.next_value[-1][goes_on[-1]], later_values[0][goes_on[-1]], atol=1e-5)


# Restarts

FATES = [
    [0, 1, 1, 0],
    [2, 0, 2, 0],
    [2, 0, 0, 0],
    [0, 0, 0, 2],
    [0, 2, 0, 2],
]
"""Actions by step and dream; 2 ends the dream."""


def test_every_restart_takes_the_next_start() -> None:
    """In the order of time; two that end in the same step take different ones."""
    scene = scripted(FATES, pool=6)
    _, trajectory = scene.imagine(FOREVER)
    assert trajectory.actions.tolist() == FATES
    assert torch.equal(trajectory.terminated, trajectory.actions == 2)
    assert trajectory.start_index[trajectory.terminated].tolist() == [0, 1, 2, 3, 4, 5]


def test_starts_are_shared_when_they_run_out() -> None:
    _, trajectory = scripted(FATES, pool=4).imagine(FOREVER)
    assert trajectory.start_index[trajectory.terminated].tolist() == [0, 1, 2, 3, 0, 1]


def test_a_restarted_dream_shows_its_start() -> None:
    """And nothing moves in the others."""
    scene = scripted(FATES, pool=6)
    following, trajectory = scene.imagine(FOREVER)
    frames = torch.cat((trajectory.frames, following.dream.frames[None, :, -1]))
    starts = scene.pool.frames[trajectory.start_index, -1]
    ended = trajectory.terminated[..., None, None, None]
    expected = torch.where(ended, starts, trajectory.frames)
    assert torch.allclose(frames[1:], expected, atol=1e-6)
    assert following.dream.steps.tolist() == [2, 0, 3, 0]


def test_the_first_frames_are_those_of_the_dreams_that_live_on(scene: Scene) -> None:
    _, trajectory = scene.imagine(HORIZON)
    assert torch.equal(trajectory.frames[0], scene.carry.dream.frames[:, -1])
    assert torch.equal(trajectory.policy_state[0], scene.carry.policy_state[0])


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_horizon_truncates(horizon: int) -> None:
    """After exactly that many imagined steps, again and again."""
    _, trajectory = scripted([[0, 1]] * 6, pool=12).imagine(horizon)
    expected = [[(t + 1) % horizon == 0] * 2 for t in range(6)]
    assert trajectory.truncated.tolist() == expected
    assert not trajectory.terminated.any()
    assert trajectory.start_index[trajectory.truncated].tolist() == list(range(12 // horizon))


def test_an_end_at_the_horizon_is_an_end() -> None:
    """Terminated, not truncated: nothing follows, so nothing is bootstrapped."""
    _, trajectory = scripted([[0, 0], [0, 2], [2, 0]]).imagine(horizon=2)
    assert trajectory.terminated.tolist() == [[False, False], [False, True], [True, False]]
    assert trajectory.truncated.tolist() == [[False, False], [True, False], [False, False]]


# From one window to the next


def test_two_windows_are_one_long_one(scene: Scene) -> None:
    """Dreams and memories live on; no restart happens in the first half, so both halves use the pool from its start."""
    world = dataclasses.replace(scene.world, reward_model=drawn_world(keep_frame, uneventful).reward_model)
    nothing = torch.zeros(DREAMS, 1)
    dream = dataclasses.replace(scene.carry.dream, reward_state=(nothing, nothing))
    pool = dataclasses.replace(scene.pool, reward_state=(torch.ones(POOL, 1), torch.ones(POOL, 1)))
    scene = dataclasses.replace(scene, world=world, carry=Carry(dream, scene.carry.policy_state), pool=pool)
    end, whole = scene.imagine(horizon=5)
    middle, first = scene.part(0, 3, scene.carry).imagine(horizon=5)
    assert middle.dream.steps.tolist() == [3] * DREAMS
    last, second = scene.part(3, 6, middle).imagine(horizon=5)
    assert second.truncated[1].all(), "at the fifth step since the start"
    for name in ("frames", "actions", "rewards", "terminated", "truncated", "next_value"):
        halves = torch.cat((getattr(first, name), getattr(second, name)))
        assert torch.allclose(halves.float(), getattr(whole, name).float(), atol=1e-5), name
    assert_same(end, last)


@torch.no_grad()
def test_memory_at_a_start(generator: torch.Generator) -> None:
    """That of a policy that has watched the start's frames but the newest, which it acts on next."""
    policy = random_agent().actor_critic
    frames = random_segment(generator, POOL).frames
    hidden, cell = burn_in(policy, frames)
    for i in range(POOL):
        expected = memory_after(policy, frames[i])
        assert torch.allclose(hidden[i], expected[0][0], atol=1e-5)
        assert torch.allclose(cell[i], expected[1][0], atol=1e-5)
    assert not any(memory.any() for memory in burn_in(policy, frames[:, :1]))


def test_noise_of_a_window(generator: torch.Generator) -> None:
    """One entry a step, all different, and a function of the generator alone."""
    world = random_world()
    noise = draw_window_noise(torch.Size((2, 3, 4, 4)), 3, world, generator)
    again = draw_window_noise(torch.Size((2, 3, 4, 4)), 3, world, torch.Generator().manual_seed(0))
    assert len(noise.dream) == 3
    assert noise.action.shape == (3, 2)
    assert torch.equal(noise.action, again.action)
    assert torch.equal(noise.dream[2].initial, again.dream[2].initial)
    assert not torch.equal(noise.dream[1].initial, noise.dream[2].initial)


# How many starts a window needs


def test_number_of_starts() -> None:
    """A quarter more than the restarts that the horizon causes: 40 in the paper's experiment."""
    assert pool_size(32, 15, 15) == 40
    assert pool_size(4, 5, 5) == 5
    assert pool_size(1, 1, 1) == 2


@given(st.integers(1, 8), st.integers(1, 30), st.integers(1, 60), st.integers(1, 10))
def test_the_horizon_alone_never_shares_starts(dreams: int, window: int, horizon: int, windows: int) -> None:
    """Dreams that began together reach the horizon together."""
    for first in range(0, windows * window, window):
        restarts = sum((step + 1) % horizon == 0 for step in range(first, first + window))
        assert pool_size(dreams, window, horizon) >= dreams * restarts


# Gradient


@pytest.mark.parametrize("burn_in_gradient", [True, False])
def test_the_gradient_of_stepwise_back_propagation(burn_in_gradient: bool, scene: Scene) -> None:
    """Logits, values and the gradient of every parameter, with restarts of both kinds in the middle of the window."""
    _, trajectory = scene.imagine(HORIZON)
    assert trajectory.terminated[:-1].any()
    assert trajectory.truncated[:-1].any()
    weights = torch.Generator().manual_seed(1)
    logit_weight = torch.randn(WINDOW, DREAMS, ACTIONS, generator=weights)
    value_weight = torch.randn(WINDOW, DREAMS, generator=weights)
    found = []
    for evaluate in (evaluate_policy, evaluate_by_hand):
        logits, values = evaluate(scene.policy, trajectory, scene.pool, burn_in_gradient)
        scene.policy.zero_grad()
        ((logits * logit_weight).sum() + (values * value_weight).sum()).backward()
        gradients = {name: parameter.grad for name, parameter in scene.policy.named_parameters()}
        found.append((logits.detach(), values.detach(), gradients))
    (logits, values, ours), (logits_by_hand, values_by_hand, by_hand) = found
    assert torch.allclose(logits, logits_by_hand, atol=1e-5)
    assert torch.allclose(values, values_by_hand, atol=1e-5)
    for name, gradient in by_hand.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def test_warming_up_matters(scene: Scene) -> None:
    """Its gradient can be left out, which changes nothing but the gradient."""
    _, trajectory = scene.imagine(HORIZON)
    gradients, outputs = [], []
    for burn_in_gradient in (True, False):
        logits, values = evaluate_policy(scene.policy, trajectory, scene.pool, burn_in_gradient)
        outputs.append((logits, values))
        (gradient,) = torch.autograd.grad(logits[-1].square().sum() + values[-1].sum(), [scene.policy.lstm.weight_ih])
        gradients.append(gradient)
    torch.testing.assert_close(outputs[0][0], outputs[1][0])
    torch.testing.assert_close(outputs[0][1], outputs[1][1])
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=0)


def test_no_gradient_where_none_is_wanted(scene: Scene) -> None:
    _, trajectory = scene.imagine(HORIZON)
    with torch.no_grad():
        logits, values = evaluate_policy(scene.policy, trajectory, scene.pool, burn_in_gradient=True)
    assert not logits.requires_grad
    assert not values.requires_grad


# Learning


def immediate(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Action 1 is paid at once."""
    return action == 1, torch.zeros_like(action)


def delayed(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """A bright frame is paid, whatever is done in it: it shows that the action before was 1."""
    return frame.mean(dim=(1, 2, 3)) > 0.5, torch.zeros_like(action)


def ending(frame: Tensor, action: Tensor, next_frame: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Every step is paid, and all actions but 1 end the dream."""
    return torch.ones_like(action), action != 1


def show_action(frames: Tensor, actions: Tensor) -> Tensor:
    """White after action 1, else grey."""
    return (actions[:, -1] == 1).float()[:, None, None, None].expand_as(frames[:, -1])


@pytest.mark.parametrize("rate", [immediate, delayed, ending])
def test_the_agent_learns_what_pays(rate: object) -> None:
    """All parts together: in a world where action 1 pays at once, a step later, or by staying alive, it is chosen."""
    generator = torch.Generator().manual_seed(0)
    cfg = ActorCriticConfig(channels=(4,), downsample=(True,), lstm_size=8, discount=0.9)
    dreams, window, size, horizon = 16, 5, 4, 5
    world = drawn_world(show_action, rate)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        policy = ActorCritic(ACTIONS, size, size, cfg)
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)

    def starts(count: int) -> DreamState:
        return begin(world, random_segment(generator, count, length=2, size=size))

    carry = Carry(starts(dreams), policy.initial_state(dreams, "cpu"))
    chosen = []
    for _ in range(40):
        pool = starts(pool_size(dreams, window, horizon))
        noise = draw_window_noise(carry.dream.frames[:, 0].shape, window, world, generator)
        carry, trajectory = imagine(world, policy, carry, pool, noise, horizon)
        logits, values = evaluate_policy(policy, trajectory, pool, cfg.burn_in_gradient)
        ends = (trajectory.terminated, trajectory.truncated)
        returns = lambda_returns(trajectory.rewards, trajectory.next_value, *ends, cfg.discount, cfg.lambda_)
        loss, _ = actor_critic_loss(logits, values, trajectory.actions, returns, cfg)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        chosen.append(float(logits.detach().softmax(dim=-1)[..., 1].mean()))
    assert chosen[0] == pytest.approx(1 / 3)
    assert chosen[-1] > 0.9
    assert float(values.detach().mean()) > 0.5, "and it expects to be paid"


# Fixed shapes, no waiting


@torch.no_grad()
def test_nothing_waits_for_the_device(scene: Scene) -> None:
    """A whole update's experience on tensors without content, where any look at a value fails."""
    agent = random_agent().to("meta")
    policy, world = agent.actor_critic, random_world(agent)
    carry, pool, noise = without_content((scene.carry, scene.pool, scene.noise))
    following, trajectory = imagine(world, policy, carry, pool, noise, HORIZON)
    logits, values = evaluate_policy(policy, trajectory, pool, burn_in_gradient=True)
    ends = (trajectory.terminated, trajectory.truncated)
    returns = lambda_returns(trajectory.rewards, trajectory.next_value, *ends, 0.9, 0.95)
    loss, _ = actor_critic_loss(logits, values, trajectory.actions, returns, ActorCriticConfig())
    assert logits.shape == (WINDOW, DREAMS, ACTIONS)
    assert all(tensor.is_meta for tensor in (loss, values, *following.dream.tensors().values()))
