"""The published DIAMOND at work, to be timed from another process: `python reference_worker.py`, then JSON lines.

This file is run by itself, by the Python that has what the published code needs, and imports nothing of this package.
The checkout is used as it is: its agent, data set, batch sampler, data loader, optimisers and world model environment,
compiled as its own configuration compiles it. What stands in for a package that is missing here, and what else differs,
is told in the first answer (`shims`).

    in   {"source": "...", "device": "cpu", "threads": 0, "num_actions": 4, "config": {...}}
    out  {"torch": "2.13.0", "shims": ["..."]}
    in   {"work": "denoiser", "seconds": 1.0}
    out  {"rate": 12.3}

`config` is what `diamond.config.to_dict` gives; a rate is in calls a second, over at least one call.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

EPISODES, EPISODE_STEPS = 16, 250
"""The invented experience that the published code trains on: noise, a reward in twenty steps, no early end."""
PRELOADED_BATCHES = 8
"""Windows for which start segments are drawn at once (published: 256), so that every timed window bears its share."""
NOT_NEEDED = ("cv2", "h5py", "huggingface_hub", "hydra", "omegaconf", "pygame", "torcheval", "tqdm", "wandb")
"""Packages that the published code imports, and that the timed work can do without."""


class Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that are not installed: anything may be imported from them, nothing works but what is
    given here."""

    def __init__(self) -> None:
        self.used: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Last in line, so asked only for what was not found."""
        if name.split(".")[0] not in NOT_NEEDED:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty module in which every name is found."""
        self.used.append(spec.name)
        module = ModuleType(spec.name)
        module.__getattr__ = _name_of_missing  # type: ignore[method-assign]
        if spec.name == "torcheval.metrics.functional":
            module.multiclass_confusion_matrix = confusion_matrix  # type: ignore[attr-defined]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def _name_of_missing(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    return _refuse


def _refuse(*args: object, **kwargs: object) -> object:
    raise RuntimeError("a package that is not installed was needed after all")


