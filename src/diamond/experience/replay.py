"""All real experience as uint8 on the training device, and the training segments drawn from it.

Every environment appends to a lane of its own. Slot `offset * lanes + lane` holds one frame with the action taken there
and its reward; an episode of t steps fills t + 1 slots, the last one with its final frame alone. Lanes are interleaved
so that growth moves no slot. Which slots to fetch is computed on the CPU; the fetch happens on the device.

Axes   b batch | t time | n environments (lanes) | e episodes | h w c image
Units  stored frames are uint8 in 0..255; rewards are as the environment gave them
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, UInt8
from torch import Tensor

from diamond.errors import DataError
from diamond.experience.episodes import Episode
from diamond.experience.frames import PADDING_VALUE, to_network
from diamond.experience.segments import Segment

FINAL_FRAME_SLACK = 1.1
"""Slots reserved per expected step, for final frames: enough for episodes of ten steps or more."""
GROWTH = 1.25
"""By how much a full store grows."""


@dataclass
class _Entry:
    """Where an episode lies: `offset` is the place of its first frame in its lane."""

    index: int
    lane: int
    offset: int
    num_steps: int = 0
    terminated: bool = False
    truncated: bool = False


@dataclass(frozen=True)
class _Table:
    """The episodes with at least one step, in order of collection, and cumulative weights by `age_weights`."""

    first_slot: Int64[Tensor, " e"]
    num_steps: Int64[Tensor, " e"]
    cumulative: dict[tuple[float, ...], Tensor] = field(default_factory=dict)


def episode_weights(num_steps: Int64[Tensor, " e"], age_weights: tuple[float, ...]) -> Float64[Tensor, " e"]:
    """Probability of each episode, oldest first (the published code's sampling by age).

    The e episodes fall into g = len(age_weights) groups of e // g each, the newest group taking the remainder; a group
    shares its weight evenly. With fewer episodes than groups, or no groups, episodes are weighted by their steps.
    """
    episodes, groups = len(num_steps), len(age_weights)
    if groups == 0 or episodes < groups:
        return num_steps.double() / num_steps.sum()
    group = (torch.arange(episodes) // (episodes // groups)).clamp(max=groups - 1)
    share = torch.tensor(age_weights, dtype=torch.float64) / torch.bincount(group)
    return share[group]


class Replay:
    """Real experience of `lanes` environments that step together.

    Args:
        capacity: steps expected in all; more are welcome and cost a copy now and then.
        height, width: of the frames, in pixels.
        lanes: environments that append side by side.
        device: where frames, actions and rewards are kept, and where samples appear.
    """

    def __init__(self, capacity: int, height: int, width: int, lanes: int, device: torch.device | str) -> None:
        self.lanes = lanes
        self.device = torch.device(device)
        self._lane_slots = int(capacity / lanes * FINAL_FRAME_SLACK) + 2
        self._frames, self._actions, self._rewards, self._terminated = self._allocate(height, width)
        self._used = np.zeros(lanes, dtype=np.int64)  # slots taken in each lane; open episodes end with the last
        self._entries: list[_Entry] = []  # in order of collection
        self._open: list[_Entry] = []  # one per lane while environments run
        self._table: _Table | None = None
        self._sign_counts = np.zeros(3, dtype=np.int64)

    @property
    def num_steps(self) -> int:
        """Steps of all episodes."""
        return int(self._sign_counts.sum())

    @property
    def num_episodes(self) -> int:
        """Episodes with at least one step, finished or not."""
        return sum(entry.num_steps > 0 for entry in self._entries)

    @property
    def memory_bytes(self) -> int:
        """Bytes reserved on the device; on a CPU the part not yet written takes no physical memory."""
        return sum(store.nbytes for store in (self._frames, self._actions, self._rewards, self._terminated))

    def reward_sign_counts(self) -> tuple[int, int, int]:
        """Steps with negative, zero and positive reward."""
        negative, zero, positive = self._sign_counts.tolist()
        return negative, zero, positive

    # Collection

    def begin(self, frames: UInt8[np.ndarray, "n h w 3"]) -> None:
        """Open a first episode in every lane with what the environments show after a reset.

        Raises:
            DataError: episodes are open already, or the frames do not fit.
        """
        if self._open:
            raise DataError(f"{len(self._open)} episodes are open: begin only once, then add steps")
        self._check_frames("frames", frames)
        self._reserve(int(self._used.max()) + 1)
        self._put(self._frames, self._slots(self._used), frames)
        self._open = [self._start(lane, int(self._used[lane])) for lane in range(self.lanes)]
        self._used += 1

    def add(
        self,
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        terminated: Bool[np.ndarray, " n"],
        truncated: Bool[np.ndarray, " n"],
        successors: UInt8[np.ndarray, "n h w 3"],
        next_frames: UInt8[np.ndarray, "n h w 3"],
    ) -> list[tuple[int, Episode]]:
        """One step of every environment.

        Args:
            actions: taken in the frames added last.
            rewards: for these actions.
            terminated, truncated: whether the step ended the episode, and how.
            successors: the true next frames, the final frame where the episode ended.
            next_frames: what the environments show now; differs where an episode ended and the next began.

        Returns:
            The episodes that ended, each with its number; all episodes are numbered in the order in which they start,
            lane by lane where several start together.

        Raises:
            DataError: nothing was begun, a reward is not finite, or the frames do not fit.
        """
        if not self._open:
            raise DataError("no episode is open: give the first frames to begin")
        self._check_frames("successors", successors)
        self._check_frames("next_frames", next_frames)
        if not np.isfinite(rewards).all():
            raise DataError(f"rewards are {rewards.tolist()}: the environment must give finite numbers")
        self._reserve(int(self._used.max()) + 2)
        ended = terminated | truncated
        current = self._slots(self._used - 1)
        self._put(self._actions, current, actions)
        self._put(self._rewards, current, rewards)
        self._put(self._terminated, current, terminated)
        self._put(self._frames, current + self.lanes, successors)
        if ended.any():
            self._put(self._frames, (current + 2 * self.lanes)[ended], next_frames[ended])
        self._used += 1 + ended
        self._count_signs(rewards)
        self._table = None

        finished = []
        for lane, entry in enumerate(self._open):
            entry.num_steps += 1
            if ended[lane]:
                entry.terminated, entry.truncated = bool(terminated[lane]), bool(truncated[lane])
                finished.append((entry.index, self._read(entry)))
                self._open[lane] = self._start(lane, int(self._used[lane]) - 1)
        return finished

    # Saving and loading

    def open_episodes(self) -> list[tuple[int, Episode]]:
        """The unfinished episodes with their numbers, lane by lane; empty when none was begun."""
        return [(entry.index, self._read(entry)) for entry in self._open]

    def load(self, finished: Iterable[tuple[int, Episode]], open_episodes: Sequence[tuple[int, Episode]] = ()) -> None:
        """Fill an empty replay; sampling and numbering then go on as in the replay that the episodes came from.

        Args:
            finished: episodes with their numbers; may be a generator, so that only one at a time is in memory.
            open_episodes: what `open_episodes()` gave, one per lane, to be continued by `add`; or none.

        Raises:
            DataError: the replay is not empty, numbers repeat, or an episode does not fit.
        """
        if self._entries:
            raise DataError(f"the replay holds {len(self._entries)} episodes: load into a new one")
        if len(open_episodes) not in (0, self.lanes):
            raise DataError(f"{len(open_episodes)} open episodes for {self.lanes} environments: give one for each")
        if any(episode.finished for _, episode in open_episodes):
            raise DataError("an open episode has already ended: give it with the finished ones")
        still_to_come = np.array([episode.num_steps + 1 for _, episode in open_episodes] or [0] * self.lanes)
        for index, episode in finished:
            self._place(index, int((self._used + still_to_come).argmin()), episode)
        self._open = [self._place(index, lane, episode) for lane, (index, episode) in enumerate(open_episodes)]
        self._entries.sort(key=lambda entry: entry.index)
        numbers = [entry.index for entry in self._entries]
        if len(set(numbers)) < len(numbers):
            raise DataError("two episodes have the same number: number them in the order of collection")

    # Sampling

    def sample(
        self,
        batch_size: int,
        length: int,
        generator: torch.Generator,
        age_weights: tuple[float, ...],
        *,
        final_frames: bool = False,
    ) -> Segment:
        """Segments to predict frames in and to start dreams from.

        An episode is drawn by `age_weights`, see `episode_weights`, then a uniform step in it, then where in the
        segment that step sits. The segment never reaches past the episode's last action, so the true final frame is
        not shown unless `final_frames` says so; before the episode's start there is padding.

        Args:
            batch_size: b.
            length: t, frames per segment.
            generator: on the CPU; the only source of randomness.
            age_weights: share of samples of each age group, oldest first; empty to weight by length.
            final_frames: draw from all frames of an episode, with its true final one (the newest of an unfinished
                episode), which then is valid without an action of its own.

        Raises:
            DataError: there is no step yet.
        """
        first_slot, num_frames, step, shift = self._draw(
            batch_size, length, generator, age_weights, beyond=int(final_frames)
        )
        stop = torch.minimum(num_frames, step + 1 + shift)
        return self._gather(first_slot, num_frames, stop - length, length)

    def sample_transitions(
        self, batch_size: int, length: int, generator: torch.Generator, age_weights: tuple[float, ...]
    ) -> Segment:
        """Segments to learn rewards and terminations from: as `sample`, but with padding on both sides.

        The frame after the episode's last action is shown, though not valid: the true final frame, or the newest one of
        an unfinished episode.
        """
        first_slot, num_steps, step, shift = self._draw(batch_size, length, generator, age_weights)
        return self._gather(first_slot, num_steps, step - shift, length)

    def _draw(
        self,
        batch_size: int,
        length: int,
        generator: torch.Generator,
        age_weights: tuple[float, ...],
        beyond: int = 0,
    ) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"], Int64[Tensor, " b"], Int64[Tensor, " b"]]:
        """First slot and steps (plus `beyond`) of random episodes, a uniform one of these steps in each, and a uniform
        shift in 0..length - 1."""
        if self.num_steps == 0:
            raise DataError("the replay is empty: collect at least 1 step before training")
        if self._table is None:
            self._table = self._tabulate()
        table = self._table
        if age_weights not in table.cumulative:
            table.cumulative[age_weights] = episode_weights(table.num_steps, age_weights).cumsum(0)
        cumulative = table.cumulative[age_weights]
        # A 53-bit uniform number below 1 times x rounds to less than x, so no index below can reach its bound.
        uniform = torch.rand(3, batch_size, dtype=torch.float64, generator=generator)
        episode = torch.searchsorted(cumulative, uniform[0] * cumulative[-1], right=True)
        num_steps = table.num_steps[episode] + beyond
        step, shift = (uniform[1] * num_steps).long(), (uniform[2] * length).long()
        return table.first_slot[episode], num_steps, step, shift

    def _gather(
        self, first_slot: Int64[Tensor, " b"], num_steps: Int64[Tensor, " b"], start: Int64[Tensor, " b"], length: int
    ) -> Segment:
        position = start[:, None] + torch.arange(length)
        inside = position.clamp(min=0).minimum(num_steps[:, None])
        slots = first_slot[:, None] + inside * self.lanes
        valid = (position >= 0) & (position < num_steps[:, None])
        padding = (position != inside).flatten().nonzero().flatten()
        index = torch.cat((slots.flatten(), valid.long().flatten(), padding))
        if self.device.type == "cuda":
            index = index.pin_memory()  # else the copy waits for the device
        sizes, shape = (slots.numel(), valid.numel(), padding.numel()), position.shape
        slots, valid, padding = index.to(self.device, non_blocking=True).split(sizes)
        frames, valid = to_network(self._frames.index_select(0, slots)), valid.bool()
        frames.index_fill_(0, padding, PADDING_VALUE)
        return Segment(
            frames=frames.unflatten(0, shape),
            actions=self._actions.index_select(0, slots).long().masked_fill_(~valid, 0).view(shape),
            rewards=self._rewards.index_select(0, slots).masked_fill_(~valid, 0).view(shape),
            terminated=(self._terminated.index_select(0, slots) & valid).view(shape),
            valid=valid.view(shape),
        )

    def _tabulate(self) -> _Table:
        rows = [(entry.offset * self.lanes + entry.lane, entry.num_steps) for entry in self._entries if entry.num_steps]
        first_slot, num_steps = torch.tensor(rows, dtype=torch.int64).T
        return _Table(first_slot.contiguous(), num_steps.contiguous())

    # Storage

    def _allocate(self, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        slots = self._lane_slots * self.lanes
        return (
            torch.empty((slots, height, width, 3), dtype=torch.uint8, device=self.device),
            torch.zeros(slots, dtype=torch.int32, device=self.device),
            torch.zeros(slots, dtype=torch.float32, device=self.device),
            torch.zeros(slots, dtype=torch.bool, device=self.device),
        )

    def _reserve(self, lane_slots: int) -> None:
        if lane_slots <= self._lane_slots:
            return
        used = int(self._used.max()) * self.lanes
        self._lane_slots = max(lane_slots, int(self._lane_slots * GROWTH))
        old = (self._frames, self._actions, self._rewards, self._terminated)
        new = self._allocate(*self._frames.shape[1:3])
        for before, after in zip(old, new, strict=True):
            after[:used] = before[:used]
        self._frames, self._actions, self._rewards, self._terminated = new

    def _slots(self, offsets: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        return offsets * self.lanes + np.arange(self.lanes)

    def _put(self, store: Tensor, slots: Int64[np.ndarray, " k"], values: np.ndarray) -> None:
        index = torch.tensor(slots, device=self.device)
        store.index_copy_(0, index, torch.tensor(values, dtype=store.dtype, device=self.device))

    def _start(self, lane: int, offset: int) -> _Entry:
        index = self._entries[-1].index + 1 if self._entries else 0
        self._entries.append(_Entry(index, lane, offset))
        return self._entries[-1]

    def _place(self, index: int, lane: int, episode: Episode) -> _Entry:
        self._check_frame_size(f"episode {index}", episode.frames)
        offset, steps = int(self._used[lane]), episode.num_steps
        self._reserve(offset + steps + 1)
        first = offset * self.lanes + lane
        taken = slice(first, first + steps * self.lanes, self.lanes)
        self._frames[first : taken.stop + 1 : self.lanes] = torch.tensor(episode.frames, device=self.device)
        self._actions[taken] = torch.tensor(episode.actions, dtype=torch.int32, device=self.device)
        self._rewards[taken] = torch.tensor(episode.rewards, device=self.device)
        if steps:
            self._terminated[taken.stop - self.lanes] = episode.terminated
        self._used[lane] += steps + 1
        self._count_signs(episode.rewards)
        self._table = None
        self._entries.append(_Entry(index, lane, offset, steps, episode.terminated, episode.truncated))
        return self._entries[-1]

    def _read(self, entry: _Entry) -> Episode:
        first = entry.offset * self.lanes + entry.lane
        stop = first + entry.num_steps * self.lanes

        def copy(store: Tensor, stop: int) -> np.ndarray:
            return store[first : stop : self.lanes].to("cpu", copy=True).numpy()

        return Episode(
            frames=copy(self._frames, stop + 1),
            actions=copy(self._actions, stop).astype(np.int64),
            rewards=copy(self._rewards, stop),
            terminated=entry.terminated,
            truncated=entry.truncated,
        )

    def _count_signs(self, rewards: Float[np.ndarray, " k"]) -> None:
        self._sign_counts += np.bincount(np.sign(rewards).astype(np.int64) + 1, minlength=3)

    def _check_frames(self, name: str, frames: np.ndarray) -> None:
        self._check_frame_size(name, frames)
        if frames.dtype != np.uint8 or len(frames) != self.lanes:
            raise DataError(f"{name} are {len(frames)} of {frames.dtype}: give {self.lanes} of uint8")

    def _check_frame_size(self, name: str, frames: np.ndarray) -> None:
        expected = tuple(self._frames.shape[1:])
        if frames.shape[1:] != expected:
            raise DataError(f"{name} of shape {frames.shape}: frames must be {expected}, as the replay was made for")
