"""Writes docs/images/dream.gif: the real game beside the dream, from the same first frames and under the same actions.

python tools/make_animation.py --seed 0 --steps 60
"""

import argparse
import io
from pathlib import Path

from PIL import Image

from diamond import load
from diamond.agents.recording import RECORDED_STEPS, record_real
from diamond.evaluation.fidelity.segments import real_beside_dream
from diamond.play.game.source import BUNDLED
from diamond.reports.video import Frames, side_by_side
from diamond.runs.files import write_bytes

PICTURE = Path(__file__).parent.parent / "docs/images/dream.gif"
WIDTH = 240
"""Of each of the two pictures, in pixels."""
FRAMES_PER_SECOND = 6
"""Slower than `diamond dream`, so that an eye can compare both sides."""
PAUSE = 1500
"""Milliseconds for which the last frame stays."""


def encode_gif(frames: Frames) -> bytes:
    """A GIF that repeats for ever."""
    first, *others = (Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames)
    durations = [1000 // FRAMES_PER_SECOND] * len(others) + [PAUSE]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    return file.getvalue()


def main() -> None:
    """Record real games with the run's agent, dream the longest one, write both side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=BUNDLED, help="folder of a trained run")
    parser.add_argument("--steps", type=int, default=60, help="steps to show")
    parser.add_argument("--seed", type=int, default=0, help="seed of the real games and of the dream")
    args = parser.parse_args()
    agent = load(args.run, device="cpu")
    recording = record_real(agent, args.seed, max(RECORDED_STEPS, 2 * args.steps), num_envs=4)
    real, dreamed = real_beside_dream(agent, recording, args.steps, args.seed)
    write_bytes(PICTURE, encode_gif(side_by_side(real, dreamed, gap=1, scale=max(1, WIDTH // agent.config.env.width))))
    print(f"{PICTURE}: {len(real)} steps, {PICTURE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
