"""The command line: what goes wrong is told in one line with the remedy and harms nothing; `--help` is complete."""

import ast
import errno
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
import torch
from conftest import COMMAND

import diamond.config.experiment
import diamond.training.trainer as trainer_module
from diamond.cli.main import VERBS, main
from diamond.config import Config, flatten
from diamond.config.presets import DEFAULT_PRESET, PRESETS
from diamond.runs.folder import RunFolder
from diamond.runs.progress import Progress
from diamond.training import finish as finish_module
from diamond.version import __version__

COST = {
    "training_seconds": 150.0,
    "phase_seconds": {"collect": 2.4, "actor_critic": 130.0},
    "finishing_seconds": 5.0,
    "peak_memory_bytes": 84e8,
}


HEAVY = {"torch", "numpy", "gymnasium", "av", "matplotlib", "tensorboard"}


@dataclass
class Result:
    status: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str | Path) -> Result:
        status, threads = 0, torch.get_num_threads()
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        finally:
            torch.set_num_threads(threads)  # a preset may ask for more
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second: copy it, never change it."""
    changes = {"schedule.epochs": 3, "schedule.evaluate_every": 2}
    return tiny_runs.start(tmp_path_factory.mktemp("cli") / "run", changes).path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A run to do anything with."""
    return Path(shutil.copytree(original, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "run.lock"
    }


def assert_told(result: Result, *parts: str) -> None:
    """One line on standard error with all parts, nothing on standard output, an exit status that says failure."""
    assert result.status == 1
    assert result.out == ""
    assert result.err.startswith("diamond: ")
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err


# Bad input


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        pytest.param(
            "trian", ["'trian'", "choose one of train, evaluate, dream, fidelity, play, export, report"], id="verb"
        ),
        pytest.param("train --preset papre", ["preset is 'papre'", *PRESETS], id="preset"),
        pytest.param("train --preset debug --env.game Pongg", ["env.game is 'Pongg'", "did you mean Pong?"], id="game"),
        pytest.param("train --env.id Nothing-v0", ["env.id is 'Nothing-v0'"], id="environment"),
        pytest.param("train --env.id a:b:c", ["env.id is 'a:b:c'", "one colon"], id="two modules"),
        pytest.param("train --env.id :", ["env.id is ':'", "one colon"], id="no module"),
        pytest.param("train --env.id \x1b[31mred-v0", ["env.id is", "ID: ?[31mred-v0"], id="a colour as an id"),
        pytest.param(
            "train --env.id CartPole-v1", ["CartPole-v1", "not RGB images", "wrap it"], id="environment without images"
        ),
        pytest.param(
            "train --env.id Vizdoom-v0", ["it needs the package vizdoom; run `pip install"], id="environment's package"
        ),
        pytest.param(
            "train --denoiser.contxt-length 2",
            ["--denoiser.contxt-length", "did you mean --denoiser.context-length", "--help"],
            id="override",
        ),
        pytest.param("evaluate --epsodes 3", ["--epsodes", "diamond evaluate --help"], id="option"),
        pytest.param(
            "train --epochs 3", ["--epochs", "did you mean --schedule.epochs?"], id="option without its group"
        ),
        pytest.param("train --env.num-envs 0", ["env.num_envs is 0: use at least 1"], id="out of range"),
        pytest.param("train --seed -1", ["seed is -1: choose from 0"], id="seed out of range"),
        pytest.param(
            "train --updates.reward-model.learning-rate nan",
            ["updates.reward_model.learning_rate is nan: use a positive number"],
            id="not a number",
        ),
        pytest.param(
            "train --denoiser.unet.channels 7",
            ["denoiser.unet.depths is (", "one per level"],
            id="values that do not fit together",
        ),
        pytest.param("train --sampler.rho 1e-30", ["sampler.rho is 1e-30: use a positive number, 0.1 to"], id="tiny"),
        pytest.param("train --resume a b", ["--resume is 'a b': name one run"], id="two runs to resume"),
        pytest.param("train --device tpu", ["compute.device is 'tpu'", "choose auto, cpu, mps, cuda"], id="device"),
        pytest.param("train --compute.device cuda:99", ["cuda:99", "choose auto or one of cpu"], id="device number"),
        pytest.param("train --run a --resume b", ["--run is 'a' beside --resume", "leave out --run"], id="two folders"),
        pytest.param("train --resume nowhere", ["nowhere is not a run", "give a folder"], id="no run to resume"),
        pytest.param("train --resume", ["no run found", "diamond train"], id="no newest run to resume"),
        pytest.param("evaluate", ["no run found", "diamond train"], id="no newest run to score"),
        pytest.param("evaluate nowhere", ["nowhere is not a run"], id="no run to score"),
        pytest.param("dream nowhere --out a.mp4", ["nowhere is not a run"], id="no run to dream"),
        pytest.param("fidelity", ["no run found", "diamond train"], id="no newest run to measure"),
        pytest.param("fidelity nowhere", ["nowhere is not a run"], id="no run to measure"),
        pytest.param("fidelity --games 9", ["--games is 9: use at least 10"], id="too few games to measure on"),
        pytest.param("play nowhere", ["nowhere is not a run"], id="no run to play"),
        pytest.param("play --port 99999", ["--port is 99999: choose from 0 to 65535"], id="port"),
        pytest.param("play --host 256.0.0.1", ["--host 256.0.0.1"], id="host"),
        pytest.param("play --idle-minutes 0", ["--idle-minutes is 0.0: use a positive number"], id="limit"),
        pytest.param("report nowhere", ["nowhere is not a run"], id="no run to report"),
        pytest.param("evaluate --episodes 0", ["--episodes is 0: use at least 1"], id="no games"),
        pytest.param("dream --steps 0 --out a.mp4", ["--steps is 0: use at least 1"], id="no steps"),
        pytest.param("dream --out a.gif", ["--out is 'a.gif'", ".mp4"], id="a film of another kind"),
        pytest.param("evaluate --seed -1", ["--seed is -1: choose from 0 to 4294967295"], id="a seed of games"),
        pytest.param("evaluate --temperature 0", ["--temperature is 0.0: use a positive number"], id="temperature"),
    ],
)
def test_bad_words_are_told_in_one_line(cli: Cli, tmp_path: Path, words: str, parts: list[str]) -> None:
    assert_told(cli(*words.split()), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        pytest.param("train 3", ["Unrecognized", "3", "diamond train --help"], id="stray word"),
        pytest.param("dream", ["--out", "diamond dream --help"], id="missing option"),
        pytest.param("train --seed", ["--seed", "diamond train --help"], id="missing value"),
        pytest.param("train --env.num-envs two", ["--env.num-envs", "'two'"], id="wrong type"),
        pytest.param("train --sampler.order 3", ["--sampler.order", "'3'", "('1', '2')"], id="no such choice"),
        pytest.param("evaluate --checkpoint newest", ["--checkpoint", "{last,best}|INT", "'newest'"], id="checkpoint"),
        pytest.param("evaluate --mode random", ["--mode", "('sampled', 'greedy')"], id="mode"),
        pytest.param("presets more", ["Unrecognized", "more"], id="presets take nothing"),
        pytest.param("study", ["Expected one of", "edm-vs-ddpm", "consistency"], id="no study"),
        pytest.param("study --seeds 1", ["--seeds", "edm-vs-ddpm"], id="an option before the study"),
    ],
)
def test_words_that_cannot_be_read_are_answered_by_tyro(cli: Cli, tmp_path: Path, words: str, parts: list[str]) -> None:
    """Its message says more than a line, and stays short."""
    result = cli(*words.split())
    assert (result.status, result.out) == (1, "")
    assert len(result.err.splitlines()) <= 25
    assert all(part in result.err for part in parts), result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "",
        "presets",
        "--version",
        *(f"{verb} --help" for verb in VERBS),
        "trian",
        "train --preset papre",
        "train --epochs 3",
        "train --env.num-envs two",
        "train --env.num-envs 0",
        "train --resume nowhere",
        "train --run .",
        "train --device tpu",
        "play --host 300.1.1.1",
        "evaluate",
        "evaluate nowhere",
        "dream nowhere --out a.mp4",
        "dream --out nowhere/a.mp4",
        "fidelity nowhere",
        "play nowhere",
        "export nowhere out",
        "report nowhere",
        "bench --json nowhere/a.json",
        "study start-noise --size 7",
    ],
)
def test_answers_come_at_once(tmp_path: Path, words: str) -> None:
    """PyTorch alone takes more than a second to import: help and refusals do without it and its like."""
    assert imported_for(words, tmp_path) == "imported []"


