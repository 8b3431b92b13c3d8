"""What each verb of the command line can be told: one dataclass a verb, read by `arguments.parse`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from diamond.config import Config
from diamond.config.ranges import AtLeast, Between, Checked, Positive
from diamond.lab.studies.scale import Scale
from diamond.runs.folder import Which

Resume = Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[RUN]")]
"""An option that may be given without a value: None if it is not given, () if it is given alone."""


@dataclass(frozen=True)
class Train(Checked, prefix="--"):
    """Train an agent in its own dream; with no argument, a small one that suits a laptop, on MinAtar Breakout."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    run: Path | None = None
    """Folder for the run; by default a new one under `runs/`."""
    resume: Resume = None
    """Continue the run in this folder, or the newest run. You may lengthen the schedule; other changes are refused."""
    device: str | None = None
    """Short for --compute.device."""


@dataclass(frozen=True)
class Evaluate(Checked, prefix="--"):
    """Play whole real games with a trained agent and print its score."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Run folder, published `.pt` file, or its name on the hub, `hf:OWNER/REPO/Game`; by default the newest run."""
    episodes: Annotated[int, AtLeast(1)] = 100
    """Games to play."""
    mode: Literal["sampled", "greedy"] = "sampled"
    """Draw actions from the policy, or take its most probable one."""
    temperature: Annotated[float, Positive()] = 1.0
    """Divides the policy's logits before an action is drawn; towards 0 it becomes greedy."""
    max_steps: Annotated[int | None, AtLeast(1)] = None
    """Agent steps after which a game is cut off; by default the run's."""
    checkpoint: Which = "last"
    """`last`, `best`, or the number of an epoch."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Seed of the games and of the sampled actions."""
    device: str = "auto"
    """Device to run on."""
    game: str | None = None
    """Atari game to play; by default the run's, or the one that a published `.pt` file is named after."""
    json: Path | None = None
    """Also write the scores of all games to this file."""
    video: Path | None = None
    """Also write the first game to this MP4 file."""


@dataclass(frozen=True)
class Dream(Checked, prefix="--"):
    """Write a video of the real game beside the dream, from the same frames under the same actions."""

    out: Path
    """MP4 file to write."""
    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Run folder; by default the newest run."""
    steps: Annotated[int, AtLeast(1)] = 150
    """Steps to dream; fewer are shown if no real game lasts that long."""
    checkpoint: Which = "last"
    """`last`, `best`, or the number of an epoch."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Seed of the real game and of the dream."""
    device: str = "auto"
    """Device to run on."""


@dataclass(frozen=True)
class Fidelity(Checked, prefix="--"):
    """Measure how far a dream can be trusted, on real games that it was never trained on."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Run folder, published `.pt` file, or its name on the hub, `hf:OWNER/REPO/Game`; by default the newest run."""
    data: Path | None = None
    """Folder of recorded real games to measure on; by default fresh ones are played."""
    games: Annotated[int, AtLeast(10)] = 16
    """Real games to play with the agent, and as many with random actions; at least 10."""
    steps: Annotated[int, AtLeast(1)] = 1_100
    """Steps after which a real game is cut off; curves end at 1,000 steps ahead."""
    contexts: Annotated[int, AtLeast(1)] = 256
    """Real moments, spread over the games, at which every action is tried."""
    lpips: Path | None = None
    """Weights of LPIPS, written by `tools/convert_lpips.py`, to measure it too."""
    features: Path | None = None
    """ONNX file of a network, to measure the Fréchet distance of its features: FID for frames, FVD for videos."""
    out: Path | None = None
    """Folder to write; by default `fidelity` in the run's folder. Only an older result is overwritten."""
    checkpoint: Which = "last"
    """`last`, `best`, or the number of an epoch."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Seed of the games, of the dream's noise and of the intervals."""
    device: str = "auto"
    """Device to run on."""
    game: str | None = None
    """Atari game to measure on; by default the run's, or the one that a published `.pt` file is named after."""


