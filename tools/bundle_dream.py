"""Write the dream that comes with the package, from a finished run: its weights, a few episodes to start from, scores.

python tools/bundle_dream.py RUN
"""

import argparse
import shutil
from pathlib import Path

from diamond.experience.episodes import EpisodeFolder
from diamond.play.game.source import BUNDLED
from diamond.runs import checkpoint
from diamond.runs.files import write_bytes, write_json
from diamond.runs.folder import DREAM_ERRORS, EVALUATION, RunFolder, dream_errors_file, read_json

EPISODES = 12
LEAST_STEPS = 20

README = """# The dream that comes with diamond

A run folder without what only training needs; `diamond play` plays it where there is no run of your own.

- Game: {game}
- Trained by: `{command}`
- Score of its agent: {mean:.2f} [{low:.2f}, {high:.2f}] (mean return over {n} real games, 95 % interval)
- Written by: `python tools/bundle_dream.py`, which also took the scores in `evaluation.json` from the run.
"""


def main() -> None:
    """Write `src/diamond/play/bundled`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = RunFolder.open(parser.parse_args().run)
    newest = checkpoint.newest_checkpoint(run.checkpoints)
    evaluation = read_json(run.path / EVALUATION)
    if newest is None:
        raise SystemExit(f"{run.path} holds no checkpoint")

    shutil.rmtree(BUNDLED, ignore_errors=True)
    for name in ("config.json", "run.json", EVALUATION):
        write_bytes(BUNDLED / name, (run.path / name).read_bytes())
    facts = {name: newest.facts[name] for name in ("env_steps", "best_score", "best_epoch")}
    tensors = {"agent": newest.tensors("agent")}
    checkpoint.write_checkpoint(BUNDLED / "checkpoints", newest.epoch, tensors, facts, extra=lambda folder: None)

    source, target = EpisodeFolder(run.episodes), EpisodeFolder(BUNDLED / "episodes")
    # The last ones, by the agent at its best: those of the beginning are short and alike.
    long_enough = [index for index in source.indices() if source.read(index).num_steps >= LEAST_STEPS][-EPISODES:]
    for number, index in enumerate(long_enough):
        target.write(number, source.read(index))
    facts = evaluation["trained"] | {"game": run.config.env.name, "command": run.facts["command"]}
    write_bytes(BUNDLED / "README.md", README.format(**facts).encode())
    write_json(BUNDLED / DREAM_ERRORS, read_json(dream_errors_file(run.path)))
    print(f"{BUNDLED}: {sum(file.stat().st_size for file in BUNDLED.rglob('*') if file.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