@pytest.mark.parametrize("words", ["train --preset atari100k --env.game Pongg", "train --env.id Nowhere-v0"])
def test_gymnasium_alone_is_asked_for_an_environment(tmp_path: Path, words: str) -> None:
    assert imported_for(words, tmp_path) == "imported ['gymnasium', 'numpy']"


def imported_for(words: str, folder: Path) -> str:
    """Which of the heavy packages a command imports until it ends, as a line."""
    code = (
        "import atexit, sys; from diamond.cli.main import main\n"
        f"atexit.register(lambda: print('imported', sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr))\n"
        "main()"
    )
    (folder / "thesis.txt").touch()
    told = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True, cwd=folder)
    assert "Traceback" not in told.stderr
    return told.stderr.splitlines()[-1]


@pytest.mark.parametrize("width", ["30", "400"])
def test_the_line_does_not_depend_on_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    told = cli("train", "--env.num-envs", "0").err
    assert told == "diamond: env.num_envs is 0: use at least 1\n"


@pytest.mark.parametrize("occupant", ["run", "folder", "file"])
def test_nothing_is_ever_written_over(cli: Cli, tmp_path: Path, run: Path, occupant: str) -> None:
    path = run if occupant == "run" else tmp_path / "mine"
    if occupant == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years of work", encoding="utf-8")
    elif occupant == "file":
        path.write_text("years of work", encoding="utf-8")
    before = contents(tmp_path)
    told = cli("train", "--preset", "debug", "--run", path)
    assert_told(told, f"{path} already exists: choose another --run folder")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "words", ["train --preset debug --run {}/run", "evaluate run --json {}/a.json", "dream run --out {}/a.mp4"]
)
def test_a_place_that_cannot_be_written_is_told_at_once(cli: Cli, tmp_path: Path, run: Path, words: str) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    before = contents(tmp_path)
    assert_told(cli(*words.format("file").split()), "file/", "cannot be written")
    assert contents(tmp_path) == before


