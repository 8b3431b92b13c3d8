"""Where the time of training goes: PyTorch's operations by their own time, for each kind of work.

python benchmarks/profile_training.py --preset laptop --threads 1
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from diamond.compute import choose_device
from diamond.config.presets import preset
from diamond.envs import make_env
from diamond.training.trainer import Trainer

ROWS = 12


def table(name: str, run: Callable[[], object], activities: list[ProfilerActivity], sort: str) -> str:
    """The operations that took longest in one call; what no operation of PyTorch's accounts for is left out."""
    run()
    with profile(activities=activities) as profiler:
        run()
    return f"## {name}\n\n{profiler.key_averages().table(sort_by=sort, row_limit=ROWS, max_name_column_width=50)}"


def main() -> None:
    """Profile a window of the dream and one update of each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--fused", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=False)
    chosen = vars(parser.parse_args())
    config = preset(chosen.pop("preset"))
    config = dataclasses.replace(config, compute=dataclasses.replace(config.compute, **chosen))
    device = choose_device(config.compute)
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with closing(make_env(config.env, 1, training=True)) as env, tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, env, Path(folder), device)
        trainer.begin()
        trainer.collect(1_000)
        for name, run in {
            "a window of the dream": trainer.dream_window,
            "denoiser update": trainer.update_denoiser,
            "reward-model update": trainer.update_reward_model,
            "actor-critic update": trainer.update_actor_critic,
        }.items():
            print(table(name, run, activities, "self_device_time_total" if on_gpu else "self_cpu_time_total"))


if __name__ == "__main__":
    main()