def confusion_matrix(scores: torch.Tensor, target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Counts of (target, prediction)."""
    pairs = target * num_classes + scores.argmax(dim=1)
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


class Published:
    """The published agent with everything that trains it."""

    def __init__(self, spec: dict[str, Any], folder: Path) -> None:
        self.config, self.device = spec["config"], torch.device(spec["device"])
        self.num_actions = int(spec["num_actions"])
        load = importlib.import_module
        self.envs, self.models, self.data, self.utils = (
            load("envs"),
            load("models.diffusion"),
            load("data"),
            load("utils"),
        )
        self.agent = self._agent(load).to(self.device)
        self.dataset = self._dataset(folder)
        self.rl_env = self._world_model_env(self.config["imagination"]["num_envs"])
        self.single = self._world_model_env(1)
        self.single.reset()
        training, actor_critic = self.config["denoiser"], self.config["actor_critic"]
        self.agent.setup_training(
            self.models.SigmaDistributionConfig(
                training["training_sigma_log_mean"],
                training["training_sigma_log_std"],
                training["training_sigma_min"],
                training["training_sigma_max"],
            ),
            load("models.actor_critic").ActorCriticLossConfig(
                actor_critic["window"],
                actor_critic["discount"],
                actor_critic["lambda_"],
                actor_critic["value_weight"],
                actor_critic["entropy_weight"],
            ),
            self.rl_env,
        )
        context = training["context_length"]
        self.networks = {
            "denoiser": self.agent.denoiser,
            "reward_model": self.agent.rew_end_model,
            "actor_critic": self.agent.actor_critic,
        }
        self.optimisers = {name: self._optimiser(name) for name in self.networks}
        self.loaders = {
            "denoiser": iter(self._loader("denoiser", context + training["autoregressive_steps"], False)),
            "reward_model": iter(self._loader("reward_model", self.config["reward_model"]["segment_length"], True)),
        }
        self.action = torch.zeros(1, dtype=torch.long, device=self.device)
        self.work: dict[str, Callable[[], object]] = {
            "imagination": self.imagine,
            "denoiser": lambda: self.update("denoiser"),
            "reward_model": lambda: self.update("reward_model"),
            "actor_critic": lambda: self.update("actor_critic"),
            "replay": lambda: next(self.loaders["denoiser"]).to(self.device),
            "single_dream": lambda: self.single.step(self.action),
        }

    def imagine(self) -> object:
        """One window of the published actor-critic's own loop, without gradient."""
        with torch.no_grad():
            return self.agent.actor_critic.env_loop.send(self.config["actor_critic"]["window"])

    def update(self, name: str) -> None:
        """One step as in the published trainer."""
        model, (optimiser, schedule) = self.networks[name], self.optimisers[name]
        model.train()
        batch = next(self.loaders[name]).to(self.device) if name in self.loaders else None
        loss, _ = model() if batch is None else model(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), self.config["updates"][name]["max_gradient_norm"])
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()

    def time(self, name: str, seconds: float) -> float:
        """Calls a second over at least `seconds`."""
        run, calls, elapsed = self.work[name], 0, 0.0
        self.wait()
        start = time.perf_counter()
        while calls == 0 or elapsed < seconds:
            run()
            self.wait()
            calls, elapsed = calls + 1, time.perf_counter() - start
        return calls / elapsed

    def wait(self) -> None:
        """Until the device has done what it was asked to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _agent(self, load: Callable[[str], ModuleType]) -> Any:
        unet, reward, actor = self.config["denoiser"]["unet"], self.config["reward_model"], self.config["actor_critic"]
        size, actions = self.config["env"]["height"], self.num_actions
        inner = self.models.InnerModelConfig(
            img_channels=3,
            num_steps_conditioning=self.config["denoiser"]["context_length"],
            cond_channels=unet["condition_channels"],
            depths=unet["depths"],
            channels=unet["channels"],
            attn_depths=[int(attention) for attention in unet["attention"]],
        )
        denoiser = self.config["denoiser"]
        module = load("agent")
        return module.Agent(
            module.AgentConfig(
                denoiser=self.models.DenoiserConfig(inner, denoiser["sigma_data"], denoiser["sigma_offset"]),
                rew_end_model=load("models.rew_end_model").RewEndModelConfig(
                    lstm_dim=reward["lstm_size"],
                    img_channels=3,
                    img_size=size,
                    cond_channels=reward["condition_channels"],
                    depths=reward["depths"],
                    channels=reward["channels"],
                    attn_depths=[int(attention) for attention in reward["attention"]],
                ),
                actor_critic=load("models.actor_critic").ActorCriticConfig(
                    lstm_dim=actor["lstm_size"],
                    img_channels=3,
                    img_size=size,
                    channels=actor["channels"],
                    down=[int(down) for down in actor["downsample"]],
                ),
                num_actions=actions,
            )
        )

    def _dataset(self, folder: Path) -> Any:
        dataset, size = self.data.Dataset(folder, cache_in_ram=True), self.config["env"]["height"]
        generator = torch.Generator().manual_seed(0)
        for _ in range(EPISODES):
            end = torch.zeros(EPISODE_STEPS, dtype=torch.uint8)
            end[-1] = 1
            dataset.add_episode(
                self.data.Episode(
                    obs=torch.rand(EPISODE_STEPS, 3, size, size, generator=generator) * 2 - 1,
                    act=torch.randint(self.num_actions, (EPISODE_STEPS,), generator=generator),
                    rew=(torch.rand(EPISODE_STEPS, generator=generator) < 0.05).float(),
                    end=end,
                    trunc=torch.zeros_like(end),
                    info={"final_observation": torch.zeros(3, size, size)},
                )
            )
        return dataset

    def _loader(self, name: str, length: int, beyond_end: bool, batch_size: int | None = None) -> Any:
        weights = list(self.config["replay"]["age_weights"])
        size = batch_size or self.config["updates"][name]["batch_size"]
        sampler = self.data.BatchSampler(self.dataset, 0, 1, size, length, weights, can_sample_beyond_end=beyond_end)
        return torch.utils.data.DataLoader(
            dataset=self.dataset,
            batch_sampler=sampler,
            collate_fn=self.data.collate_segments_to_batch,
            pin_memory=self.device.type == "cuda",
        )

    def _optimiser(self, name: str) -> tuple[Any, Any]:
        cfg = self.config["updates"][name]
        optimiser = self.utils.configure_opt(
            self.networks[name], cfg["learning_rate"], cfg["weight_decay"], cfg["epsilon"]
        )
        return optimiser, self.utils.get_lr_sched(optimiser, cfg["warmup_updates"])

    def _world_model_env(self, num_envs: int) -> Any:
        sampler = self.config["sampler"]
        cfg = self.envs.WorldModelEnvConfig(
            horizon=self.config["imagination"]["horizon"],
            num_batches_to_preload=PRELOADED_BATCHES,
            diffusion_sampler=self.models.DiffusionSamplerConfig(
                num_steps_denoising=sampler["num_steps"],
                sigma_min=sampler["sigma_min"],
                sigma_max=sampler["sigma_max"],
                rho=sampler["rho"],
                order=sampler["order"],
                s_churn=sampler["s_churn"],
                s_tmin=sampler["s_tmin"],
                s_tmax=float(sampler["s_tmax"]),
                s_noise=sampler["s_noise"],
            ),
        )
        loader = self._loader("actor_critic", self.config["denoiser"]["context_length"], False, num_envs)
        env = self.envs.WorldModelEnv(self.agent.denoiser, self.agent.rew_end_model, loader, cfg)
        env.predict_next_obs = torch.compile(env.predict_next_obs, mode="reduce-overhead")
        predict = torch.compile(env.predict_rew_end, mode="reduce-overhead")

        def predict_without_ends(next_obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            reward, end = predict(next_obs)
            return reward, torch.zeros_like(end)

        env.predict_rew_end = predict_without_ends
        return env


def main() -> None:
    """Answer on what was standard output; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    spec = json.loads(sys.stdin.readline())
    missing = Missing()
    sys.meta_path.append(missing)
    sys.path.insert(0, str(Path(spec["source"]) / "src"))
    if spec["threads"]:
        torch.set_num_threads(spec["threads"])
    torch.backends.cuda.matmul.allow_tf32 = True  # as the published trainer sets it
    # PyTorch has dropped an argument that the published code still gives.
    torch.utils.data.Sampler.__init__ = lambda self, data_source=None: None  # type: ignore[method-assign,misc]
    try:
        with tempfile.TemporaryDirectory() as folder:
            published = Published(spec, Path(folder))
            shims = [f"{name} is not installed: stood in for" for name in missing.used]
            shims.append("torch.utils.data.Sampler takes an argument again that PyTorch has dropped")
            shims.append("ends that the untrained reward model predicts are ignored: after training they are rare")
            shims.append(f"start segments are preloaded for {PRELOADED_BATCHES} windows in place of 256")
            answer(torch=torch.__version__, shims=shims)
            for line in sys.stdin:
                command = SimpleNamespace(**json.loads(line))
                answer(rate=published.time(command.work, command.seconds))
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