def test_a_run_in_other_hands_is_left_alone(cli: Cli, tmp_path: Path, run: Path) -> None:
    before = contents(tmp_path)
    with RunFolder.open(run).lock():
        told = cli("train", "--resume", run, "--schedule.epochs", "9")
    assert_told(told, f"{run} is being written by another process: wait for it or stop it")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("words", ["train --resume run", "evaluate run", "dream run --out a.mp4"])
def test_a_run_of_a_newer_release_is_left_alone(cli: Cli, tmp_path: Path, run: Path, words: str) -> None:
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(facts | {"format": 99, "diamond": "9.9"}), encoding="utf-8")
    before = contents(tmp_path)
    assert_told(cli(*words.split()), "run.json has run format 99", "install diamond-wm 9.9 or newer")
    assert contents(tmp_path) == before


def test_a_changed_hyper_parameter_is_refused(cli: Cli, tmp_path: Path, run: Path) -> None:
    before = contents(tmp_path)
    told = cli("train", "--resume", run, "--imagination.horizon", "9")
    assert_told(told, "imagination.horizon was 4, now 9", "start a new run to change it")
    assert contents(tmp_path) == before


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content if kind == "tampered" else content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["tampered", "truncated"])
@pytest.mark.parametrize(
    "file", ["agent.safetensors", "training.safetensors", "environment.npz", "open-0.npz", "checkpoint.json"]
)
def test_a_damaged_checkpoint_is_never_resumed(cli: Cli, tmp_path: Path, run: Path, file: str, kind: str) -> None:
    damage(run / "checkpoints" / "epoch-000003" / file, kind)
    before = contents(tmp_path)
    told = cli("train", "--resume", run, "--schedule.epochs", "4")
    assert_told(told, f"epoch-000003/{file} is damaged", "restore it from a copy, or remove the folder epoch-000003")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("words", ["evaluate run", "dream run --out a.mp4"])
@pytest.mark.parametrize("kind", ["tampered", "truncated"])
def test_a_damaged_checkpoint_is_never_played(cli: Cli, run: Path, words: str, kind: str) -> None:
    damage(run / "checkpoints" / "epoch-000003" / "agent.safetensors", kind)
    assert_told(cli(*words.split()), "agent.safetensors is damaged", "restore it from a copy")


