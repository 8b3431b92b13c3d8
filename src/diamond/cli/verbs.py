"""One function a verb of the command line, for the options in `options`; what they do is in the packages.

What can be refused without PyTorch is refused before it is imported: that takes a second or more.
"""

import contextlib
import dataclasses
import functools
import os
from pathlib import Path

from diamond.cli.options import Bench, Benchmark, Dream, Evaluate, Export, Fidelity, Play, Presets, Report, Study, Train
from diamond.cli.scores import score_text
from diamond.config import Config
from diamond.config.presets import DEFAULT_PRESET, PRESETS
from diamond.errors import ConfigError
from diamond.interop import hub
from diamond.runs.folder import RunFolder, newest_run


def evaluate(args: Evaluate) -> None:
    """Score an agent."""
    _require_writable(args.json, args.video)
    run = _source(args.run)

    from diamond.evaluation.scores import score
    from diamond.loading import load
    from diamond.reports.video import write_video
    from diamond.runs.files import write_json
    from diamond.runs.progress import Progress

    agent = load(run, args.checkpoint, args.device)
    if args.game is not None:
        env = dataclasses.replace(agent.config.env, game=args.game, id=None)
        agent.config = dataclasses.replace(agent.config, env=env)
    frames = 10_000 if args.video is not None else 0
    summary, games = score(
        agent, args.episodes, args.seed, args.mode, args.temperature, args.max_steps, frames, Progress().games
    )
    if args.json is not None:
        trained_by = agent.config.seed if Path(run).is_dir() else None  # a published file does not say
        write_json(args.json, {"game": agent.config.env.name, "training_seed": trained_by, "trained": summary})
    if args.video is not None and games.first_game is not None:
        write_video(args.video, games.first_game, scale=max(1, 256 // agent.config.env.height))
    print(f"{run}, {agent.config.env.name}: {score_text(summary)}")


def dream(args: Dream) -> None:
    """Real beside imagined."""
    _require_writable(args.out)
    if args.out.suffix != ".mp4":
        raise ConfigError(f"--out is {str(args.out)!r}: give a file that ends in .mp4")
    run = _source(args.run)

    from diamond.agents.recording import RECORDED_STEPS, record_real
    from diamond.evaluation.fidelity.segments import real_beside_dream
    from diamond.loading import load
    from diamond.reports.video import FRAMES_PER_SECOND, side_by_side, write_video

    agent = load(run, args.checkpoint, args.device)
    recording = record_real(agent, args.seed, max(RECORDED_STEPS, 2 * args.steps), num_envs=4)
    real, dreamed = real_beside_dream(agent, recording, args.steps, args.seed)
    scale = max(1, 256 // agent.config.env.height)
    write_video(args.out, side_by_side(real, dreamed, scale=scale), FRAMES_PER_SECOND)
    why = "" if len(real) == args.steps else "; no recorded game is longer"
    print(f"{args.out}: {len(real)} steps of {agent.config.env.name}, real beside dreamed by {run}{why}")


def fidelity(args: Fidelity) -> None:
    """How far a dream can be trusted."""
    run = _source(args.run)

    from diamond.evaluation.fidelity.instruments import Instruments
    from diamond.evaluation.fidelity.plan import Plan
    from diamond.reports.fidelity_folder import report_fidelity
    from diamond.reports.fidelity_summary import summary
    from diamond.runs.progress import Progress

    plan = Plan(args.games, args.steps, args.contexts, args.seed)
    instruments = Instruments.open(args.lpips, args.features, args.device)
    record, page = report_fidelity(
        run,
        plan,
        args.out,
        data=args.data,
        instruments=instruments,
        which=args.checkpoint,
        device=args.device,
        game=args.game,
        progress=Progress().counted,
    )
    print("\n".join(summary(record)))
    print(f"report: {page}")


def play(args: Play) -> None:
    """Serve the page until Ctrl-C."""
    if args.run is not None:
        _source(args.run)

    from diamond.play.server.listening import bind

    with bind(args.host, args.port) as listening:
        from diamond.play.game.source import load_source
        from diamond.play.server.room_manager import Limits, RoomManager
        from diamond.play.server.server import serve

        limits = Limits(args.sessions, args.viewers, 60 * args.idle_minutes)
        source = functools.partial(load_source, args.run, args.checkpoint, args.device, args.game, print)
        rooms = RoomManager(source, args.seed, limits)
        with contextlib.suppress(KeyboardInterrupt):
            serve(rooms, listening, lambda address: _announce(rooms.source.title, address, args.open))
    print("diamond: ended")


def export(args: Export) -> None:
    """A dream to take along."""
    _source(args.run)

    from diamond.export.folder import export as write
    from diamond.export.folder import require_ready
    from diamond.play.game.source import load_source

    require_ready(args.dir)
    source = load_source(args.run, args.checkpoint, "cpu", args.game, print, fused=False)
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
    runs = list(args.runs) or [newest_run()]
    for run in runs:
        RunFolder.open(run)

    from diamond.reports import build_report

    # One run's own page stays as it is when it is compared with others.
    out = args.out or (runs[0] if len(runs) == 1 else runs[0].parent) / "report.html"
    print(f"report: {build_report(runs, out)}")


def bench(args: Bench) -> None:
    """Speeds of this machine."""
    _require_writable(args.json)

    from diamond.lab import speed
    from diamond.runs.files import write_json

    if args.play:
        from diamond.lab.speed.latency import measure

        measured = measure(on_device(args), (1, 8), print)
    else:
        measured = speed.bench(on_device(args), args.blocks, args.seconds, print, args.reference, args.reference_python)
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


def _source(named: Path | None) -> Path:
    """A run, file or hub name to take an agent from; by default the newest run that has a checkpoint.

    Raises:
        RunError: it is neither a file nor a run, or there is no run.
    """
    if named is None:
        return newest_run(usable=True)
    if not hub.is_name(named) and not named.is_file():
        RunFolder.open(named)
    return named


def _require_writable(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before any long work."""
    for path in filter(None, paths):
        folder = path.absolute().parent
        if not folder.is_dir():
            raise ConfigError(f"{path} cannot be written: its folder does not exist, make it first")
        if path.is_dir():
            raise ConfigError(f"{path} cannot be written: it is a folder, name a file in it")
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"{path} cannot be written: its folder is not yours to write to, choose another")


def on_device(args: Train | Bench) -> Config:
    """The configuration with `--device`, if it is given, as `--compute.device`."""
    if args.device is None:
        return args.config
    return dataclasses.replace(args.config, compute=dataclasses.replace(args.config.compute, device=args.device))
