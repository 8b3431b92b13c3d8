"""The report holds what a run holds, stands on its own, and cannot be broken or abused by what is in the folder."""

import base64
import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diamond.config import to_dict
from diamond.config.presets import debug
from diamond.errors import DiskError, RunError
from diamond.reports import build_report
from diamond.reports.style import DARK, LIGHT, SERIES
from diamond.reports.video import encode_video, filmstrip_png

PARTS = ("metrics.jsonl", "evaluation.json", "dream-errors.json", "dream.mp4", "dream.png")
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
VIDEO, FILMSTRIP = encode_video(FRAMES), filmstrip_png({"real": FRAMES[[0, 2]]}, ["+0", "+2"])
VOID = {"meta", "img", "br"}

MakeRun = Callable[..., Path]


def summary(mean: float, **more: Any) -> dict[str, Any]:
    normal = {f"human_normalised{part}": (mean + d - 1.7) / 28.8 for part, d in (("", 0), ("_low", -1), ("_high", 1))}
    games = {"returns": [mean - 2, mean, mean + 2] * 10, "lengths": [100, 200, 300] * 10, "n": 30, "capped": 0}
    return {"mean": mean, "low": mean - 1, "high": mean + 1, "mode": "sampled", **normal, **games, "seed": 0, **more}


def evaluation() -> dict[str, Any]:
    return {
        "game": "Breakout",
        "trained": summary(12.5, temperature=1.0, max_episode_steps=200),
        "random": summary(1.5, mode="random"),
        "best_constant": summary(2.5, mode="constant", action=1, action_meaning="FIRE"),
        "untrained": summary(1.4),
        "reference": {"random": 1.7, "human": 30.5, "source": "somewhere"},
    }


def dream_errors() -> dict[str, Any]:
    curves = {name: [k, 2 * k, 4 * k] for name, k in (("dream", 0.01), ("repeat", 0.03), ("shuffled", 0.015))}
    bounds = {
        name: {"mean": mean, "low": [0.9 * y for y in mean], "high": [1.1 * y for y in mean]}
        for name, mean in curves.items()
    }
    gain = {
        name: {"mean": mean, "low": [0.5 * y for y in mean], "high": [1.5 * y for y in mean]}
        for name, mean in (("repeat", [0.02, 0.04, 0.08]), ("shuffled", [0.005, 0.01, 0.02]))
    }
    return {"horizons": [1, 5, 15], "num_segments": [64, 62, 57], **bounds, "gain": gain}


def metrics() -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    for epoch in range(1, 5):
        rows.append(
            {
                "epoch": epoch,
                "env_steps": 100 * epoch,
                "denoiser/loss": 10.0**-epoch,
                "reward_model/loss": 1 / epoch,
                "actor_critic/loss": -0.1 * epoch,
                "actor_critic/entropy": 1.0,
                "denoiser/gradient_norm": 0.5,
                "collect/return_mean": 1.0 * epoch,
                "time/epoch_seconds": 60.0,
                "time/denoiser_seconds": 30.0,
                "time/updates_per_second": 7.5,
                "memory/peak_bytes": 1e9,
                "disk/episode_bytes": 2000,
                "actor_critic/return_mean": 0.1 * epoch,
            }
        )
    rows.append(
        {"epoch": 4, "evaluation/return_mean": 5, "evaluation/return_low": 4, "evaluation/return_high": 6.5}
        | {"evaluation/episodes": 2}
    )
    return rows


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run folder with chosen parts; `config` overrides dotted fields."""

    def make(name: str = "run", parts: tuple[str, ...] = PARTS, config: dict[str, Any] | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        fields = to_dict(debug())
        for key, value in (config or {}).items():
            group, _, field = key.rpartition(".")
            (fields[group] if group else fields)[field] = value
        (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
        contents = {
            "metrics.jsonl": "".join(json.dumps(row) + "\n" for row in metrics()).encode(),
            "evaluation.json": json.dumps(evaluation()).encode(),
            "dream-errors.json": json.dumps(dream_errors()).encode(),
            "dream.mp4": VIDEO,
            "dream.png": FILMSTRIP,
        }
        for part in parts:
            (folder / part).write_bytes(contents[part])
        return folder

    return make


def render(*runs: Path) -> str:
    out = runs[0].parent / "report.html"
    assert build_report(list(runs), out) == out
    return out.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a test asks about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


def test_a_finished_run_is_told_whole(make_run: MakeRun) -> None:
    page = Page(render(make_run()))
    for expected in (
        "Breakout",
        "seed 0",
        "preset debug",
        "epoch 4 of 3",
        "Over 30 games, the agent scores 12.5 (11.5 to 13.5) on average.",
        "lies above that of the random policy, the best constant action and the untrained network",
        "Best constant action: FIRE",
        "0.375",  # (12.5 - 1.7) / 28.8
        "30.5",
        "of at most 200 steps",
        "At every horizon shown, the dream is clearly closer to what really happened",
        "0.0100 (0.0090 to 0.0110)",
        "57 to 64 held-out segments",
        "4 min 00 s",
        "2 min 00 s (50\N{NO-BREAK SPACE}%)",
        "7.50 /s",
        "1 GB",
        "2 kB",
        "denoiser.unet.condition_channels",
    ):
        assert expected.replace("\N{NO-BREAK SPACE}", " ") in page.text.replace("\N{NO-BREAK SPACE}", " "), expected
    assert len(page.of("svg")) == 1 + 8 + 1 + 2  # scores, known curves, errors, further metrics
    (video,) = page.of("video")
    assert video["src"] == "data:video/mp4;base64," + base64.b64encode(VIDEO).decode()
    (image,) = page.of("img")
    assert image["src"] == "data:image/png;base64," + base64.b64encode(FILMSTRIP).decode()
    assert image["alt"] and all(attributes["aria-label"] for attributes in page.of("svg"))
    assert "missing" not in page.values("class")


def test_it_loads_nothing_from_anywhere(make_run: MakeRun) -> None:
    html = render(make_run())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "a"} & {name for name, _ in page.tags}
    assert all(value.startswith(("data:", "#")) for value in page.values("src") + page.values("href"))
    assert "://" not in html and "@import" not in html
    assert set(re.findall(r"url\(([^)]{0,2})", html)) <= {"#c"}
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'")
    assert any(meta.get("name") == "viewport" for meta in page.of("meta"))


def test_ids_are_unique_and_every_reference_finds_its_own(make_run: MakeRun) -> None:
    page = Page(render(make_run()))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    referred = {value[1:] for value in page.values("href")}
    referred |= {match for value in page.values("clip-path") for match in re.findall(r"#([^)]*)", value)}
    assert referred and referred <= set(ids)


def test_colours_come_from_the_page_so_that_both_themes_work(make_run: MakeRun) -> None:
    html = render(make_run())
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}\b", drawings)
    assert set(re.findall(r"var\(--([a-z0-9]+)\)", html)) <= set(LIGHT)
    assert "prefers-color-scheme:dark" in html


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_in_both_themes(theme: dict[str, str]) -> None:
    """WCAG 2.2: at least 4.5 for text, 3 for graphics."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(name: str) -> float:
        low, high = sorted((luminance(theme[name]), luminance(theme["paper"])))
        return (high + 0.05) / (low + 0.05)

    assert LIGHT.keys() == DARK.keys()
    assert all(contrast(name) >= 4.5 for name in ("ink", "soft", "c1"))
    assert all(contrast(name) >= 3 for name in (*SERIES, "grey"))


