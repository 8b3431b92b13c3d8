"""Fréchet distances between sets of frames or clips, FID and FVD by the feature network that is brought along.

    distance = |mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))      (Heusel et al. 2017, equation 6)

A feature network is an ONNX file, which is data: unlike a pickled network it runs no code of a stranger's. Published
figures come from Inception v3 (FID) and I3D (FVD, Unterthiner et al. 2018); whoever has them exported can measure with
them here, with `frechet_distance(network(dreamed), network(real))`. This package ships neither and was not run with
their published weights; distances from other networks do not compare with published ones.

Axes   n m samples | d features | t frames of a clip | h w 3 image
Units  frames are uint8 outside and floats in [-1, 1] at the network's input; distances have those of features, squared
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8

from diamond.errors import DataError
from diamond.evaluation.batching import PIXELS, batches
from diamond.experience.frames import to_network
from diamond.extras import require


def frechet_distance(features_a: Float[np.ndarray, "n d"], features_b: Float[np.ndarray, "m d"]) -> float:
    """Squared distance of two normal distributions with the means and the (unbiased) covariances of the features.

    Few samples make it too large, the more so the more features there are: compare only distances from equally many
    samples, and take more samples than features.

    Raises:
        DataError: a set has fewer than 2 samples, or values that are not finite.
    """
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        if len(features) < 2:
            raise DataError(
                f"{name} holds {len(features)} samples: a covariance needs at least 2, a good one many more"
            )
        if not np.isfinite(features).all():
            raise DataError(f"{name} holds values that are not finite: look at the feature network and its input")
    a, b = features_a.astype(float), features_b.astype(float)
    shift = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    cov_a, cov_b = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (a, b))
    # cov_a cov_b has the eigenvalues of root_a cov_b root_a, which is symmetric: no complex numbers come up.
    values, vectors = np.linalg.eigh(cov_a)
    root_a = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    return float(max(0.0, shift + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap))


class FeatureNetwork:
    """An ONNX graph that takes frames (n 3 h w) or clips (n 3 t h w) and gives features (n d).

    It gets frames of the size that they have: where a network wants another, resizing belongs into the graph.
    """

    def __init__(self, session: Any, path: Path) -> None:
        (self._input,), self._session, self._path = session.get_inputs(), session, path

    @property
    def takes_clips(self) -> bool:
        """Whether its features are those of clips, for FVD, rather than of frames, for FID."""
        return len(self._input.shape) == 5

    def __call__(self, frames: UInt8[np.ndarray, "n *t h w 3"]) -> Float64[np.ndarray, "n d"]:
        """Features of frames (n h w 3) or of clips (n t h w 3), some at a time.

        Raises:
            DataError: the network takes the other of the two, or another size; there are no frames.
        """
        batch, _, *sizes = self._input.shape
        given = frames.shape[1:-1]
        if len(frames) == 0 or not _agree(sizes, given):
            kind = "clips (t, h, w)" if self.takes_clips else "frames (h, w)"
            raise DataError(
                f"{self._path} takes {kind} of {tuple(sizes)}, got {len(frames)} of {given}: "
                "give such, or export the network with free sizes, resizing inside"
            )
        found = []
        for part in batches(len(frames), PIXELS if batch == 1 else int(np.prod(given))):
            images = to_network(torch.from_numpy(np.ascontiguousarray(frames[part])))
            images = images.movedim(-3, 1).contiguous()
            (features,) = self._session.run(None, {self._input.name: images.numpy()})
            found.append(features.astype(float))
        return np.concatenate(found)


def features_of(path: Path) -> FeatureNetwork:
    """The feature network in an ONNX file; it runs on the CPU.

    Raises:
        DataError: there is no such file, it is no ONNX graph, has other inputs or outputs than one each (float32 with 4
            or 5 axes, 3 colours and a free number of samples or 1; features with 2 axes), or the package onnxruntime is
            missing.
    """
    runtime = require("onnxruntime", "export", DataError)
    if not path.is_file():
        raise DataError(f"{path} is no file: name an ONNX file of a feature network")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said below
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's have no base of their own
        raise DataError(f"{path} cannot be read as ONNX ({error}): export the feature network anew") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if not (len(inputs) == len(outputs) == 1 and _fits(inputs[0]) and len(outputs[0].shape) == 2):
        found = " and ".join(", ".join(f"{end.type} {end.shape}" for end in ends) for ends in (inputs, outputs))
        raise DataError(
            f"{path} has the inputs and outputs {found}: a feature network takes float frames (n, 3, h, w) or clips "
            "(n, 3, t, h, w) with free n and gives features (n, d)"
        )
    return FeatureNetwork(session, path)


def _fits(wanted: Any) -> bool:
    shape = wanted.shape
    free = len(shape) in (4, 5) and (not isinstance(shape[0], int) or shape[0] == 1)
    return free and shape[1] == 3 and wanted.type == "tensor(float)"


def _agree(wanted: list[int | str], given: tuple[int, ...]) -> bool:
    """Whether a shape is as wanted; names stand for any length."""
    return len(wanted) == len(given) and all(a == b or isinstance(a, str) for a, b in zip(wanted, given, strict=True))
