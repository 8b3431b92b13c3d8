"""The command `diamond`: one function a verb, for the options in `options`; what they do is in the packages."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diamond.cli.arguments import parse
from diamond.cli.interrupts import StopRequest, as_interrupt, on_signal
from diamond.cli.options import Bench, Benchmark, Dream, Evaluate, Export, Fidelity, Play, Presets, Report, Study, Train
from diamond.config import Config
from diamond.config.presets import DEFAULT_PRESET, PRESETS
from diamond.errors import ConfigError, DataError, DiamondError, DiskError, TrainingError
from diamond.version import __version__

PROGRAM = "diamond"


def train(args: Train) -> None:
    """Train or go on training, then score, compare and report."""
    from diamond.runs.folder import new_run_path, require_free
    from diamond.runs.progress import Progress
    from diamond.training.finish import finish
    from diamond.training.loop import train as run_training

    config = _on_device(args)
    path = args.run
    if args.resume is not None:
        path = args.resume
    elif path is None:
        path = new_run_path(config)
    else:
        require_free(path)
    progress, stop = Progress(), StopRequest()
    try:
        with on_signal(stop.ask):
            run = run_training(config, path, args.resume is not None, progress, stop.asked)
        evaluation = finish(run, progress.message, config.compute.device)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped{_last_checkpoint(path)}", file=sys.stderr)
        raise SystemExit(130) from None
    except (DataError, DiskError, TrainingError) as stopped:  # what can befall a run that has begun
        raise type(stopped)(f"{stopped}{_last_checkpoint(path)}") from stopped
    _print_scores(evaluation)
    _print_cost(evaluation["cost"])
    print(f"report: {run.path / 'report.html'}")


def evaluate(args: Evaluate) -> None:
    """Score an agent."""
    from diamond.evaluation.scores import score
    from diamond.loading import load
    from diamond.reports.video import write_video
    from diamond.runs.files import write_json
    from diamond.runs.folder import newest_run

    if args.episodes < 1:
        raise ConfigError(f"--episodes is {args.episodes}: play at least 1")
    which, run = _which(args.checkpoint), args.run or newest_run(usable=True)
    agent = load(run, which, args.device)
    if args.game is not None:
        env = dataclasses.replace(agent.config.env, game=args.game, id=None)
        agent.config = dataclasses.replace(agent.config, env=env)
    for output in (args.json, args.video):
        _require_writable(output)
    frames = 10_000 if args.video is not None else 0
    summary, games = score(
        agent, args.episodes, args.seed, args.mode, args.temperature, args.max_steps, frames, _game_counter()
    )
    if args.json is not None:
        trained_by = agent.config.seed if Path(run).is_dir() else None  # a published file does not say
        write_json(args.json, {"game": agent.config.env.name, "training_seed": trained_by, "trained": summary})
    if args.video is not None and games.first_game is not None:
        write_video(args.video, games.first_game, scale=max(1, 256 // agent.config.env.height))
    print(f"{run}, {agent.config.env.name}: {_score(summary)}")


def dream(args: Dream) -> None:
    """Real beside imagined."""
    from diamond.agents.recording import RECORDED_STEPS, record_real
    from diamond.evaluation.fidelity.segments import real_beside_dream
    from diamond.loading import load
    from diamond.reports.video import FRAMES_PER_SECOND, side_by_side, write_video
    from diamond.runs.folder import newest_run

    if args.steps < 1:
        raise ConfigError(f"--steps is {args.steps}: dream at least 1")
    _require_writable(args.out)
    if args.out.suffix != ".mp4":
        raise ConfigError(f"--out is {str(args.out)!r}: give a file that ends in .mp4")
    which, run = _which(args.checkpoint), args.run or newest_run(usable=True)
    agent = load(run, which, args.device)
    recording = record_real(agent, args.seed, max(RECORDED_STEPS, 2 * args.steps), num_envs=4)
    real, dreamed = real_beside_dream(agent, recording, args.steps, args.seed)
    scale = max(1, 256 // agent.config.env.height)
    write_video(args.out, side_by_side(real, dreamed, scale=scale), FRAMES_PER_SECOND)
    why = "" if len(real) == args.steps else ", no game that was recorded lasts longer"
    print(f"{args.out}: {len(real)} steps of {agent.config.env.name}, real beside dreamed by {run}{why}")


def fidelity(args: Fidelity) -> None:
    """How far a dream can be trusted."""
    from diamond.evaluation.fidelity.instruments import Instruments
    from diamond.evaluation.fidelity.plan import Plan
    from diamond.reports.fidelity_folder import report_fidelity
    from diamond.reports.fidelity_summary import summary
    from diamond.runs.folder import newest_run
    from diamond.runs.progress import Progress

    plan = Plan(args.games, args.steps, args.contexts, args.seed)
    instruments = Instruments.open(args.lpips, args.features, args.device)
    which, run = _which(args.checkpoint), args.run or newest_run(usable=True)
    record, page = report_fidelity(
        run,
        plan,
        args.out,
        data=args.data,
        instruments=instruments,
        which=which,
        device=args.device,
        game=args.game,
        progress=Progress().counted,
    )
    print("\n".join(summary(record)))
    print(f"report: {page}")


def play(args: Play) -> None:
    """Serve the page until Ctrl-C."""
    from diamond.play.game.source import load_source
    from diamond.play.server.server import Hall, Limits, bind, serve

    limits = Limits(args.sessions, args.viewers, 60 * args.idle_minutes)
    with bind(args.host, args.port) as listening:
        which = _which(args.checkpoint)
        hall = Hall(lambda: load_source(args.run, which, args.device, args.game, print), args.seed, limits)
        with contextlib.suppress(KeyboardInterrupt):
            serve(hall, listening, lambda address: _announce(hall.source.title, address, args.open))
    print(f"{PROGRAM}: ended")


def export(args: Export) -> None:
    """A dream to take along."""
    from diamond.export.folder import export as write
    from diamond.export.folder import require_ready
    from diamond.play.game.source import load_source

    require_ready(args.dir)
    source = load_source(args.run, _which(args.checkpoint), "cpu", args.game, print, fused=False)
    written = write(source, args.dir, args.format, args.half, print)
    for name, size in written.sizes.items():
        difference = written.differences[name]
        print(f"{name + '.onnx':18} {size / 1e6:5.1f} MB, differs from PyTorch by at most {difference:.1e}")
    print(f"{args.dir}: {source.title}, {written.dream_bytes / 1e6:.1f} MB", end="")
    if args.format == "web":
        print(f" and {(written.total_bytes - written.dream_bytes) / 1e6:.0f} MB of page and runtime")
        print(f"put it on any web server; to try it: python -m http.server --directory {args.dir}", end="")
    print()


def _announce(title: str, address: str, open_page: bool) -> None:
    import webbrowser

    print(f"play {title} at {address}   (Ctrl-C ends)", flush=True)
    if open_page:
        webbrowser.open(address)


def report(args: Report) -> None:
    """One page about runs."""
    from diamond.reports import build_report
    from diamond.runs.folder import newest_run

    runs = list(args.runs) or [newest_run()]
    # One run's own page stays as it is when it is compared with others.
    out = args.out or (runs[0] if len(runs) == 1 else runs[0].parent) / "report.html"
    print(f"report: {build_report(runs, out)}")


def bench(args: Bench) -> None:
    """Speeds of this machine."""
    from diamond.lab import speed
    from diamond.runs.files import write_json

    if args.blocks < 1:
        raise ConfigError(f"--blocks is {args.blocks}: measure at least 1")
    if not 0 < args.seconds < float("inf"):
        raise ConfigError(f"--seconds is {args.seconds}: use a positive number")
    _require_writable(args.json)
    if args.play:
        from diamond.lab.speed.latency import measure

        measured = measure(_on_device(args), (1, 8), print)
    else:
        measured = speed.bench(
            _on_device(args), args.blocks, args.seconds, print, args.reference, args.reference_python
        )
    if args.json is not None:
        write_json(args.json, measured)
    print("\n".join(speed.table(measured)))


def benchmark(args: Benchmark) -> None:
    """The runs of Atari 100k, or what they came to."""
    from diamond.lab.atari100k.output import plan_text, require_format, table_text
    from diamond.runs.files import write_bytes

    require_format(args.what, args.out)
    if args.what == "plan":
        if args.results:
            raise ConfigError(f"{args.results[0]} is given to `plan`, which takes no results: use `table`")
        text = plan_text(args.games)
    else:
        suffix = ".md" if args.out is None else args.out.suffix
        text = table_text(args.results, args.name, args.methods, args.games, args.seed, args.resamples, suffix)
    if args.out is None:
        print(text, end="")
    else:
        write_bytes(args.out, text.encode("utf-8"))
        print(f"{args.what}: {args.out}")


def study(args: Study) -> None:
    """Train, dream, measure, and say what came out."""
    from diamond.lab.studies.run import count_events, run_study
    from diamond.runs.progress import Progress

    if args.frames is not None:
        print(count_events(args.what, args.game, args.frames), end="")
        return
    for line in run_study(args.what, args.game, args.scale, args.out, Progress().message):
        print(line)


def presets(args: Presets) -> None:
    """Names and meanings."""
    for name, make in PRESETS.items():
        meaning = (make.__doc__ or "").strip().splitlines()[0]
        print(f"{name:10} {meaning}{' (the default)' if name == DEFAULT_PRESET else ''}")


VERBS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "train": (Train, train),
    "evaluate": (Evaluate, evaluate),
    "dream": (Dream, dream),
    "fidelity": (Fidelity, fidelity),
    "play": (Play, play),
    "export": (Export, export),
    "report": (Report, report),
    "bench": (Bench, bench),
    "benchmark": (Benchmark, benchmark),
    "study": (Study, study),
    "presets": (Presets, presets),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of the user's are one line on standard error and exit status 1."""
    try:
        try:
            _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has gone, as `head` does; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _run(arguments: Sequence[str] | None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in ([], ["-h"], ["--help"]):
        print(_overview())
        return
    if words[0] == "--version":
        print(__version__)
        return
    try:
        if words[0] not in VERBS:
            raise ConfigError(f"command is {words[0]!r}: choose one of {', '.join(VERBS)}")
        kind, verb = VERBS[words[0]]
        with on_signal(as_interrupt):
            verb(parse(kind, PROGRAM, words[0], words[1:]))
    except DiamondError as error:
        print(f"{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _overview() -> str:
    lines = [f"usage: {PROGRAM} COMMAND [options]", ""]
    lines += [f"  {name:10} {(kind.__doc__ or '').splitlines()[0]}" for name, (kind, _) in VERBS.items()]
    return "\n".join([*lines, "", f"`{PROGRAM} COMMAND --help` tells more."])


def _on_device(args: Train | Bench) -> Config:
    if args.device is None:
        return args.config
    return dataclasses.replace(args.config, compute=dataclasses.replace(args.config.compute, device=args.device))


def _which(word: str) -> Any:
    if word in ("last", "best"):
        return word
    if not word.isdigit():
        raise ConfigError(f"--checkpoint is {word!r}: give last, best or the number of an epoch")
    return int(word)


def _score(summary: dict[str, Any]) -> str:
    mean, low, high = (_figure(summary[name]) for name in ("mean", "low", "high"))
    text = f"mean return {mean} [{low}, {high}] (95 % interval, {summary['n']} games)"
    if summary["human_normalised"] is not None:
        text += f", human-normalised {summary['human_normalised']:.3f}"
    return text


def _figure(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def _print_scores(evaluation: dict[str, Any]) -> None:
    labels = {
        "trained": "trained in the dream",
        "random": "random policy",
        "best_constant": "best constant action",
        "untrained": "untrained network",
    }
    for name, label in labels.items():
        if name in evaluation:
            print(f"{label:22} {_score(evaluation[name])}")
    reference = evaluation.get("reference")
    if reference is not None:
        print(f"{'published references':22} random {reference['random']}, human {reference['human']}")


def _print_cost(cost: dict[str, Any]) -> None:
    from diamond.runs.wording import duration_text, size_text

    spent = {name.replace("_", " "): seconds for name, seconds in cost["phase_seconds"].items()}
    spent["scoring and report"] = cost["finishing_seconds"]
    parts = ", ".join(f"{name} {duration_text(seconds)}" for name, seconds in spent.items())
    print(f"{'time':22} {duration_text(cost['training_seconds'] + cost['finishing_seconds'])} in all: {parts}")
    print(f"{'peak memory':22} {size_text(cost['peak_memory_bytes'])}")


def _last_checkpoint(path: Path) -> str:
    """Where a stopped run can go on from."""
    from diamond.runs.checkpoint import newest_checkpoint

    if not (path / "run.json").is_file():
        return ""
    newest = newest_checkpoint(path / "checkpoints")
    found = "no checkpoint was written yet" if newest is None else f"the newest checkpoint is {newest.when}"
    return f"; {found}, go on with `{PROGRAM} train --resume {path}`"


def _require_writable(path: Path | None) -> None:
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: its folder does not exist, make it first")
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder, name a file in it")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path} cannot be written: its folder is not yours to write to, choose another")


def _game_counter() -> Callable[[int, int], None]:
    from diamond.runs.progress import Progress

    return Progress().games


if __name__ == "__main__":
    main()