@pytest.mark.parametrize("parts", [(), *itertools.combinations(PARTS, len(PARTS) - 1)])
def test_any_part_may_be_missing(make_run: MakeRun, parts: tuple[str, ...]) -> None:
    page = Page(render(make_run(parts=parts)))
    kind_words = {
        "metrics.jsonl": "No metrics yet",
        "evaluation.json": "No final scores yet",
        "dream-errors.json": "The dream is compared with held-out real play when training ends",
    }
    for part, words in kind_words.items():
        assert (words in page.text) == (part not in parts)
    assert ("No video yet" in page.text) == (not {"dream.mp4", "dream.png"} & set(parts))


def test_in_mid_run_it_tells_the_newest_evaluation(make_run: MakeRun) -> None:
    assert "No final scores yet. At epoch 4 the agent scored 5.0 (4.0 to 6.5) over 2 games." in render(
        make_run(parts=("metrics.jsonl",))
    )


def test_the_errors_of_a_run_of_release_0_1_are_found_under_their_old_name(make_run: MakeRun) -> None:
    run = make_run()
    page = render(run)
    (run / "dream-errors.json").rename(run / "fidelity.json")
    assert render(run) == page


def test_a_line_torn_in_mid_write_is_left_out(make_run: MakeRun) -> None:
    run = make_run()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "denoiser/lo')
    assert "1 of 6 lines of metrics.jsonl could not be read and were left out." in render(run)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b'{"a": ', b"[" * 100_000, b'{"trained": 3}'])
@pytest.mark.parametrize("part", ["evaluation.json", "dream-errors.json", "metrics.jsonl"])
def test_a_damaged_part_is_a_missing_part(make_run: MakeRun, part: str, content: bytes) -> None:
    run = make_run(parts=("dream.png",))
    (run / part).write_bytes(content)
    Page(render(run))