@pytest.mark.parametrize("kind", ["tampered", "truncated"])
def test_a_damaged_episode_is_never_trained_on(cli: Cli, tmp_path: Path, run: Path, kind: str) -> None:
    damage(run / "episodes" / "000000.npz", kind)
    before = contents(tmp_path)
    told = cli("train", "--resume", run, "--schedule.epochs", "4")
    assert_told(told, "000000.npz is not a readable episode", "restore it from a copy")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schedule": {"epochs": "many"}}'])
@pytest.mark.parametrize("file", ["run.json", "config.json"])
def test_a_damaged_run_is_told(cli: Cli, run: Path, file: str, content: str) -> None:
    (run / file).write_text(content, encoding="utf-8")
    told = cli("evaluate", run)
    if (file, content) == ("config.json", "{}"):  # an older release may have known no field at all
        assert_told(told, "does not fit")
    else:
        assert_told(told, "json" if file == "run.json" or len(content) < 3 else "config.schedule.epochs is 'many'")


@pytest.mark.parametrize(("option", "remedy"), [("--lpips", "convert_lpips.py"), ("--features", "ONNX")])
def test_instruments_that_are_not_there_are_told(cli: Cli, run: Path, option: str, remedy: str) -> None:
    assert_told(cli("fidelity", run, option, "a"), "a is no file", remedy)


@pytest.mark.parametrize("which", ["7", "2"])
def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(cli: Cli, run: Path, which: str) -> None:
    shutil.rmtree(run / "checkpoints" / "epoch-000002")
    assert_told(cli("evaluate", run, "--checkpoint", which), f"no checkpoint of epoch {which}: choose one of 3")


# Runs that stop


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, Callable[[], Any]], None]]:
    """`stop(moment, how)` does something to a run after so many steps and updates."""

    def arrange(moment: int, how: Callable[[], Any]) -> None:
        advance, left = Progress.advance, [moment]

        def counted(self: Progress, phase: str, units: int) -> None:
            advance(self, phase, units)
            left[0] -= 1
            if left[0] == 0:
                how()

        monkeypatch.setattr(Progress, "advance", counted)

    yield arrange


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [1, 14])
def test_a_stopped_run_finishes_what_it_is_at_and_says_where_it_goes_on(
    cli: Cli, run: Path, stop: Callable[..., None], sent: signal.Signals, moment: int
) -> None:
    """Epoch 4 has 10 steps, 3 updates and an evaluation; after these it is over."""
    stop(moment, lambda: os.kill(os.getpid(), sent))
    result = cli("train", "--resume", "run", "--schedule.epochs", "5")
    assert result.status == 130
    begun, told = result.err.splitlines()
    assert begun.startswith("going on with run (preset tiny, diamond/Catch-v0)")
    newest = "in epoch 4 (phase collect, 1 done)" if moment == 1 else "of epoch 4"
    assert told == f"diamond: stopped; the newest checkpoint is {newest}, go on with `diamond train --resume run`"
    name = "epoch-000003-000001" if moment == 1 else "epoch-000004"
    assert tiny_runs.newest(run).path.name == name


@pytest.mark.parametrize("written", [True, False])
def test_asked_twice_a_run_stops_at_once(cli: Cli, run: Path, stop: Callable[..., None], written: bool) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    if not written:
        shutil.rmtree(run / "checkpoints")
    stop(1, twice)
    result = cli("train", "--resume", "run", "--schedule.epochs", "4")
    assert result.status == 130
    newest = "the newest checkpoint is of epoch 3" if written else "no checkpoint was written yet"
    assert result.err.splitlines()[-1] == f"diamond: stopped; {newest}, go on with `diamond train --resume run`"


def test_a_signal_s_meaning_is_put_back(cli: Cli) -> None:
    before = signal.getsignal(signal.SIGTERM)
    cli("presets")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("reason", ["a loss that is not finite", "a full disk"])
