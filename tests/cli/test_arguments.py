"""What the words of a command line become."""

import dataclasses

import pytest

from diamond.cli.arguments import parse
from diamond.cli.main import VERBS
from diamond.cli.options import Bench, Train
from diamond.config.presets import DEFAULT_PRESET, preset
from diamond.errors import ConfigError


@pytest.mark.parametrize("verb", ["train", "bench"])
def test_no_word_at_all_means_the_default_preset(verb: str) -> None:
    kind, _ = VERBS[verb]
    assert parse(kind, "diamond train", []) == kind(preset(DEFAULT_PRESET))


@pytest.mark.parametrize("kind", [Train, Bench])
@pytest.mark.parametrize("words", [["--preset", "debug"], ["--preset=debug"]])
def test_a_preset_may_be_given_in_two_ways(kind: type, words: list[str]) -> None:
    assert parse(kind, "diamond train", words).config == preset("debug")


def test_overrides_change_only_what_they_name() -> None:
    config = parse(Train, "diamond train", ["--seed", "7", "--denoiser.unet.channels", "8", "16"]).config
    unet = dataclasses.replace(preset("laptop").denoiser.unet, channels=(8, 16))
    denoiser = dataclasses.replace(preset("laptop").denoiser, unet=unet)
    assert config == dataclasses.replace(preset("laptop"), seed=7, denoiser=denoiser)


def test_an_atari_game_is_not_taken_silently_by_a_preset_that_plays_something_else() -> None:
    with pytest.raises(ConfigError, match="env.game is 'Pong', but the preset laptop plays MinAtar/Breakout-v1"):
        parse(Train, "diamond train", ["--env.game", "Pong"])
    config = parse(Train, "diamond train", ["--env.id", "None", "--env.game", "Pong"]).config
    assert (config.env.id, config.env.game) == (None, "Pong")
    assert parse(Train, "diamond train", ["--preset", "debug", "--env.game", "Pong"]).config.env.game == "Pong"
