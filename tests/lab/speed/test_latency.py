"""What playing costs is measured on the real server; here that it is measured, never how fast it is."""

import math

import pytest

from diamond.config.presets import debug
from diamond.lab.speed import latency


def test_without_a_browser_the_wait_is_measured_on_clients_that_draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "BROWSERS", ())
    monkeypatch.setattr(latency, "FRAMES", 8)
    monkeypatch.setattr(latency, "WARM_UP", 2)
    rows = latency.measure(debug(), (2,), progress=lambda message: None)
    figures = {row["metric"]: row["value"] for row in rows}
    assert 0 < figures["model p50 (ms), 2 viewers, not drawn"] < figures["latency p50 (ms), 2 viewers, not drawn"]
    assert figures["latency p50 (ms), 2 viewers, not drawn"] <= figures["latency p99 (ms), 2 viewers, not drawn"]
    assert figures["frames/s, 2 viewers, not drawn"] > 0
    assert figures["cores that the server keeps busy, networks included, 2 viewers, not drawn"] > 0
    assert all(math.isfinite(value) for value in figures.values())


def test_an_untrained_dream_starts_from_noise_and_has_the_games_buttons() -> None:
    source = latency.untrained(debug())
    assert len(source.starts[0].frames) == debug().denoiser.context_length
    assert len(source.actions) == source.agent.num_actions