def test_a_run_that_cannot_go_on_says_why_and_where_it_goes_on(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "epoch-000004":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    if reason == "a full disk":
        monkeypatch.setattr(os, "replace", full)
        expected = "epoch-000004 cannot be written (No space left on device): free disk space"
    else:
        loss = trainer_module.denoising_loss
        monkeypatch.setattr(trainer_module, "denoising_loss", lambda *arguments: loss(*arguments) * float("nan"))
        expected = "the denoiser's loss or gradient is nan or infinite"
    result = cli("train", "--resume", run, "--schedule.epochs", "4")
    told = result.err.splitlines(keepends=True)[-1]
    assert_told(
        Result(result.status, result.out, told),
        expected,
        f"; the newest checkpoint is of epoch 3, go on with `diamond train --resume {run}`",
    )
    assert "Traceback" not in result.err


# What works


def test_options_reach_the_run_and_scores_are_printed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"mean": 12.34, "low": 10.0, "high": 14.0, "n": 20, "human_normalised": 0.4567}
    others = {"random": score | {"mean": 1.5, "human_normalised": None}, "reference": {"random": 1.7, "human": 30.5}}
    monkeypatch.setattr(
        finish_module, "finish", lambda run, progress, device: {"trained": score, "cost": COST} | others
    )
    options = tiny_runs.as_options(tiny_runs.TINY)
    result = cli("train", "--preset", "debug", *options, "--seed", "3", "--run", "runs/mine", "--device", "cpu")
    assert result.status == 0, result.err
    assert result.err.startswith("training in runs/mine (preset debug, diamond/Catch-v0)\n")
    assert result.out.splitlines() == [
        "trained in the dream   mean return 12.34 [10.00, 14.00] (95 % interval, 20 games), human-normalised 0.457",
        "random policy          mean return 1.50 [10.00, 14.00] (95 % interval, 20 games)",
        "published references   random 1.7, human 30.5",
        "time                   2 min 35 s in all: collect 2.4 s, actor critic 2 min 10 s, scoring and report 5.0 s",
        "peak memory            8.40 GB",
        f"report: {Path('runs/mine/report.html')}",
    ]
    expected = tiny_runs.tiny({"seed": 3, "preset": "debug"})
    assert RunFolder.open(Path("runs/mine")).config == expected

    result = cli("train", "--resume", "--schedule.epochs", "3")  # the newest run
    assert result.status == 0, result.err
    assert result.err.startswith("going on with runs/mine (preset debug, diamond/Catch-v0)\n")
    assert "are done" not in result.err
    assert RunFolder.open(Path("runs/mine")).config == tiny_runs.override(expected, {"schedule.epochs": 3})


def test_a_finished_run_says_that_it_is_finished(cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run, Path("runs") / "mine")
    monkeypatch.setattr(finish_module, "finish", lambda run, progress, device: {"cost": COST})
    again = cli("train", "--resume")
    assert again.status == 0, again.err
    assert "all 3 epochs are done; for more, give a larger schedule.epochs\n" in again.err
    shorter = cli("train", "--resume", "--schedule.epochs", "1")
    assert shorter.status == 1
    assert "schedule.epochs is 1: the run has 3 epochs already, give at least as many" in shorter.err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """As `diamond presets | head -n 0`, with a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    program = [*COMMAND, "presets"]
    ended = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_verbs_take_the_newest_run(cli: Cli, run: Path) -> None:
    shutil.copytree(run, Path("runs") / "mine")
    scored = cli("evaluate", "--episodes", "3", "--mode", "greedy", "--max-steps", "5", "--json", "scores.json")
    assert re.fullmatch(r"runs.mine, diamond/Catch-v0: mean return \S+ \[.*\] \(95 % interval, 3 games\)\n", scored.out)
    record = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert record["training_seed"] == RunFolder.open(run).config.seed
    scores = record["trained"]
    assert (scores["n"], scores["mode"], scores["max_episode_steps"]) == (3, "greedy", 5)

    dreamed = cli("dream", "--steps", "4", "--out", "dream.mp4")
    assert dreamed.out == f"dream.mp4: 4 steps of diamond/Catch-v0, real beside dreamed by {Path('runs/mine')}\n"
    assert Path("dream.mp4").stat().st_size > 500

    assert cli("report", "--out", "page.html").out == "report: page.html\n"
    assert "<html" in Path("page.html").read_text(encoding="utf-8")
    assert cli("report", "runs/mine", "runs/mine").out == f"report: {Path('runs/report.html')}\n"


def test_fidelity_is_measured_beside_what_training_left(cli: Cli, run: Path) -> None:
    """The run's other files stay as they are; a second result replaces the first."""
    (run / "dream-errors.json").write_text("{}", encoding="utf-8")
    words = ("fidelity", run, "--games", "10", "--contexts", "2", "--seed", "3", "--checkpoint", "2")
    measured = cli(*words)
    assert measured.status == 0, measured.err
    lines = measured.out.splitlines()
    assert lines[0].split() == ["diamond/Catch-v0,", "95", "%", "intervals", "agent", "games", "random", "games"]
    assert lines[-1] == f"report: {run / 'fidelity' / 'report.html'}"
    assert (run / "dream-errors.json").read_text(encoding="utf-8") == "{}"
    before = contents(run / "fidelity")
    assert set(before) == {"fidelity.json", "report.html"}
    record = json.loads(before["fidelity.json"])
    assert (record["kind"], record["checkpoint"], record["seed"]) == ("diamond fidelity", 2, 3)
    assert cli(*words).status == 0
    again = contents(run / "fidelity")
    assert json.loads(again["fidelity.json"]) == record, "one seed, one result"

    assert_told(cli(*words, "--out", run), "--out", str(run), "holds something else", "name a new folder")
    for own in (run, run / "episodes"):
        assert_told(cli(*words, "--data", own), "was trained on", "never seen")
    assert_told(cli(*words, "--seed", "-1"), "--seed is -1", "choose from 0")
    assert contents(run / "fidelity") == again


