"""What a player can turn: every value in range is taken, everything else is refused with a reason."""

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.config import SamplerConfig
from diamond.errors import ConfigError
from diamond.play.game.settings import Player, Settings, World, as_dict, ranges

LIMITS = ranges(num_starts=7)
NUMBERS = sorted(LIMITS)
WHOLE = sorted(name for name in LIMITS if isinstance(getattr(Settings(), name), int))
CHOICES = {"player": get_args(Player), "world": get_args(World)}
SWITCHES = ("paused", "show_denoising", "recording")


def test_every_setting_is_a_number_with_limits_a_choice_or_a_switch() -> None:
    assert {*NUMBERS, *CHOICES, *SWITCHES} == set(as_dict(Settings()))
    for name, (least, most) in LIMITS.items():
        assert least <= getattr(Settings(), name) <= most


@given(st.data())
def test_a_number_in_range_is_taken_and_nothing_else_changes(data: st.DataObject) -> None:
    """It keeps its type, also where JSON writes a whole number as 3.0."""
    name = data.draw(st.sampled_from(NUMBERS))
    least, most = LIMITS[name]
    whole = name in WHOLE
    value = data.draw(st.integers(int(least), int(most)) if whole else st.floats(least, most))
    for sent in (value, float(value)):
        changed = Settings().changed(name, sent, LIMITS)
        assert getattr(changed, name) == value
        assert type(getattr(changed, name)) is (int if whole else float)
        assert as_dict(changed) | {name: None} == as_dict(Settings()) | {name: None}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_limits_themselves_are_in_range_and_what_lies_beyond_is_not(name: str) -> None:
    least, most = LIMITS[name]
    for limit in (least, most):
        assert getattr(Settings().changed(name, limit, LIMITS), name) == limit
    step = 1 if name in WHOLE else 1e-9
    for beyond in (least - step, most + step, -math.inf, math.inf, 10**400, -(10**400)):
        with pytest.raises(ConfigError, match=f"^{name} is .*: give a .*number from {least} to {most}$"):
            Settings().changed(name, beyond, LIMITS)


@pytest.mark.parametrize("value", [math.nan, True, False, None, "3", "", [3], [], {"value": 3}, {}])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    """Neither is true: it is not 1."""
    with pytest.raises(ConfigError, match=f"^{name} is "):
        Settings().changed(name, value, LIMITS)


@pytest.mark.parametrize("name", WHOLE)
def test_half_numbers_are_refused_where_whole_ones_count(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is 1.5: give a whole number from"):
        Settings().changed(name, 1.5, LIMITS)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_taken_by_name(name: str) -> None:
    for choice in CHOICES[name]:
        assert getattr(Settings().changed(name, choice, LIMITS), name) == choice
    for other in ("nobody", "", 0, True, None, ["dream"], {"agent": 1}, math.nan):
        with pytest.raises(ConfigError, match=f"^{name} is .*: choose {', '.join(CHOICES[name])}$"):
            Settings().changed(name, other, LIMITS)


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_are_true_or_false_and_nothing_like_it(name: str) -> None:
    for value in (True, False):
        assert getattr(Settings().changed(name, value, LIMITS), name) is value
    for other in (0, 1, 1.0, "true", None, [True], {}):
        with pytest.raises(ConfigError, match=f"^{name} is .*: give true or false$"):
            Settings().changed(name, other, LIMITS)


@pytest.mark.parametrize("name", ["fps", "", "Speed", "changed", "sampler", "__class__", "__dict__"])
def test_an_unknown_setting_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^setting is '{name}': choose one of player, world, .*recording$"):
        Settings().changed(name, 1, LIMITS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(as_dict(Settings()))) | st.text(), json_values)
def test_whatever_is_sent_is_taken_or_refused(name: str, value: Any) -> None:
    """There is no third way; what is taken goes to pages as it is, in JSON."""
    try:
        changed = Settings().changed(name, value, LIMITS)
    except ConfigError:
        return
    assert json.loads(json.dumps(as_dict(changed), allow_nan=False)) == as_dict(changed)
    assert getattr(changed, name) == value


def test_there_is_one_start_number_for_each_start() -> None:
    assert ranges(1)["start"] == (-1, 0)
    assert ranges(100)["start"] == (-1, 99)


@given(st.integers(1, 20), st.sampled_from([1, 2]), st.floats(0, 20), st.floats(0.05, 10))
def test_the_sampler_is_what_the_player_has_turned_it_to(steps: int, order: int, churn: float, noise: float) -> None:
    """All else stays as the world model was trained."""
    base = SamplerConfig(sigma_max=3.0, rho=5.0, s_noise=1.1)
    settings = Settings(denoising_steps=steps, order=order, churn=churn, start_noise=noise)
    turned = settings.sampler(base)
    assert (turned.num_steps, turned.order, turned.s_churn, turned.initial_noise_std) == (steps, order, churn, noise)
    untouched = {"num_steps": 1, "order": 1, "s_churn": 0.0, "initial_noise_std": 1.0}
    assert dataclasses.replace(turned, **untouched) == dataclasses.replace(base, **untouched)


def test_a_new_game_uses_the_sampler_of_training() -> None:
    base = SamplerConfig(num_steps=7, order=2, s_churn=0.5, initial_noise_std=2.0, sigma_max=3.0)
    settings = Settings.of(base, seed=11)
    assert settings.sampler(base) == base
    assert settings.seed == 11
