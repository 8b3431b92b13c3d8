"""A configuration is plain data: it survives JSON unchanged, and nonsense in it is refused by name."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diamond.config import (
    ActorCriticConfig,
    CollectionConfig,
    ComputeConfig,
    Config,
    DenoiserConfig,
    EnvConfig,
    ReplayConfig,
    RewardModelConfig,
    SamplerConfig,
    ScheduleConfig,
    UNetConfig,
    UpdateConfig,
    UpdatesConfig,
    changes_that_forbid_resume,
    flatten,
    from_dict,
    to_dict,
)
from diamond.config.presets import PRESETS, preset
from diamond.config.ranges import ranges
from diamond.diffusion.samplers import noise_schedule
from diamond.errors import ConfigError, DiamondError


def through_json(config: Config) -> Config:
    return from_dict(json.loads(json.dumps(to_dict(config), allow_nan=False)))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    config = preset(name)
    assert config.preset == name
    assert through_json(config) == config


@given(
    seed=st.integers(0, 2**32 - 1),
    rho=st.floats(0.1, 100),
    s_tmax=st.floats(0, allow_nan=False),
    channels=st.lists(st.integers(1, 31), min_size=1, max_size=4),
    env_id=st.none() | st.text(min_size=1),
    attention=st.booleans(),
)
def test_any_values_survive_json(
    seed: int, rho: float, s_tmax: float, channels: list[int], env_id: str | None, attention: bool
) -> None:
    """Infinity, None, tuples and any text included."""
    levels = len(channels)
    config = Config(
        seed=seed,
        env=EnvConfig(id=env_id),
        sampler=SamplerConfig(rho=rho, s_tmax=s_tmax),
        denoiser=DenoiserConfig(unet=UNetConfig(tuple(channels), (1,) * levels, (attention,) * levels)),
    )
    assert through_json(config) == config


def test_missing_fields_take_their_defaults() -> None:
    """So that runs of older releases load when a field was added since."""
    assert from_dict({}) == Config()
    assert from_dict({"env": {"game": "Pong"}}) == Config(env=EnvConfig(game="Pong"))


def test_whole_numbers_stand_for_floats() -> None:
    sampler = from_dict({"sampler": {"sigma_max": 4}}).sampler
    assert sampler.sigma_max == 4
    assert isinstance(sampler.sigma_max, float)


def complaint(values: Any) -> str:
    with pytest.raises(ConfigError) as error:
        from_dict(values)
    assert isinstance(error.value, DiamondError)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_unknown_fields_are_named_with_the_known_ones() -> None:
    message = complaint({"sampler": {"steps": 3}})
    assert "sampler.steps" in message
    assert "num_steps" in message


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"seed": "0"}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"env": {"game": 3}}, "env.game"),
        ({"env": {"id": 3}}, "env.id"),
        ({"env": "Pong"}, "env"),
        ({"sampler": {"rho": "7"}}, "sampler.rho"),
        ({"sampler": {"order": 3}}, "sampler.order"),
        ({"denoiser": {"unet": {"channels": 64}}}, "denoiser.unet.channels"),
        ({"denoiser": {"unet": {"channels": [64, "64"]}}}, "denoiser.unet.channels"),
        ({"denoiser": {"unet": {"attention": [0, 0, 0, 0]}}}, "denoiser.unet.attention"),
        ({"compute": {"bfloat16": 1}}, "compute.bfloat16"),
        ([], "config"),
        (None, "config"),
    ],
)
def test_wrong_types_are_named(values: Any, name: str) -> None:
    assert name in complaint(values)


@pytest.mark.parametrize(
    ("kind", "values", "name", "remedy"),
    [
        (Config, {"seed": -1}, "seed", "0 to 4294967295"),
        (EnvConfig, {"height": 4}, "env.height", "8 to 1024"),
        (EnvConfig, {"num_envs": 0}, "env.num_envs", "at least 1"),
        (CollectionConfig, {"epsilon": 1.5}, "collection.epsilon", "0 to 1"),
        (CollectionConfig, {"first_epoch_max_steps": 10}, "collection.first_epoch_max_steps", "5000"),
        (CollectionConfig, {"total_steps": 10}, "collection.total_steps", "10000"),
        (ReplayConfig, {"age_weights": (0.5, 0.4)}, "replay.age_weights", "add up to 1"),
        (ReplayConfig, {"age_weights": (1.5, -0.5)}, "replay.age_weights", "0 to 1 each"),
        (UNetConfig, {"channels": ()}, "denoiser.unet.channels", "one positive number per level"),
        (UNetConfig, {"channels": (64, 65, 64, 64)}, "denoiser.unet.channels", "divisible"),
        (UNetConfig, {"channels": (50,), "depths": (1,), "attention": (False,)}, "denoiser.unet.channels", "sums too"),
        (UNetConfig, {"depths": (2, 2)}, "denoiser.unet.depths", "4 positive numbers"),
        (UNetConfig, {"attention": (True,)}, "denoiser.unet.attention", "4 values"),
        (UNetConfig, {"condition_channels": 7}, "denoiser.unet.condition_channels", "even"),
        (DenoiserConfig, {"context_length": 3}, "denoiser.context_length", "divide"),
        (DenoiserConfig, {"autoregressive_steps": 0}, "denoiser.autoregressive_steps", "at least 1"),
        (DenoiserConfig, {"sigma_data": 0.0}, "denoiser.sigma_data", "positive"),
        (DenoiserConfig, {"training_sigma_min": 30.0}, "denoiser.training_sigma_min", "below training_sigma_max"),
        (SamplerConfig, {"num_steps": 0}, "sampler.num_steps", "at least 1"),
        (SamplerConfig, {"sigma_min": 6.0}, "sampler.sigma_min", "below sigma_max"),
        (SamplerConfig, {"s_churn": -1.0}, "sampler.s_churn", "0 or more"),
        (SamplerConfig, {"rho": float("nan")}, "sampler.rho", "positive"),
        (RewardModelConfig, {"segment_length": 1}, "reward_model.segment_length", "at least 2"),
        (ActorCriticConfig, {"downsample": (True,)}, "actor_critic.downsample", "4 values"),
        (ActorCriticConfig, {"discount": 1.1}, "actor_critic.discount", "0 to 1"),
        (ActorCriticConfig, {"entropy_weight": -0.1}, "actor_critic.entropy_weight", "0 or more"),
        (ScheduleConfig, {"epochs": 0}, "schedule.epochs", "at least 1"),
        (ComputeConfig, {"threads": -1}, "compute.threads", "0 or more"),
    ],
)
def test_values_out_of_range_are_named_with_the_remedy(
    kind: type, values: dict[str, Any], name: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**values)
    message = str(error.value)
    assert message.startswith(f"{name} is {next(iter(values.values()))!r}: ")
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [("learning_rate", 0.0, "positive"), ("ema_decay", 1.0, "below 1"), ("batch_size", 0, "at least 1")],
)
@pytest.mark.parametrize("network", ["denoiser", "reward_model", "actor_critic"])
def test_the_updates_of_a_network_are_named_after_it(network: str, field: str, value: float, remedy: str) -> None:
    with pytest.raises(ConfigError, match=f"^updates.{network}.{field} is {value}: .*{remedy}"):
        UpdatesConfig(**{network: UpdateConfig(**{field: value})})


@pytest.mark.parametrize(
    ("group", "values", "name"),
    [
        ("sampler", {"rho": math.inf}, "sampler.rho"),
        ("denoiser", {"training_sigma_log_mean": math.nan}, "denoiser.training_sigma_log_mean"),
        ("updates", {"denoiser": {"learning_rate": "inf"}}, "updates.denoiser.learning_rate"),
    ],
)
def test_numbers_are_finite(group: str, values: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is (inf|nan): "):
        from_dict({group: values})


def number_fields(kind: Any) -> Iterator[tuple[type, str]]:
    """Every field of a number or numbers, with the class that it is in."""
    for name, hint in get_type_hints(kind).items():
        if isinstance(hint, type) and is_dataclass(hint):
            yield from number_fields(hint)
        elif {int, float} & {hint, *get_args(hint)}:
            yield kind, name


@pytest.mark.parametrize(("kind", "name"), dict.fromkeys(number_fields(Config)))
def test_every_number_has_a_range_that_holds_its_default(kind: type, name: str) -> None:
    allowed = ranges(kind)[name]
    default = next(item.default for item in fields(kind) if item.name == name)
    assert all(map(allowed.holds, default if isinstance(default, tuple) else (default,)))
    assert not allowed.holds(math.nan)
    assert name in ("s_tmax", "max_gradient_norm") or not allowed.holds(math.inf)


@pytest.mark.parametrize("rho", [0.1, 1_000.0])
@pytest.mark.parametrize("sigma", [(1e-6, 2e-6), (1e-6, 1e6), (5e5, 1e6)])
def test_noise_schedules_at_the_ends_of_the_ranges_are_finite(rho: float, sigma: tuple[float, float]) -> None:
    """`--sampler.rho 1e-30` overflowed in the schedule."""
    levels = noise_schedule(SamplerConfig(num_steps=5, sigma_min=sigma[0], sigma_max=sigma[1], rho=rho))
    assert all(map(math.isfinite, levels))
    assert levels == sorted(levels, reverse=True)


def test_a_limit_may_be_infinite() -> None:
    config = from_dict({"sampler": {"s_tmax": "inf"}, "updates": {"actor_critic": {"max_gradient_norm": "inf"}}})
    assert config.sampler.s_tmax == config.updates.actor_critic.max_gradient_norm == math.inf


def test_networks_must_fit_the_frames() -> None:
    with pytest.raises(ConfigError, match=r"actor_critic.downsample .* too many for frames of 8x8"):
        Config(env=EnvConfig(height=8, width=8))


def test_unknown_presets_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'laptpo'.*atari100k.*debug"):
        preset("laptpo")


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().seed = 1  # type: ignore[misc]


def test_flat_names_are_those_of_the_command_line() -> None:
    flat = flatten(Config())
    assert flat["denoiser.unet.channels"] == (64, 64, 64, 64)
    assert flat["updates.actor_critic.first_epoch_updates"] == 5_000
    assert flat["seed"] == 0


def test_a_table_has_the_flat_names_of_what_it_was_made_from() -> None:
    assert list(flatten(to_dict(Config()))) == list(flatten(Config()))


# Resuming


def test_an_equal_configuration_resumes() -> None:
    assert changes_that_forbid_resume(Config(), Config()) == []


def test_a_longer_schedule_another_device_and_other_logs_resume() -> None:
    old = Config()
    new = replace(
        old,
        schedule=replace(old.schedule, epochs=2_000),
        compute=replace(old.compute, device="cuda:1", compile=True),
        logging=replace(old.logging, wandb=True),
        collection=replace(old.collection, total_steps=200_000),
    )
    assert changes_that_forbid_resume(old, new) == []


def test_what_decides_learning_must_not_change() -> None:
    """Each difference is named, with its value before and now."""
    old = Config()
    new = replace(
        old,
        seed=3,
        sampler=replace(old.sampler, num_steps=1),
        collection=replace(old.collection, epsilon=0.5),
        updates=replace(old.updates, denoiser=replace(old.updates.denoiser, learning_rate=1e-3)),
    )
    assert sorted(changes_that_forbid_resume(old, new)) == [
        "collection.epsilon was 0.01, now 0.5",
        "sampler.num_steps was 3, now 1",
        "seed was 0, now 3",
        "updates.denoiser.learning_rate was 0.0001, now 0.001",
    ]
