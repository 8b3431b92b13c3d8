"""The command `diamond`: its verbs, how it trains, and how it ends.

Exit status: 0 done; 1 refused or failed, with one line of ours or a message of tyro's; 130 stopped by a signal.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diamond.cli import verbs
from diamond.cli.arguments import parse, resumed_run
from diamond.cli.interrupts import StopRequest, as_interrupt, on_signal
from diamond.cli.options import Bench, Benchmark, Dream, Evaluate, Export, Fidelity, Play, Presets, Report, Study, Train
from diamond.cli.scores import print_cost, print_scores
from diamond.errors import ConfigError, DataError, DiamondError, DiskError, TrainingError
from diamond.runs.folder import new_run_path, require_free
from diamond.version import __version__

PROGRAM = "diamond"


def train(args: Train) -> None:
    """Train or go on training, then score, compare and report."""
    config, resumed = verbs.on_device(args), resumed_run(args.resume)
    path = resumed or args.run or new_run_path(config)
    if resumed is None:
        require_free(path)

    from diamond.envs import require_known

    require_known(config.env)  # before PyTorch is loaded, so that a wrong name is answered at once

    from diamond.runs.progress import Progress
    from diamond.training.finish import finish
    from diamond.training.loop import train as run_training

    progress, stop = Progress(), StopRequest()
    try:
        with on_signal(stop.ask):
            run = run_training(config, path, resumed is not None, progress, stop.asked)
        evaluation = finish(run, progress.message, config.compute.device)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped{_last_checkpoint(path)}", file=sys.stderr)
        raise SystemExit(130) from None
    except (DataError, DiskError, TrainingError) as stopped:  # what can befall a run that has begun
        raise type(stopped)(f"{stopped}{_last_checkpoint(path)}") from stopped
    print_scores(evaluation)
    print_cost(evaluation["cost"])
    print(f"report: {run.path / 'report.html'}")


VERBS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "train": (Train, train),
    "evaluate": (Evaluate, verbs.evaluate),
    "dream": (Dream, verbs.dream),
    "fidelity": (Fidelity, verbs.fidelity),
    "play": (Play, verbs.play),
    "export": (Export, verbs.export),
    "report": (Report, verbs.report),
    "bench": (Bench, verbs.bench),
    "benchmark": (Benchmark, verbs.benchmark),
    "study": (Study, verbs.study),
    "presets": (Presets, verbs.presets),
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
            verb(parse(kind, f"{PROGRAM} {words[0]}", words[1:]))
    except DiamondError as error:
        print(f"{PROGRAM}: {_one_line(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _overview() -> str:
    lines = [f"usage: {PROGRAM} COMMAND [options]", ""]
    lines += [f"  {name:10} {(kind.__doc__ or '').splitlines()[0]}" for name, (kind, _) in VERBS.items()]
    lines += ["", f"`{PROGRAM} COMMAND --help` tells more.", "Exit status: 0 done, 1 refused or failed, 130 stopped."]
    return "\n".join(lines)


def _one_line(message: str) -> str:
    """A message without line breaks and without characters that steer a terminal: it may quote what someone sent."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))


def _last_checkpoint(path: Path) -> str:
    """Where a stopped run can go on from."""
    from diamond.runs.checkpoint import newest_checkpoint

    if not (path / "run.json").is_file():
        return ""
    newest = newest_checkpoint(path / "checkpoints")
    found = "no checkpoint was written yet" if newest is None else f"the newest checkpoint is {newest.when}"
    return f"; {found}, go on with `{PROGRAM} train --resume {path}`"


if __name__ == "__main__":
    main()
