"""What `diamond bench` reports: every figure once, counted right. How fast it is, is never asserted."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny

from diamond.cli.main import main
from diamond.envs import make_env
from diamond.lab.speed import measure
from diamond.lab.speed.measure import STEPS, Work
from diamond.training.algorithm import algorithm_1
from diamond.training.trainer import Trainer

UPDATES = ("denoiser updates/s", "reward-model updates/s", "actor-critic updates/s, imagination included")
"""As in all results so far."""


def test_everything_that_training_does_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "speed.json"
    main(["bench", "--preset", "debug", "--blocks", "2", "--seconds", "0.001", "--json", str(file)])
    measured = json.loads(file.read_text(encoding="utf-8"))
    rows = {row["metric"]: row for row in measured}
    assert len(rows) == len(measured)
    assert {"imagined frames/s", "replay batches/s", "milliseconds a frame of a single dream", STEPS} < set(rows)
    assert set(UPDATES) < set(rows)
    printed = capsys.readouterr().out
    for metric, row in rows.items():
        assert 0 < row["low"] <= row["value"] <= row["high"]
        assert metric in printed
    assert rows["ceiling: FLOP/s of a matrix product in float32"]["share_of_matrix_product"] == pytest.approx(1)
    assert rows["ceiling: bytes/s of a copy, read and written"]["share_of_copy"] == pytest.approx(1)
    for row in measured:
        assert {"command", "commit", "machine", "seed", "metric", "value", "low", "high", "n"} <= set(row)
        assert row["machine"]["torch"] == torch.__version__


def test_a_rate_counts_units_and_a_latency_is_its_inverse() -> None:
    work = Work("frames/s", lambda: None, units=240.0, flop=10.0, rates=[1.0, 4.0, 2.0])
    row = work.row(operations=100.0, bandwidth=1.0)
    assert (row["value"], row["low"], row["high"], row["n"]) == (480, 240, 960, 3)
    assert (row["flop_per_second"], row["share_of_matrix_product"]) == (20, 0.2)
    latency = Work("ms", lambda: None, units=1.0, invert=True, rates=[1.0, 4.0, 2.0]).row(1.0, 1.0)
    assert (latency["value"], latency["low"], latency["high"]) == (500, 250, 1000)


def test_ratios_to_the_published_code_are_taken_block_by_block() -> None:
    work = Work("frames/s", lambda: None, units=240.0, rates=[2.0, 9.0, 4.0], published_rates=[1.0, 3.0, 4.0])
    theirs, ratio = work.comparison()
    assert (theirs["metric"], theirs["value"]) == ("frames/s, published code", 720)
    assert (ratio["metric"], ratio["value"]) == ("frames/s, times faster than the published code", 2)
    assert (ratio["low"], ratio["high"], ratio["n"]) == (1, 3, 3)
    assert Work("frames/s", lambda: None, units=1.0, rates=[1.0]).comparison() == []


def test_a_block_lasts_at_least_as_long_as_asked_and_waits_for_the_device() -> None:
    calls: list[str] = []
    work = Work("work", lambda: calls.append("work"), units=1.0)
    work.time_block(0.0, lambda: calls.append("wait"))
    work.time_block(0.01, lambda: calls.append("wait"))
    assert calls[0] == "wait"
    assert calls.count("work") >= 1
    assert len(work.rates) == 2


def test_arithmetic_is_counted_as_in_the_closed_form() -> None:
    layer, x = torch.nn.Conv2d(3, 5, 3, padding=1), torch.zeros(2, 3, 8, 8)
    assert measure._count(lambda: layer(x)) == 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)


def test_an_epoch_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    config = tiny({f"updates.{name}.updates_per_epoch": 3 for name in ("denoiser", "reward_model", "actor_critic")})
    with closing(make_env(config.env, 1, training=True)) as env:
        phases = algorithm_1(Trainer(config, env, tmp_path, torch.device("cpu")))
    rates = dict(zip((STEPS, *UPDATES), (10.0, 1.0, 2.0, 4.0), strict=True))
    assert measure._epoch(phases, rates)["value"] == pytest.approx(10 / 10 + 3 / 1 + 3 / 2 + 3 / 4)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--blocks 0", "--blocks is 0: use at least 1"),
        ("--seconds 0", "--seconds is 0.0: use a positive number"),
        ("--json nowhere/speed.json", "cannot be written: its folder does not exist"),
        ("--json .", "cannot be written: it is a folder, name a file in it"),
        ("--device tpu", "compute.device is 'tpu'"),
        ("--reference nowhere", "--reference is 'nowhere': give a checkout of the published code"),
    ],
)
def test_bad_input_is_named(words: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["bench", "--preset", "debug", *words.split()])
    assert complaint in capsys.readouterr().err
