"""The proof itself at a small scale: real games against the emulator's memory."""

import json
from collections import Counter

import numpy as np
import pytest

from diamond.lab.studies.consistency.detectors import Object, Scene
from diamond.lab.studies.consistency.events import measure
from diamond.lab.studies.consistency.memory import Truth
from diamond.lab.studies.consistency.planted import sensitivity
from diamond.lab.studies.consistency.proof import compare_scene, play, prove


@pytest.mark.parametrize(
    "game, classes",
    [
        ("Asterix", {"enemy", "points", "reward"}),
        ("Breakout", {"ball", "brick", "gap", "score"}),
        ("RoadRunner", {"seed"}),
    ],
)
def test_objects_are_seen_where_the_memory_has_them(game, classes):
    result = prove(game, [1], 150)
    assert set(result["classes"]) == classes
    for kind, shares in result["classes"].items():
        assert shares["counts"]["seen"] > 20, kind
        assert shares["precision"]["pooled"] > 0.99 and shares["recall"]["pooled"] > 0.99, (kind, shares)
        assert shares["precision_strict"]["pooled"] <= shares["precision"]["pooled"]
    assert sum(result["events"]["unexplained"].values()) <= 2
    json.dumps(result)


@pytest.mark.slow
@pytest.mark.parametrize("game, least", [("Asterix", 0.75), ("Breakout", 0.75), ("RoadRunner", 0.5)])
def test_most_planted_faults_are_found(game, least):
    found = sensitivity(game, [play(game, 1, 400).frames], 40, np.random.default_rng(0))
    for fault, result in found.items():
        assert result["planted"] == 40 and result["share"] >= least, (fault, result)


@pytest.mark.parametrize("game", ["Asterix", "Breakout", "RoadRunner"])
def test_noise_and_pale_colours_as_in_dreams_make_no_events(game):
    frames = play(game, 2, 80).frames
    noise = np.random.default_rng(0).normal(0, 3, frames.shape)
    for degraded in (frames + noise, 0.9 * frames):
        events = measure(game, degraded.round().clip(0, 255).astype(np.uint8))
        assert sum(events["unexplained"].values()) == 0


def test_one_seed_gives_one_game():
    one, two = (play("Asterix", 5, 60) for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.memories, two.memories)
    assert (play("Asterix", 6, 60).frames != one.frames).any()


def test_outcomes_are_told_apart():
    covered = np.zeros((8, 64), bool)
    seen = Scene(
        (Object("enemy", 0, 30.0, 1.0), Object("enemy", 1, 30.0, 1.0), Object("enemy", 2, 9.0, 1.0)), covered, None
    )
    before = [Truth("enemy", 0, 29.0, True), Truth("reward", 3, 30.0, True), Truth("enemy", 2, 10.0, True)]
    after = [
        Truth("enemy", 0, 31.0, True),  # seen
        Truth("reward", 3, 31.0, True),  # missed
        Truth("reward", 4, 31.0, True),  # missed, but it is new
        Truth("reward", 5, 31.0, False),  # covered: not asked for
    ]
    counts: Counter[tuple[str, str]] = Counter()
    compare_scene(counts, seen, before, after)
    assert counts == {
        ("enemy", "seen"): 1,
        ("enemy", "invented"): 1,  # lane 1
        ("enemy", "invented_unsettled"): 1,  # lane 2: the memory had it a step ago
        ("reward", "missed"): 1,
        ("reward", "missed_unsettled"): 1,
        ("reward", "covered"): 1,
    }