@pytest.mark.parametrize("value", [None, "12", True, [], {}, float("nan"), float("inf"), 10**400, -1e308, 1e-320])
def test_values_of_any_kind_do_no_harm(make_run: MakeRun, value: Any) -> None:
    run = make_run(config={"seed": value, "schedule.epochs": value, "env.game": value})
    record, errors, rows = evaluation(), dream_errors(), metrics()
    record["trained"] |= {"low": value, "lengths": value, "seed": value, "action_meaning": value}
    record["random"] = record["reference"] = value
    record["untrained"]["returns"] = [value]
    errors["dream"]["low"] = errors["repeat"]["mean"] = errors["num_segments"] = errors["unit"] = value
    errors["shuffled"] = value
    errors["gain"]["repeat"]["low"] = errors["gain"]["shuffled"] = value
    rows[0] |= {"denoiser/loss": value, "env_steps": value, "odd": value, "time/odd": value}
    rows[1]["epoch"] = value
    (run / "evaluation.json").write_text(json.dumps(record))
    (run / "dream-errors.json").write_text(json.dumps(errors))
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Page(render(run))


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></svg></title><b>",
    "$\\frac{1}{$ & \N{RIGHT-TO-LEFT OVERRIDE} \x00\x1b \ud800 ]]> --> {curly}",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(make_run: MakeRun, text: str) -> None:
    name = text if not set(text) & set("/\0\ud800") else "plain"
    run = make_run(
        name, config={"env.game": text, "preset": text, "seed": text, "env.id": None, "logging": {text: text}}
    )
    record, rows = evaluation(), metrics()
    record["best_constant"]["action_meaning"] = record["trained"]["mode"] = text
    record["reference"] = {text: 5.0, "human": 3.0}
    rows[0] |= {text: 1.0, f"time/{text}": 1.0, f"memory/{text}": 1.0}
    (run / "evaluation.json").write_text(json.dumps(record))
    (run / "dream-errors.json").write_text(json.dumps(dream_errors() | {"unit": text}))
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = make_run("other")
    for html in (render(run), render(run, other)):
        page = Page(html)
        assert not {"script", "b"} & {tag for tag, _ in page.tags}
        assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
        assert len(page.of("style")) == len(page.of("title")) == 1
        assert not set("\0\x1b\N{RIGHT-TO-LEFT OVERRIDE}") & set(html)
        if text.isprintable():
            assert text in page.text


def test_several_runs_share_their_axes_and_a_table(make_run: MakeRun) -> None:
    runs = [make_run("first"), make_run("second", config={"seed": 7}), make_run("third", parts=())]
    page = Page(render(*runs))
    assert "3 runs" in page.text
    assert len(page.of("video")) == 2
    assert len(page.of("svg")) == 2 + 8 + 2 + 2  # one chart of scores and of errors a run, every curve once
    assert "What differs" in page.text
    heads = [tag for tag, _ in page.tags].count("table")
    assert heads == 6  # overview, scores, errors, costs, differences, all fields


def test_runs_of_different_games(make_run: MakeRun) -> None:
    page = Page(render(make_run("a"), make_run("b", config={"env.id": "diamond/Catch-v0"})))
    assert "Breakout and diamond/Catch-v0" in page.text


def test_no_claim_without_intervals_apart(make_run: MakeRun) -> None:
    run, record, errors = make_run(), evaluation(), dream_errors()
    record["random"] = summary(11.0)  # 10 to 12 overlaps 11.5 to 13.5
    record["untrained"] = summary(20.0)
    errors["gain"]["repeat"]["low"][1] = -0.001
    errors["gain"]["shuffled"] = dict.fromkeys(("mean", "low", "high"), [-0.001, -0.001, -0.001])
    (run / "evaluation.json").write_text(json.dumps(record))
    (run / "dream-errors.json").write_text(json.dumps(errors))
    text = Page(render(run)).text
    assert "lies above that of the best constant action, lies below that of the untrained network" in text
    assert "and overlaps that of the random policy" in text
    assert "Yes at +1 and +15; they cannot be told apart at +5." in text
    assert "No, it is farther at +1, +5 and +15." in text


def test_a_horizon_at_which_nothing_moved_is_left_open(make_run: MakeRun) -> None:
    run, errors = make_run(), dream_errors()
    for curve in (errors["dream"], errors["repeat"], errors["shuffled"], *errors["gain"].values()):
        for part in ("mean", "low", "high"):
            curve[part][2] = None
    (run / "dream-errors.json").write_text(json.dumps(errors))
    page = Page(render(run))
    assert "At every horizon shown, the dream is clearly closer" in page.text
    assert page.text.count("+15") == 1  # in the table, with dashes


@pytest.mark.parametrize("policy", ["trained", "random"])
def test_few_games_bear_no_claim(make_run: MakeRun, policy: str) -> None:
    """Two games that end alike have an interval of no width, and mean nothing."""
    run, record = make_run(), evaluation()
    record[policy] |= {"n": 2, "low": 12.5, "high": 12.5, "returns": [12.5, 12.5]}
    (run / "evaluation.json").write_text(json.dumps(record))
    text = Page(render(run)).text
    assert "lies above" not in text
    assert "Fewer than 10 games do not tell it from its baselines." in text


def test_the_same_runs_give_the_same_page(make_run: MakeRun) -> None:
    run = make_run()
    assert render(run) == render(run)


def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "config.json").write_text('{"a":' * 5_000 + "1" + "}" * 5_000)
    kinds = {"nowhere": "is not a run", "empty": "is not a run", "broken": "is damaged", "deep": "is damaged"}
    for folder, words in kinds.items():
        with pytest.raises(RunError, match=words) as caught:
            build_report([tmp_path / folder], tmp_path / "report.html")
        assert folder in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(RunError, match="no run"):
        build_report([], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_place_that_cannot_be_written_is_named(make_run: MakeRun) -> None:
    run = make_run(parts=())
    with pytest.raises(DiskError, match="cannot be written"):
        build_report([run], run / "config.json" / "report.html")
