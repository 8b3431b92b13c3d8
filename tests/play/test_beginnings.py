"""How dreams begin where there is no past: as the world model was taught that games begin."""

import dataclasses

import numpy as np
import pytest
import torch
from dreams import Painter
from playing import catch_source
from torch import Tensor

from diamond.frames import PADDING_VALUE, to_network
from diamond.play.session import Session
from diamond.play.settings import Settings
from diamond.play.worlds import GREY


def oldest_frame(frames: Tensor, actions: Tensor) -> Tensor:
    """A world that shows what was longest ago."""
    return frames[:, 0]


def test_a_dream_that_begins_with_a_games_first_frame_sees_grey_before_it_as_in_training() -> None:
    source = catch_source()
    source.agent.denoiser = Painter(oldest_frame, source.agent.config.denoiser)
    session = Session(source, dataclasses.replace(Settings(), world="both"))
    real, _ = session.picture.views
    shown = []
    for _ in range(source.agent.config.denoiser.context_length):
        session.advance()
        shown.append(session.picture.views[1].image)
    session.close()
    *before, first = shown
    assert len(before) > 0 and all((image == GREY).all() for image in before)
    assert (first == real.image).all()


def test_the_grey_is_that_of_the_replay_as_nearly_as_it_can_be_stored() -> None:
    grey = to_network(torch.from_numpy(np.full((1, 1, 3), GREY, np.uint8)))
    assert grey.numpy() == pytest.approx(PADDING_VALUE, abs=0.5 / 127)
