"""Does bfloat16 learn what float32 learns? The denoiser's held-out loss, three seeds of each, on the same games.

python benchmarks/precision.py --out benchmarks/results/precision.json --picture docs/images/precision.png
"""

import argparse
import dataclasses
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from diamond import kernels
from diamond.compute import choose_device
from diamond.config import Config
from diamond.config.presets import preset
from diamond.diffusion.edm import denoising_loss, draw_training_noise
from diamond.envs import make_env
from diamond.experience.episodes import Episode
from diamond.experience.replay import Replay
from diamond.runs.files import write_atomic, write_json
from diamond.runs.provenance import number, origin
from diamond.training.trainer import Trainer

SEEDS = (0, 1, 2)
GAMES_SEED = 100
HELD_OUT_SEGMENTS = 256


def games(config: Config, steps: int, folder: Path) -> list[tuple[int, Episode]]:
    """Finished episodes of an untrained agent."""
    config = dataclasses.replace(config, seed=GAMES_SEED)
    with closing(make_env(config.env, 1, training=True)) as env:
        trainer = Trainer(config, env, folder, choose_device(config.compute))
        trainer.begin()
        return trainer.collect(steps).episodes


def losses(
    config: Config, seen: list[tuple[int, Episode]], held_out: list[tuple[int, Episode]], updates: int, every: int
) -> list[float]:
    """The held-out loss after every `every` updates, computed in float32."""
    device, cfg = choose_device(config.compute), config.denoiser
    length = cfg.context_length + cfg.autoregressive_steps
    test = Replay(sum(e.num_steps + 1 for _, e in held_out), config.env.height, config.env.width, 1, device)
    test.load(held_out)
    segment = test.sample(HELD_OUT_SEGMENTS, length, torch.Generator().manual_seed(0), ())
    shape = segment.frames[:, cfg.context_length :].shape
    sigma, noise = draw_training_noise(shape, cfg, torch.Generator(device).manual_seed(0))
    measured = []
    with closing(make_env(config.env, 1, training=True)) as env, tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, env, Path(folder), device)
        trainer.replay.load(seen)
        for done in range(1, updates + 1):
            trainer.update_denoiser()
            if done % every == 0:
                with torch.no_grad():
                    network = trainer.acting_agent().denoiser
                    measured.append(float(denoising_loss(network, segment, sigma, noise, cfg)))
    return measured


def main() -> None:
    """Train six denoisers, write and draw their losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--picture", required=True, type=Path)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=6_000, help="of real games")
    parser.add_argument("--updates", type=int, default=1_500)
    parser.add_argument("--every", type=int, default=100)
    arguments = parser.parse_args()

    config = preset(arguments.preset)
    config = dataclasses.replace(config, compute=dataclasses.replace(config.compute, device=arguments.device))
    with tempfile.TemporaryDirectory() as folder:
        episodes = games(config, arguments.steps, Path(folder))
    cut = len(episodes) * 4 // 5
    rows: list[dict[str, Any]] = []
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for bfloat16 in (False, True):
        for seed in SEEDS:
            compute = dataclasses.replace(config.compute, bfloat16=bfloat16)
            seeded = dataclasses.replace(config, seed=seed, compute=compute)
            curve = losses(seeded, episodes[:cut], episodes[cut:], arguments.updates, arguments.every)
            label = "bfloat16" if bfloat16 else "float32"
            steps = [arguments.every * (i + 1) for i in range(len(curve))]
            axes.plot(steps, curve, color="tab:orange" if bfloat16 else "tab:blue", label=None if seed else label)
            names = [f"held-out denoising loss after {step:,} updates, {label}" for step in steps]
            facts = origin(seed, kernels.in_use(compute, choose_device(compute)))
            rows += [facts | number(name, loss) for name, loss in zip(names, curve, strict=True)]
    axes.set(xlabel="updates", ylabel="held-out denoising loss", yscale="log")
    axes.legend()
    write_json(arguments.out, rows)
    write_atomic(arguments.picture, lambda file: figure.savefig(file, format="png", dpi=110))


if __name__ == "__main__":
    main()
