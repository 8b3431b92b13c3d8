"""The moments of a session, and what there is to see of one.

A `Moment` never changes and holds all that decides how the game goes on, so that a session can step from any of them.

Axes   a actions | h w 3 image
"""

from dataclasses import dataclass

from torch import Tensor

from diamond.networks.blocks import LSTMState
from diamond.play.game.settings import Player, World
from diamond.play.game.worlds import DreamMoment, Frame, Past, RealMoment, Tally


@dataclass(frozen=True)
class AgentOutput:
    """What the agent makes of the newest frame."""

    policy: tuple[float, ...]
    """Probability of each action at the present temperature."""
    value: float
    entropy: float
    """Of the policy, in nats."""
    logits: Tensor
    """(1, a)"""
    memory: LSTMState


@dataclass(frozen=True)
class Moment:
    """A frame of the session and all that decides what follows it."""

    frame: int
    """Counts up with every frame that is made; after a rewind it counts on from there."""
    game: int
    """Counts the starts since the seed was set; names the noise."""
    world: World
    dream: DreamMoment | None
    real: RealMoment | None
    output: AgentOutput
    action: int | None
    """What led here; None for the first frame of a game."""
    player: Player

    @property
    def past(self) -> Past:
        """The last frames of the world that the agent looks at."""
        return self._shown.past

    @property
    def tally(self) -> Tally:
        """The numbers of the world that the agent looks at."""
        return self._shown.tally

    @property
    def _shown(self) -> DreamMoment | RealMoment:
        shown = self.dream if self.world == "dream" else self.real
        assert shown is not None
        return shown


@dataclass(frozen=True)
class View:
    """A picture and the numbers under it; pictures of the denoising have none."""

    name: str
    image: Frame
    tally: Tally | None


@dataclass(frozen=True)
class Picture:
    """What there is to see."""

    moment: Moment
    oldest: int
    newest: int
    views: tuple[View, ...]

    @property
    def is_over(self) -> bool:
        """Whether it is the last of a game, or of a dream."""
        return any(view.tally is not None and view.tally.ended is not None for view in self.views)
