"""How fast this machine trains and dreams, and what share of its own ceilings that is.

All kinds of work are timed in turn, block by block, so that a machine whose speed drifts treats them alike. A figure is
the median over blocks, with the lowest and highest beside it. Nothing here is a test: speeds are measured, never
asserted.

Units  rates are per second; FLOP counts a multiply-add as two operations, in matrix products, convolutions and
       attention; the recurrent layers are not counted
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import Config
from diamond.envs import make_env
from diamond.imagination.dream import begin, dream_step
from diamond.imagination.world import WorldModel, draw_noise
from diamond.lab.speed.reference import Reference
from diamond.runs.metrics import peak_memory
from diamond.runs.provenance import machine, median, number, origin
from diamond.training.algorithm import Collect, Update, algorithm_1
from diamond.training.phases import Phase
from diamond.training.trainer import Trainer

Row = dict[str, Any]
"""One measurement: metric, value, low, high, n, and where it applies share_of_matrix_product or share_of_copy."""

MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrix product that stands for the most arithmetic this device can do."""
COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""Bytes of the copy that stands for the most memory traffic this device can do."""
PUBLISHED = "published code"
"""Part of the name of each metric that compares with it."""
REAL_STEPS = 50
"""Real steps in one call of the timed work, per environment."""


@dataclass
class Work:
    """Something to time: `run` does `units` of it."""

    metric: str
    run: Callable[[], object]
    units: float
    flop: float = 0.0
    """Arithmetic of one call."""
    traffic: float = 0.0
    """Bytes that one call has to read and write."""
    invert: bool = False
    """Give milliseconds a unit instead of units a second."""
    published: str | None = None
    """What the published code calls the same work, if it can do it (`reference_worker.Published.work`)."""
    rates: list[float] = field(default_factory=list)
    """Calls per second of each block."""
    published_rates: list[float] = field(default_factory=list)
    """The same for the published code, right after each block."""

    def time_block(self, seconds: float, wait: Callable[[], None]) -> None:
        """Repeat the work for at least `seconds`, and at least once."""
        calls, elapsed = 0, 0.0
        wait()
        start = time.perf_counter()
        while calls == 0 or elapsed < seconds:
            self.run()
            wait()
            calls, elapsed = calls + 1, time.perf_counter() - start
        self.rates.append(calls / elapsed)

    def row(self, operations: float, bandwidth: float) -> Row:
        """The figure, beside ceilings in FLOP and bytes per second."""
        row = median(self.metric, self._figures(self.rates))
        calls = statistics.median(self.rates)
        if self.flop:
            row["flop_per_second"] = calls * self.flop
            row["share_of_matrix_product"] = calls * self.flop / operations
        if self.traffic:
            row["share_of_copy"] = calls * self.traffic / bandwidth
        return row

    def comparison(self) -> list[Row]:
        """The published code's figure, and how many times faster ours is, block by block."""
        if not self.published_rates:
            return []
        ratios = [ours / theirs for ours, theirs in zip(self.rates, self.published_rates, strict=True)]
        return [
            median(f"{self.metric}, {PUBLISHED}", self._figures(self.published_rates)),
            median(f"{self.metric}, times faster than the {PUBLISHED}", ratios),
        ]

    def _figures(self, rates: list[float]) -> list[float]:
        return [1000 / (rate * self.units) if self.invert else rate * self.units for rate in rates]


def bench(
    config: Config,
    blocks: int,
    seconds: float,
    say: Callable[[str], None],
    published: Path | None = None,
    published_python: str | None = None,
) -> list[Row]:
    """Time every part of training `config`, and its dream as a player meets it.

    Args:
        blocks: measurements of each figure.
        seconds: least duration of a measurement.
        say: told what is going on.
        published: a checkout of the published code, to be timed in alternation; see `reference.Reference`.
        published_python: the interpreter for it.

    Returns:
        JSON-ready rows: each with `command`, `commit`, `machine`, `seed`, `metric`, `value`, `low`, `high`, `n` as all
        committed results, with `share_of_matrix_product` or `share_of_copy` where they apply, and `published_torch`
        and `published_shims` where the published code has a part in it.

    Raises:
        DeviceError, EnvError: the device or the environment is not there.
    """
    device = choose_device(config.compute)
    facts = machine(kernels.in_use(config.compute, device))
    say(f"on {device} ({facts['gpu'] or facts['processor']}, {facts['threads']} threads, PyTorch {facts['torch']})")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        env = stack.enter_context(closing(make_env(config.env, config.env.num_envs, training=True)))
        reference = None
        if published is not None:
            say("starting the published code")
            reference = Reference(published, published_python, config, str(device), env.num_actions)
            stack.callback(reference.close)
        say(f"playing {config.env.name} for data")
        trainer = Trainer(config, env, folder, device)
        trainer.begin()
        trainer.collect(4 * config.reward_model.segment_length * config.updates.reward_model.batch_size)
        phases = algorithm_1(trainer)
        training = _training(trainer, phases)
        for item in training:
            item.run()  # warm up: caches, compilation, the first carry of the dreams
            if reference is not None and item.published is not None:
                reference.rate(item.published, 0.0 if device.type == "cpu" else seconds)
        memory = peak_memory()  # before the ceilings take theirs
        ceilings = (_matrix_product(device), _copy(device))
        for item in ceilings:
            item.run()  # warm up: the memory they write to
        work = [*ceilings, *training]
        say(f"timing {len(work)} kinds of work, {blocks} blocks of {seconds:g} s each")
        for block in range(blocks):
            for item in work:
                item.time_block(seconds, lambda: _wait(device))
                if reference is not None and item.published is not None:
                    item.published_rates.append(reference.rate(item.published, seconds))
            say(f"block {block + 1} of {blocks} done")
    matrix, copy = ceilings
    operations, bandwidth = statistics.median(matrix.rates) * matrix.flop, statistics.median(copy.rates) * copy.traffic
    rows = [row for item in work for row in (item.row(operations, bandwidth), *item.comparison())]
    rows.append(_epoch(phases, {item.metric: statistics.median(item.rates) * item.units for item in training}))
    rows.append(number("peak memory (bytes)", float(memory)))
    common = origin(config.seed, facts["fused"])
    theirs = {} if reference is None else {f"published_{name}": fact for name, fact in reference.facts.items()}
    return [common | row | (theirs if PUBLISHED in row["metric"] else {}) for row in rows]


