"""`diamond fidelity`: from the name of a dream to its measurements."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from diamond import kernels
from diamond.agents.agent import Agent
from diamond.compute import parse_device
from diamond.config import to_dict
from diamond.errors import DataError
from diamond.evaluation.fidelity.games import digest, with_familiar
from diamond.evaluation.fidelity.instruments import Instruments
from diamond.evaluation.fidelity.measure import FORMAT_VERSION, KIND, Result, measure
from diamond.evaluation.fidelity.plan import Plan, Progress, fresh_sets, recorded_set
from diamond.experience.episodes import EpisodeFolder
from diamond.interop import hub
from diamond.loading import agent_of, choose_checkpoint, load
from diamond.runs.folder import RunFolder, Which
from diamond.runs.provenance import origin
from diamond.runs.streams import derive_seed
from diamond.version import __version__


def measure_fidelity(
    path: Path | str,
    plan: Plan,
    data: Path | None = None,
    instruments: Instruments | None = None,
    which: Which = "last",
    device: str = "auto",
    game: str | None = None,
    progress: Progress = lambda what, done, wanted: None,
) -> Result:
    """Measure how far a dream can be trusted on real games that it was never trained on (docs/fidelity.md).

    Args:
        path: as for `loading.load`.
        plan: how much to measure.
        data: folder of recorded real games to measure on; by default fresh ones are played.
        instruments: networks that judge frames, if any.
        game: Atari game to measure on; by default the run's, or the one that a published file is named after.
        progress: told what takes long.

    Raises:
        DataError: `data` cannot be used, or no game lasts long enough.
        RunError, DeviceError, EnvError: see `loading.load` and `envs.make_env`.
    """
    run = run_of(path)
    if run is None:
        agent, checkpoint = load(path, which, device), None
    else:  # chosen once: a run that goes on has a newer one when this ends
        checkpoint = choose_checkpoint(run, which)
        agent = kernels.for_inference(agent_of(run, checkpoint).to(parse_device(device)))
    instruments = instruments or Instruments()
    if game is not None:
        agent.config = replace(agent.config, env=replace(agent.config.env, game=game, id=None))
    instruments.require_fitting(agent.config.env.height, agent.config.env.width)

    def seed_of(*names: str) -> int:
        return derive_seed(plan.seed, "fidelity", *names) % 2**31

    known = set() if run is None else _known_games(run)
    if data is None:
        sets = fresh_sets(agent, plan, seed_of, progress)
        sets = [with_familiar(games, known) for games in sets]
    else:
        _require_held_out(run, agent, data)
        sets = recorded_set(agent, data, plan, seed_of, known)
    result = measure(agent, sets, instruments, seed_of, progress)
    facts = {
        "run": str(path),
        "checkpoint": None if checkpoint is None else checkpoint.epoch,
        "checkpoint_name": None if checkpoint is None else checkpoint.path.name,
        "data": None if data is None else str(data),
    }
    result.record = {**_record_facts(agent, plan, fresh=data is None), **facts, **result.record}
    return result


def _record_facts(agent: Agent, plan: Plan, fresh: bool) -> dict[str, Any]:
    """What a record begins with: where its numbers come from; of a plan for recorded games, what it was used for."""
    used = {name: value for name, value in asdict(plan).items() if fresh or name not in ("games", "steps")}
    return {
        "kind": KIND,
        "format": FORMAT_VERSION,
        "diamond": __version__,
        **origin(plan.seed, kernels.in_use(agent.config.compute, agent.device)),
        "weights": agent.fingerprint(),
        "game": agent.config.env.name,
        "plan": used,
        "context_length": agent.config.denoiser.context_length,
        "sampler": to_dict(agent.config.sampler),
    }


def run_of(path: Path | str) -> RunFolder | None:
    """The run of that name; None for a file or a name on the hub."""
    return None if hub.is_name(path) or Path(path).is_file() else RunFolder.open(Path(path))


def _require_held_out(run: RunFolder | None, agent: Agent, data: Path) -> None:
    """Refuse the episodes that a run was trained on, and those of a run of another game."""
    if run is not None and data.resolve() in (run.path.resolve(), run.episodes.resolve()):
        raise DataError(f"--data is {data}, which {run.path} was trained on: give games that it has never seen")
    folder = data.resolve().parent
    if (folder / "run.json").is_file():
        game = RunFolder.open(folder).config.env.name
        if game != agent.config.env.name:
            raise DataError(
                f"--data {data} holds games of {game}: give games of {agent.config.env.name}, which was dreamed"
            )


def _known_games(run: RunFolder) -> set[bytes]:
    """What the run's own episodes are, to tell games that it has seen just so."""
    folder = EpisodeFolder(run.episodes)
    episodes = (folder.read(index) for index in folder.indices())
    return {digest(episode.frames, episode.actions) for episode in episodes}
