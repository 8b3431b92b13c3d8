"""One game with its past: it acts, rewinds and branches. It knows nothing of clocks, browsers or threads.

Every frame shown is a `Moment`. Stepping makes the next moment from one moment, the settings and the buttons; going
back means to step from an older one.

Axes   n past frames | a actions | h w 3 image
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diamond.errors import ConfigError, DiskError
from diamond.experience.actions import sample_categorical
from diamond.experience.frames import to_network
from diamond.imagination.rollout import burn_in
from diamond.networks.blocks import LSTMState
from diamond.play.game.buttons import action_for
from diamond.play.game.moments import AgentOutput, Moment, Picture, View
from diamond.play.game.recorder import Recorder
from diamond.play.game.settings import SEED_LIMIT, Settings, ranges
from diamond.play.game.source import Source
from diamond.play.game.worlds import Dream, Frame, Past, RealGame
from diamond.runs.streams import derive_seed

REMEMBERED = 3000
"""Frames that can be gone back to."""


class Session:
    """One game.

    Args:
        source: what is played.
        settings: to begin with.

    Raises:
        ConfigError, EnvError: see the methods; nothing has changed then.
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        self.settings = settings
        self.ranges = ranges(len(source.starts))
        self._source = source
        self._dream = Dream(source.agent)
        self._real: RealGame | None = None
        self._recorder = Recorder(source.recordings, source.title, source.model, REMEMBERED)
        self._denoising: list[Frame] = []
        self._moments: deque[Moment] = deque(maxlen=REMEMBERED)
        self._place = -1
        """Of the moment shown, in `_moments`, from its end."""
        self._append(self._new_game(frame=0, game=0))

    def close(self) -> None:
        """Keep what is being recorded, and close the real game.

        Raises:
            DiskError: an episode cannot be written.
        """
        try:
            self._recorder.stop()
        finally:
            if self._real is not None:
                self._real.close()

    @property
    def picture(self) -> Picture:
        """What there is to see now."""
        moment = self._now
        views = []
        if moment.world in ("real", "both") and moment.real is not None:
            views.append(View("real", moment.real.past.frames[-1], moment.real.tally))
        if moment.world in ("dream", "both") and moment.dream is not None:
            views.append(View("dream", moment.dream.past.frames[-1], moment.dream.tally))
            if self.settings.show_denoising:
                names = ["noise", *(f"step {i}" for i in range(1, len(self._denoising)))]
                images = zip(names, self._denoising, strict=False)
                views.extend(View(name, image, None) for name, image in images)
        return Picture(moment, self._moments[0].frame, self._moments[-1].frame, tuple(views))

    def advance(self, held: Sequence[str] = ()) -> None:
        """The next frame. After the last one of a game, it shows the start of the next; a dream that ends beside a
        real game begins again from that.

        Args:
            held: the player's buttons, the newest press last.

        Raises:
            DiskError: a recording cannot be written; it stops, the game goes on.
        """
        now = self._now
        if now.tally.ended is not None:
            self.reset()
            return
        action = self._choose(now, held)
        dream, real = now.dream, now.real
        if now.world != "dream" and real is not None:
            real = self._real_game().step(real, action)
        if now.world == "both" and real is not None and dream is not None and dream.tally.ended is not None:
            dream, self._denoising = self._dream.begin(real.past), []
        elif now.world != "real" and dream is not None:
            name = ("dream", now.game, dream.tally.steps)
            dream, self._denoising = self._dream.step(dream, action, self.settings, name)
        following = replace(
            now, frame=now.frame + 1, dream=dream, real=real, action=action, player=self.settings.player
        )
        output = self._look(following.past.frames[-1], now.output.memory)
        self._append(replace(following, output=output))

    def set(self, name: str, value: Any) -> None:
        """Turn one setting. Another seed or start begins a new game; another world goes on from the present one.

        Raises:
            ConfigError: the setting is unknown or the value out of range.
            EnvError: there is no real game.
        """
        settings = self.settings.changed(name, value, self.ranges)
        if settings.world != "dream":
            self._real_game()
        before, self.settings = self.settings, settings
        now = self._now
        if not settings.recording:
            self._recorder.stop()
        if name == "seed":
            self._append(self._new_game(now.frame + 1, 0))
        elif name == "start":
            self._append(self._new_game(now.frame + 1, now.game + 1))
        elif settings.world != before.world:
            self._append(self._in_other_world(now))
        elif name == "temperature":
            self._reconsider()

    def reset(self) -> None:
        """A new game."""
        self._append(self._new_game(self._now.frame + 1, self._now.game + 1))

    def resync(self) -> None:
        """Begin the dream beside the real game again from what that shows.

        Raises:
            ConfigError: they are not played side by side.
        """
        now = self._now
        if now.world != "both" or now.real is None:
            raise ConfigError(f"world is {now.world!r}: play both side by side to re-sync the dream")
        self._append(replace(now, frame=now.frame + 1, dream=self._dream.begin(now.real.past)))

    def rewind(self, to: int) -> None:
        """Show an earlier frame, from which the next one branches off; frames after it are kept until then.

        Raises:
            ConfigError: the frame is not kept.
        """
        oldest, newest = self._moments[0].frame, self._moments[-1].frame
        if not oldest <= to <= newest:
            raise ConfigError(f"frame is {to}: those from {oldest} to {newest} are kept")
        self._place = to - newest - 1
        self._denoising = []
        self.settings = replace(self.settings, world=self._now.world, paused=True)
        self._reconsider()

    def start_from(self, image: Frame) -> None:
        """Begin a dream from a picture of the game's size."""
        now = self._now
        self.settings = replace(self.settings, world="dream")
        self._append(self._begin_dream(Past((image,), ()), now.frame + 1, now.game + 1))

    # A frame's number is its place, so a new one goes where those after the present one were.
    def _append(self, moment: Moment) -> None:
        for _ in range(-1 - self._place):
            self._moments.pop()
        self._place = -1
        if moment.dream is None or moment.dream.tally.steps == 0:
            self._denoising = []
        before = self._moments[-1] if self._moments else None
        self._moments.append(moment)
        if self.settings.recording and before is not None:
            try:
                self._recorder.follow(before, moment, self.settings.seed)
            except DiskError:
                self.settings = replace(self.settings, recording=False)
                raise

    @property
    def _now(self) -> Moment:
        return self._moments[self._place]

    def _new_game(self, frame: int, game: int) -> Moment:
        world = self.settings.world
        if world == "dream":
            return self._begin_dream(self._start(game), frame, game)
        real = self._real_game().begin(derive_seed(self.settings.seed, "game", game) % SEED_LIMIT)
        dream = self._dream.begin(real.past) if world == "both" else None
        return Moment(frame, game, world, dream, real, self._first_look(real.past), None, self.settings.player)

    def _begin_dream(self, past: Past, frame: int, game: int) -> Moment:
        # The real game waits where it stood.
        real = self._now.real if self._moments else None
        dream, output = self._dream.begin(past), self._first_look(past)
        return Moment(frame, game, "dream", dream, real, output, None, self.settings.player)

    def _start(self, game: int) -> Past:
        number = self.settings.start
        if number < 0:
            number = derive_seed(self.settings.seed, "start", game) % len(self._source.starts)
        return self._source.starts[number]

    def _in_other_world(self, now: Moment) -> Moment:
        """A real game goes on where it stood, or begins; a dream begins from what the real game shows."""
        world, real, frame = self.settings.world, now.real, now.frame + 1
        if world == "dream":
            assert real is not None
            if now.dream is None:
                return self._begin_dream(real.past, frame, now.game)
            return replace(now, frame=frame, world=world, output=self._first_look(now.dream.past))
        if real is None or real.tally.ended is not None:
            return self._new_game(frame, now.game + 1)
        dream = self._dream.begin(real.past) if world == "both" else None
        output = self._first_look(real.past) if now.world == "dream" else now.output
        return replace(now, frame=frame, world=world, dream=dream, output=output)

    def _real_game(self) -> RealGame:
        if self._real is None:
            self._real = RealGame(self._source.make_real(), self._source.agent.config.denoiser.context_length)
        return self._real

    def _choose(self, now: Moment, held: Sequence[str]) -> int:
        if self.settings.player == "human":
            return action_for(held, self._source.actions)
        generator = torch.Generator().manual_seed(derive_seed(self.settings.seed, "action", now.game, now.tally.steps))
        uniform = torch.rand(1, generator=generator)
        logits = now.output.logits
        if self.settings.player == "random":
            logits = torch.zeros_like(logits)
        return int(sample_categorical(logits, uniform, self.settings.temperature))

    @torch.no_grad()
    def _first_look(self, past: Past) -> AgentOutput:
        frames = to_network(torch.from_numpy(np.stack(past.frames))[None].to(self._source.agent.device))
        return self._look(past.frames[-1], burn_in(self._source.agent.actor_critic, frames))

    @torch.no_grad()
    def _look(self, frame: Frame, memory: LSTMState) -> AgentOutput:
        agent = self._source.agent
        logits, value, memory = agent.actor_critic(to_network(torch.from_numpy(frame)[None].to(agent.device)), memory)
        return self._output(logits.float().cpu(), float(value), (memory[0], memory[1]))

    def _reconsider(self) -> None:
        """Bring the output of the frame shown to the present temperature."""
        now, old = self._now, self._now.output
        self._moments[self._place] = replace(now, output=self._output(old.logits, old.value, old.memory))

    def _output(self, logits: Tensor, value: float, memory: LSTMState) -> AgentOutput:
        log_policy = (logits / self.settings.temperature).log_softmax(-1)[0]
        policy = log_policy.exp()
        return AgentOutput(tuple(policy.tolist()), value, float(-(policy * log_policy).sum()), logits, memory)