def test_without_a_verb_the_verbs_are_told(cli: Cli) -> None:
    for words in ([], ["-h"], ["--help"]):
        result = cli(*words)
        assert result.status == 0
        assert all(re.search(rf"^  {verb} +\w", result.out, re.M) for verb in VERBS)


def test_the_module_is_the_command() -> None:
    told = subprocess.run([sys.executable, "-m", "diamond", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"{__version__}\n"


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version") == Result(0, f"{__version__}\n", "")


def test_presets_are_listed_with_their_meaning_and_the_default(cli: Cli) -> None:
    result = cli("presets")
    assert result.status == 0
    for line, (name, make) in zip(result.out.splitlines(), PRESETS.items(), strict=True):
        assert line.startswith(f"{name} ")
        assert (make.__doc__ or "").split("\n")[0] in line
        assert line.endswith("(the default)") == (name == DEFAULT_PRESET)


# Help


def field_meanings() -> dict[tuple[str, str], str]:
    """The text below every field of the configuration, by class and field."""
    meanings = {}
    for node in ast.walk(ast.parse(inspect.getsource(diamond.config.experiment))):
        if isinstance(node, ast.ClassDef):
            for statement, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(statement.target, ast.Name)
                    assert isinstance(text.value, ast.Constant)
                    meanings[node.name, statement.target.id] = text.value.value
    return meanings


def as_words(text: str) -> str:
    """Text without what a page adds to it: frames, colours, line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─`]", " ", text).split())


def test_help_shows_every_hyper_parameter_with_its_meaning_and_value(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    result = cli("train", "--help")
    assert result.status == 0
    page = as_words(result.out)
    for name in flatten(Config()):
        option = re.sub("-$", "_", name.replace("_", "-"))
        assert re.search(rf"--{option}[ ,]", page), name
    meanings = field_meanings()
    assert len(meanings) > 60
    for field, meaning in meanings.items():
        assert as_words(meaning) in page, field


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Cli, verb: str) -> None:
    result = cli(verb, "--help")
    assert result.status == 0
    assert result.err == ""
    page, kind = as_words(result.out), VERBS[verb][0]
    assert as_words((kind.__doc__ or "").split("\n")[0]) in page
    assert f"usage: diamond {verb}" in page


def test_help_shows_the_values_of_the_preset_named(cli: Cli) -> None:
    for name, make in PRESETS.items():
        page = as_words(cli("train", "--preset", name, "--help").out)
        batch_size = make().updates.actor_critic.batch_size
        assert re.search(rf"--updates.actor-critic.batch-size INT .*?\(default: {batch_size}\)", page)
        assert f"--schedule.epochs INT Epochs in the whole run. (default: {make().schedule.epochs})" in page