@dataclass(frozen=True)
class Play(Checked, prefix="--"):
    """Play a dream in the browser; with no run of your own, a small one that comes with the package."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Run folder, published `.pt` file or its name on the hub, `hf:OWNER/REPO/Game`; by default the newest run, else
    the one that comes with the package."""
    host: str = "127.0.0.1"
    """Address to listen on. For any but this machine's own, visitors need the token in the printed address."""
    port: Annotated[int, Between(0, 65_535)] = 8000
    """Port to listen on; 0 takes any that is free."""
    open: bool = False
    """Open the page in the browser."""
    checkpoint: Which = "last"
    """`last`, `best`, or the number of an epoch."""
    game: str | None = None
    """Atari game of a published `.pt` file that is not named after it."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Seed of the first game."""
    device: str = "auto"
    """Device to run on."""
    sessions: Annotated[int, AtLeast(1)] = 8
    """Games at the same time; every page that is opened anew is one."""
    viewers: Annotated[int, AtLeast(1)] = 16
    """Pages that may look at one game."""
    idle_minutes: Annotated[float, Positive()] = 30.0
    """Minutes without a button or a setting, after which a game is ended."""


@dataclass(frozen=True)
class Export(Checked, prefix="--"):
    """Write a dream as a page that plays it without a server, or as ONNX files."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, published `.pt` file, or its name on the hub, `hf:OWNER/REPO/Game`."""
    dir: Annotated[Path, tyro.conf.Positional]
    """New folder to write; it may exist if it is empty."""
    format: Literal["web", "onnx"] = "web"
    """A page for any web server with all that it needs, or the networks alone."""
    half: bool = False
    """Store the weights with 16 bits: half the size. Arithmetic still uses 32 bits."""
    checkpoint: Which = "last"
    """`last`, `best`, or the number of an epoch."""
    game: str | None = None
    """Atari game of a published `.pt` file that is not named after it."""


@dataclass(frozen=True)
class Report(Checked, prefix="--"):
    """Write one self-contained HTML page about one or several runs, finished or not."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Run folders; by default the newest run."""
    out: Path | None = None
    """Page to write; by default `report.html` in the run's folder, for several runs beside the first run's folder."""


@dataclass(frozen=True)
class Bench(Checked, prefix="--"):
    """Measure how fast this machine trains and dreams, compared with a matrix product and a copy."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    blocks: Annotated[int, AtLeast(1)] = 5
    """Measurements of each figure; the median is printed, the lowest and the highest beside it."""
    seconds: Annotated[float, Positive(1e-9)] = 1.0
    """Least duration of a measurement."""
    json: Path | None = None
    """Also write all figures to this file."""
    device: str | None = None
    """Short for --compute.device."""
    play: bool = False
    """Measure playing instead: from reading the buttons to the picture on the page, for 1 and for 8 viewers."""
    reference: Path | None = None
    """Checkout of the published code (github.com/eloialonso/diamond at 5bcd159) to time in alternation."""
    reference_python: str | None = None
    """Python interpreter for it; by default this one."""


@dataclass(frozen=True)
class Benchmark(Checked, prefix="--"):
    """Atari 100k: plan its 26 x 5 runs, or put results beside 30 published methods, in a table and figures."""

    what: Annotated[Literal["plan", "table"], tyro.conf.Positional]
    """`plan` writes the runs as JSON; `table` compares results, or the published methods alone."""
    results: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Run folders, or files written by `diamond evaluate --json`: one training run of one game each."""
    out: Path | None = None
    """File to write: `.json` for a plan; `.md`, `.json` or `.html` for a table. By default text is printed."""
    name: str = "this run"
    """What to call these results."""
    methods: tuple[str, ...] = ()
    """Published methods to show; by default all."""
    games: tuple[str, ...] = ()
    """Games to plan or to compare on; by default all 26."""
    resamples: Annotated[int, AtLeast(1)] = 2_000
    """Resamples of the bootstrap behind the intervals."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Seed of the bootstrap."""


@dataclass(frozen=True)
class Study(Checked, prefix="--"):
    """Repeat one of the paper's analyses at any scale; if you stop it, the same command continues."""

    what: Annotated[str, tyro.conf.Suppress]
    scale: Annotated[Scale, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the study; by default one named after study and game under `runs/`."""
    game: str | None = None
    """Atari game; by default one of the paper's for this study."""
    frames: Path | None = None
    """Study consistency alone: count in these frames instead, a .npy or .npz file or a folder of PNG pictures of any
    world model, and print JSON."""


@dataclass(frozen=True)
class Presets(Checked, prefix="--"):
    """List the presets of `diamond train`."""