STEPS = "real environment steps/s, policy included"


def metric(phase: Phase) -> str:
    """The metric of a phase's speed."""
    if isinstance(phase, Collect):
        return STEPS
    return f"{phase.label}/s{', imagination included' if phase.imagined_frames else ''}"


def _training(trainer: Trainer, phases: list[Phase]) -> list[Work]:
    """What training consists of, and the step of a single dream."""
    config = trainer.config
    updates = [phase for phase in phases if isinstance(phase, Update)]
    real_steps = REAL_STEPS * config.env.num_envs
    with _without_kernels(trainer):
        dream_flop, flop = _count(trainer.dream_window), {item.name: _count(item.update) for item in updates}
    return [
        Work(
            "imagined frames/s",
            trainer.dream_window,
            float(config.imagination.num_envs * config.actor_critic.window),
            dream_flop,
            published="imagination",
        ),
        *(Work(metric(item), item.update, 1.0, flop[item.name], published=item.name) for item in updates),
        Work(STEPS, lambda: trainer.collect(real_steps), float(real_steps)),
        _replay_batch(trainer),
        _single_dream(trainer),
    ]


def _matrix_product(device: torch.device) -> Work:
    size = MATRIX_SIZE.get(device.type, MATRIX_SIZE["cpu"])
    a, b, out = (torch.ones(size, size, device=device) for _ in range(3))
    flop = 2.0 * size**3
    return Work("ceiling: FLOP/s of a matrix product in float32", lambda: torch.mm(a, b, out=out), flop, flop)


def _copy(device: torch.device) -> Work:
    source = torch.ones(COPY_BYTES.get(device.type, COPY_BYTES["cpu"]), dtype=torch.uint8, device=device)
    target, traffic = torch.empty_like(source), 2.0 * source.nbytes
    return Work("ceiling: bytes/s of a copy, read and written", lambda: target.copy_(source), traffic, traffic=traffic)


def _replay_batch(trainer: Trainer) -> Work:
    config = trainer.config
    length = config.denoiser.context_length + config.denoiser.autoregressive_steps
    generator = torch.Generator().manual_seed(0)

    def draw() -> Any:
        return trainer.replay.sample(
            config.updates.denoiser.batch_size, length, generator, config.replay.age_weights
        ).frames

    frames = draw()
    return Work("replay batches/s", draw, 1.0, traffic=float(frames.numel() + frames.nbytes), published="replay")


def _single_dream(trainer: Trainer) -> Work:
    """What a player waits for: the next frame, reward and end of one dream."""
    world = trainer.world_model()
    start = trainer.replay.sample(1, trainer.config.denoiser.context_length, torch.Generator().manual_seed(0), ())
    state = begin(world, start)
    action = torch.zeros(1, dtype=torch.long, device=trainer.device)
    noise = draw_noise(state.frames[:, -1].shape, world.sampler_cfg, torch.Generator(trainer.device).manual_seed(0))

    @torch.no_grad()
    def step(world: WorldModel) -> object:
        return dream_step(world, state, action, noise)

    with _without_kernels(trainer):
        plain = trainer.world_model()
    return Work(
        "milliseconds a frame of a single dream",
        lambda: step(world),
        1.0,
        _count(lambda: step(plain)),
        invert=True,
        published="single_dream",
    )


@contextmanager
def _without_kernels(trainer: Trainer) -> Iterator[None]:
    """Only PyTorch's own operations can be counted."""
    copies, trainer.copies = trainer.copies, kernels.Copies(wanted=False)
    try:
        yield
    finally:
        trainer.copies = copies


def _count(run: Callable[[], object]) -> float:
    """FLOP of one call."""
    counter = FlopCounterMode(display=False)
    # What is first met while counting would never be compiled.
    with torch.compiler.set_stance("force_eager"), counter:
        run()
    return float(counter.get_total_flops())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _epoch(phases: list[Phase], rates: dict[str, float]) -> Row:
    """A later epoch of the schedule, put together from its parts; evaluations and checkpoints come on top."""
    seconds = sum(phase.per_epoch / rates[metric(phase)] for phase in phases if phase.per_epoch)
    return number("seconds an epoch, from the rates above", seconds)


def table(rows: list[Row]) -> list[str]:
    """What `bench` measured, as lines of text."""
    lines = [f"{'median':>12} {'lowest':>12} {'highest':>12} {'of ceiling':>10}"]
    for row in rows:
        share = row.get("share_of_matrix_product", row.get("share_of_copy"))
        figures = " ".join(f"{row[name]:12.4g}" for name in ("value", "low", "high"))
        lines.append(f"{figures} {'' if share is None else f'{share:.1%}':>10}  {row['metric']}")
    return lines
