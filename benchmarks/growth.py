"""Does training slow down or swell as it goes on? Speed against the replay's size, memory against updates.

python benchmarks/growth.py --out benchmarks/results/growth.json --picture docs/images/growth.png
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from memory import resident_bytes

from diamond import kernels
from diamond.compute import choose_device
from diamond.config.presets import debug, laptop
from diamond.envs import make_env
from diamond.experience.episodes import Episode
from diamond.runs.files import write_atomic, write_json
from diamond.runs.provenance import median, number, origin
from diamond.training.trainer import Trainer

REPLAYS = [(1_000, 100), (10_000, 1_000), (100_000, 1_000), (10_000, 10), (100_000, 10)]
"""Steps in the replay, and steps in each of its episodes."""
BLOCKS, WINDOWS_A_BLOCK = 7, 4
MEMORY_POINTS = 40


def new_trainer(stack: ExitStack, steps: int, small: bool) -> Trainer:
    """A trainer that has not played yet, with room for `steps`."""
    config = debug() if small else laptop()
    room = max(steps, config.collection.first_epoch_max_steps)
    collection = dataclasses.replace(config.collection, total_steps=room)
    config = dataclasses.replace(config, collection=collection)
    env = stack.enter_context(closing(make_env(config.env, 1, training=True)))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return Trainer(config, env, folder, choose_device(config.compute))


def noise_episodes(steps: int, length: int, height: int, width: int) -> Iterator[tuple[int, Episode]]:
    """Episodes of random pixels, which cost what real ones cost."""
    rng = np.random.default_rng(0)
    for index in range(steps // length):
        yield (
            index,
            Episode(
                frames=rng.integers(0, 256, (length + 1, height, width, 3), dtype=np.uint8),
                actions=rng.integers(0, 3, length),
                rewards=np.zeros(length, np.float32),
                terminated=True,
                truncated=False,
            ),
        )


def speeds(stack: ExitStack) -> list[dict[str, Any]]:
    """Imagined frames/s of the preset laptop for each replay, blocks alternating."""
    trainers = []
    for steps, length in REPLAYS:
        trainer = new_trainer(stack, steps, small=False)
        size = trainer.config.env
        trainer.replay.load(noise_episodes(steps, length, size.height, size.width))
        trainer.dream_window()
        trainers.append(trainer)
    rates: list[list[float]] = [[] for _ in REPLAYS]
    for _ in range(BLOCKS):
        for trainer, measured in zip(trainers, rates, strict=True):
            started = time.perf_counter()
            for _ in range(WINDOWS_A_BLOCK):
                trainer.dream_window()
            frames = WINDOWS_A_BLOCK * trainer.config.actor_critic.window * trainer.config.imagination.num_envs
            measured.append(frames / (time.perf_counter() - started))
    names = [f"imagined frames/s, {steps:,} steps in episodes of {length:,}" for steps, length in REPLAYS]
    return [median(name, measured) for name, measured in zip(names, rates, strict=True)]


def memory(stack: ExitStack, updates: int) -> list[tuple[int, float]]:
    """Updates of each of the preset debug's networks, and the resident bytes after them."""
    trainer = new_trainer(stack, 10_000, small=True)
    trainer.begin()
    trainer.collect(200)
    points = []
    for done in range(1, updates + 1):
        trainer.update_denoiser()
        trainer.update_reward_model()
        trainer.update_actor_critic()
        if done % max(1, updates // MEMORY_POINTS) == 0:
            points.append((done, float(resident_bytes())))
    return points


def draw(rates: list[dict[str, Any]], points: list[tuple[int, float]], picture: Path) -> None:
    """Both as a plot."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for place, row in enumerate(rates):
        left.plot([row["low"], row["high"]], [place, place], color="tab:blue")
        left.plot(row["value"], place, "o", color="tab:blue")
    left.set_yticks(range(len(rates)), [row["metric"].removeprefix("imagined frames/s, ") for row in rates])
    left.set(
        xlabel="imagined frames/s, preset laptop",
        xlim=(0, 1.1 * max(row["high"] for row in rates)),
        title="replay: median, lowest, highest",
    )
    updates, resident = zip(*points, strict=True)
    megabytes = [value / 1e6 for value in resident]
    right.plot(updates, megabytes)
    right.set(xlabel="updates of each network, preset debug", ylabel="resident memory (MB)")
    right.set_ylim(0, 1.2 * max(megabytes))
    right.set_title("memory")
    write_atomic(picture, lambda file: figure.savefig(file, format="png", dpi=110))


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--picture", required=True, type=Path)
    parser.add_argument("--updates", type=int, default=10_000)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        points = memory(stack, arguments.updates)  # first: what was freed before would hide what is taken
        rates = speeds(stack)
    names = [f"resident memory after {done:,} updates of each network (bytes)" for done, _ in points]
    rows = rates + [number(name, resident) for name, (_, resident) in zip(names, points, strict=True)]
    facts = origin(seed=0, fused=kernels.in_use(laptop().compute, choose_device(laptop().compute)))
    write_json(arguments.out, [facts | row for row in rows])
    draw(rates, points, arguments.picture)


if __name__ == "__main__":
    main()
