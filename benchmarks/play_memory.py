"""Does playing swell? Memory of a session against frames, beyond those that can be gone back to.

python benchmarks/play_memory.py --out benchmarks/results/play-memory.json
"""

import argparse
import dataclasses
from pathlib import Path

from memory import resident_bytes

from diamond import kernels
from diamond.config.presets import debug
from diamond.lab.speed.latency import untrained
from diamond.play.game.session import REMEMBERED, Session
from diamond.play.game.settings import Settings
from diamond.play.server.protocol import encode_picture
from diamond.runs.files import write_json
from diamond.runs.provenance import number, origin

POINTS = 10


def main() -> None:
    """Play both worlds side by side, rewinding now and then, and write what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--frames", type=int, default=30_000, help="after the first 3,000")
    arguments = parser.parse_args()
    config = debug()
    source = untrained(config)
    session = Session(source, dataclasses.replace(Settings.of(config.sampler, config.seed), world="both"))
    rows = []
    for done in range(REMEMBERED + arguments.frames + 1):
        beyond = done - REMEMBERED
        if beyond >= 0 and beyond % (arguments.frames // POINTS) == 0:
            rows.append(
                number(f"resident memory after {beyond:,} frames beyond the first 3,000 (bytes)", resident_bytes())
            )
        session.advance()
        encode_picture(session.picture, {})
        if done % 1000 == 0:
            session.rewind(session.picture.oldest)
            session.rewind(session.picture.newest - min(10, session.picture.newest - session.picture.oldest))
    session.close()
    facts = origin(config.seed, kernels.in_use(source.agent.config.compute, source.agent.device))
    write_json(arguments.out, [facts | row for row in rows])


if __name__ == "__main__":
    main()
