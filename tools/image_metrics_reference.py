"""Writes tests/fixtures/image_metrics.json: what torchmetrics and lpips make of frames that any test can draw.

lpips needs torchvision, which this repository does without, so that it needs an environment of its own:

    python3 -m venv metrics-env && metrics-env/bin/pip install torch torchvision torchmetrics lpips
    metrics-env/bin/python tools/image_metrics_reference.py

Frames, features and weights are those of tests/drawn_inputs.py; no published weights are needed, for the arithmetic is
the same with any. Nothing of this package is at work here.
"""

import json
import runpy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lpips
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance

ROOT = Path(__file__).parent.parent
SIZES = ((11, 11), (16, 24), (64, 64), (72, 88))
DRAWN = runpy.run_path(str(ROOT / "tests/drawn_inputs.py"))


def by_lpips(name: str, frames: Tensor, truth: Tensor) -> list[float]:
    """Distances of the library's network with drawn weights."""
    network = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    DRAWN["draw_weights"](network)
    with torch.no_grad():
        return network.eval()(frames.float() / 127.5 - 1, truth.float() / 127.5 - 1).flatten().tolist()


def of_frames(height: int, width: int) -> dict[str, Any]:
    """All figures of frames of a size."""
    frames, truth = (torch.from_numpy(each).movedim(-1, 1) for each in DRAWN["draw_frames"](height, width))
    a, b = frames.double(), truth.double()
    _, places = structural_similarity_index_measure(a, b, data_range=255.0, reduction="none", return_full_image=True)
    figures: dict[str, Any] = {
        "size": [height, width],
        "psnr": peak_signal_noise_ratio(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3)).tolist(),
        # Without the border, where torchmetrics has the window see reflections; in the paper it stays within the frame.
        "ssim": places[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).tolist(),
    }
    if min(height, width) >= 64:
        figures |= {"AlexNet": by_lpips("alex", frames, truth), "VGG16": by_lpips("vgg", frames, truth)}
    return figures


def frechet() -> float:
    """The distance of the drawn features."""
    network = nn.Flatten()
    network.num_features = size = DRAWN["FEATURES"]
    distance = FrechetInceptionDistance(feature=network, input_img_size=(size,)).set_dtype(torch.float64)
    for features, real in zip(DRAWN["draw_features"](), (True, False), strict=True):
        distance.update(torch.from_numpy(features), real=real)
    return float(distance.compute())


def main() -> None:
    """Compute and write everything."""
    result = {
        "made by": "tools/image_metrics_reference.py",
        "versions": {name: version(name) for name in ("torch", "torchvision", "torchmetrics", "lpips", "numpy")},
        "frames": [of_frames(*size) for size in SIZES],
        "frechet": frechet(),
    }
    text = json.dumps(result, indent=1) + "\n"
    (ROOT / "tests/fixtures/image_metrics.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
