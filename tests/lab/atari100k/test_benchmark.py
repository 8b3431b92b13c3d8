"""`diamond benchmark`: what the plan asks for and what the table shows, in each format."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diamond.cli.arguments import parse
from diamond.cli.main import main
from diamond.cli.options import Train
from diamond.errors import ConfigError
from diamond.lab.atari100k import compare, plan, published_methods
from diamond.lab.atari100k.comparison import Comparison
from diamond.lab.atari100k.markdown import markdown
from diamond.lab.atari100k.methods import GAMES, Method
from diamond.lab.atari100k.page import render

FEW = ("DIAMOND", "IRIS", "BBF", "Simulus (rerun)")


@dataclass
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`diamond benchmark` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        status = 0
        try:
            main(["benchmark", *words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


def own(num_games: int = 26, name: str = "mine") -> Method:
    """Runs as good as humans."""
    (human,) = published_methods(["DIAMOND"])
    runs = {game: tuple(human.runs[game][:3]) for game in GAMES[:num_games]}
    return Method(name, "own runs", "runs/a", runs=runs, means={game: sum(all_) / 3 for game, all_ in runs.items()})


def small(mine: Method | None = None, **settings: Any) -> Comparison:
    return compare(mine, **{"names": FEW, "resamples": 100, **settings})


# The plan


def test_the_plan_is_26_games_by_5_seeds() -> None:
    runs = plan()["runs"]
    assert [(run["game"], run["seed"]) for run in runs] == [(game, seed) for game in GAMES for seed in range(5)]
    assert len({run["run"] for run in runs}) == 130


def test_every_planned_command_trains_what_it_says() -> None:
    for run in plan(["Pong"])["runs"][::2]:
        program, verb, *words = shlex.split(run["command"])
        assert (program, verb) == ("diamond", "train")
        args = parse(Train, "diamond train", words)
        assert (args.config.preset, args.config.env.name) == ("atari100k", run["game"])
        assert (args.config.seed, args.run) == (run["seed"], Path(run["run"]))


def test_the_plan_states_the_protocol_of_the_paper() -> None:
    protocol = plan()["protocol"]
    assert (protocol["env_steps"], protocol["frame_skip"], protocol["evaluation_games"]) == (100_000, 4, 100)
    assert (protocol["max_episode_steps"], protocol["sticky_actions"]) == (27_000, False)


# The comparison


def test_intervals_do_not_depend_on_what_else_is_shown() -> None:
    alone, among = small(names=["IRIS"]), small()
    (row,) = (row for row in among.rows if row.method.name == "IRIS")
    assert alone.rows[0].aggregates == row.aggregates


def test_the_split_does_not_depend_on_what_is_shown() -> None:
    assert small(names=["IRIS"]).sets == small(own()).sets


def test_without_single_runs_there_is_no_interval_and_only_what_is_printed() -> None:
    (bbf,) = (row for row in small().rows if row.method.name == "BBF")
    whole, half = bbf.aggregates["all"], bbf.aggregates["below"]
    assert whole.mean is not None and whole.mean.low is None
    assert (whole.iqm, whole.printed) == ((1.139, None, None), ("iqm",))
    assert (whole.optimality_gap, half.iqm, bbf.improvement, bbf.profiles) == (None, None, None, {})
    assert half.mean is not None and half.mean.value == pytest.approx(0.924, abs=5e-4)


def test_what_is_printed_for_26_games_is_not_shown_for_fewer() -> None:
    (row,) = small(names=["BBF"], games=["Pong", "Alien"]).rows
    assert row.aggregates["all"].iqm is None


def test_missing_games_are_never_averaged_away() -> None:
    """The first 20 games would be another, easier or harder benchmark."""
    comparison = small(own(20), names=["BBF"])
    row = comparison.rows[0]
    assert (row.method.name, row.played) == ("mine", 20)
    assert all(one.mean is None and one.iqm is None and one.above_human is None for one in row.aggregates.values())
    assert row.improvement is None
    assert row.labels["missing"] == f"No scores of {', '.join(GAMES[20:])}."
    assert comparison.as_dict()["methods"][0]["games"]["UpNDown"] is None
    assert "| **mine** |  | 3 | – | – | – | – | – | 6 of 26 games missing |" in markdown(comparison)
    assert re.search(r"\| UpNDown \|.*\| missing \|", markdown(comparison))
    assert "6 of 26 games are missing" in render(comparison)


def test_games_that_are_there_can_be_compared_by_themselves() -> None:
    comparison = small(own(20), games=GAMES[:20])
    assert comparison.rows[0].aggregates["all"].mean is not None
    assert markdown(comparison).startswith("# Atari 100k: 5 methods on 20 of 26 games")


def test_own_runs_are_what_others_are_compared_with() -> None:
    comparison = small(own())
    assert comparison.focus == "mine"
    improvements = {row.method.name: row.improvement for row in comparison.rows}
    assert improvements["mine"] is None
    assert improvements["DIAMOND"] is not None and improvements["DIAMOND"].value == pytest.approx(0.5, abs=0.05)
    assert small().focus == "DIAMOND"
    assert small(names=["BBF", "IRIS"]).focus == "IRIS"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"games": ["Pong"]}, "--games names 1 game: name at least 2"),
        ({"games": ["Tetris"]}, "--games names 'Tetris': choose from Alien"),
        ({"names": ["PPG"]}, "--methods names 'PPG': choose from DIAMOND"),
        ({"resamples": 99}, "--resamples is 99"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        small(**settings)


# What is shown


def test_markdown_tables_are_rectangular() -> None:
    text = markdown(small(own()))
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) == 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_headline_shows_figure_and_interval_and_marks_what_is_printed() -> None:
    text = markdown(small())
    assert re.search(r"^\| \*\*DIAMOND\*\* \| 2024 \| 5 \| 1\.459 \(1\.\d{3} to 1\.\d{3}\) \| 0\.373 ", text, re.M)
    assert re.search(r"^\| BBF \| 2023 \| – \| 2\.247 \| 0\.917 \| 1\.139† \| – \| 12 \| iqm of means \|", text, re.M)
    assert re.search(r"^\| Simulus \(rerun\) .*\| rerun \|$", text, re.M)
    assert "Run again by the authors of EAWM" in text
    assert "eloialonso/diamond results/data/DIAMOND.json" in text


def test_names_cannot_break_tables_or_pages() -> None:
    comparison = small(own(name="a|b\n<script>"), names=["IRIS"])
    assert "**a\\|b &lt;script>**" in markdown(comparison)
    assert "a|b\n&lt;script&gt;" in render(comparison)
    assert "<script>" not in render(comparison)
    assert "<script>" not in render(small(own(name="</svg><script>"), names=["BBF"], games=GAMES[:2]))


def test_the_page_stands_alone_and_has_all_plots() -> None:
    page = render(small(own()))
    assert page.count('<svg class="chart"') == 10  # 6 with intervals, 3 profiles, 1 of improvements
    assert not re.search(r'(?:src|href)="(?!#|data:)|url\((?!#)|@import', page)
    for word in ("Mean", "Median", "IQM", "Optimality gap", "Performance profile", "Probability of improvement"):
        assert word in page


def test_the_page_says_kindly_that_there_are_no_runs_to_draw() -> None:
    page = render(small(names=["BBF", "MuZero"]))
    assert "No method shown has scores of single runs of all games." in page
    assert "<svg" not in page


def test_json_holds_all_figures_with_settings() -> None:
    record = json.loads(json.dumps(small(own()).as_dict()))
    mine = record["methods"][0]
    assert record["intervals"]["resamples"] == 100
    assert set(mine["aggregates"]) == {"all", "above", "below"}
    assert len(mine["profiles"]["all"]["value"]) == len(record["thresholds"])
    assert mine["games"]["Pong"]["human_normalised"] > 1
    assert mine["aggregates"]["all"]["mean"]["low"] < mine["aggregates"]["all"]["mean"]["high"]


def test_the_documentation_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parents[3] / "docs/benchmark.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^diamond benchmark table --methods .*$", page, re.M)
    rows = re.findall(r"^\| .* \| (?:\d{4}|Year) \| .*$", page, re.M)
    printed = markdown(compare(names=shlex.split(command)[4:]))
    assert len(rows) == 7
    assert "\n".join([rows[0], "|" + "---|" * 9, *rows[1:]]) in printed


# The command


@pytest.mark.parametrize(("file", "start"), [("t.md", "# Atari 100k"), ("t.json", "{"), ("t.html", "<!doctype html>")])
def test_tables_are_written_in_the_format_of_the_file(cli: Callable[..., Result], file: str, start: str) -> None:
    told = cli("table", "--out", file, "--resamples", "100", "--methods", *FEW)
    assert (told.status, told.out, told.err) == (0, f"table: {file}\n", "")
    assert Path(file).read_text(encoding="utf-8").startswith(start)


def test_without_a_file_text_is_printed(cli: Callable[..., Result]) -> None:
    assert json.loads(cli("plan", "--games", "Pong").out)["runs"][4]["run"] == "runs/atari100k-Pong-seed4"
    assert cli("table", "--resamples", "100", "--methods", "IRIS").out.startswith("# Atari 100k: 1 method on 26 games")


def test_results_get_the_name_they_are_given(cli: Callable[..., Result]) -> None:
    for game in ("Pong", "Boxing"):
        for seed in (0, 1):
            record = {"game": game, "training_seed": seed, "trained": {"returns": [seed, 5.0]}}
            Path(f"{game}{seed}.json").write_text(json.dumps(record), encoding="utf-8")
    files = [f"{game}{seed}.json" for game in ("Pong", "Boxing") for seed in (0, 1)]
    words = ["--methods", "IRIS", "--games", "Pong", "Boxing", "--resamples", "100", "--name", "mine"]
    told = cli("table", *files, *words)
    assert told.status == 0
    assert re.search(r"^\| \*\*mine\*\* \|  \| 2 \|.*\| protocol, runs \|$", told.out, re.M)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["table", "absent"], ["absent does not exist", "diamond evaluate --json"]),
        (["table", "--out", "t.pdf"], ["--out is 't.pdf'", ".md or .json or .html"]),
        (["plan", "--out", "p.html"], ["--out is 'p.html'", ".json"]),
        (["plan", "runs/a"], ["runs/a is given to `plan`", "use `table`"]),
        (["table", "--methods", "PPG"], ["--methods names 'PPG'", "DIAMOND"]),
        (["plan", "--games", "Tetris"], ["--games names 'Tetris'", "Alien"]),
    ],
)
def test_bad_input_is_told_in_one_line(cli: Callable[..., Result], words: list[str], parts: list[str]) -> None:
    told = cli(*words)
    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    for part in parts:
        assert part in told.err
    assert not list(Path().iterdir())


def test_an_unknown_task_is_refused_with_the_known_ones(cli: Callable[..., Result]) -> None:
    told = cli("tables")
    assert (told.status, told.out) == (1, "")
    assert "'tables'" in told.err
    assert "('plan', 'table')" in told.err
