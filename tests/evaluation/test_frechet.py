"""Fréchet distances of normal distributions that are known, and features of networks of our own in ONNX files."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from drawn_inputs import draw_features, draw_weights
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from diamond.errors import DataError
from diamond.evaluation.frechet import features_of, frechet_distance
from diamond.experience.frames import to_network

REFERENCE = json.loads((Path(__file__).parent.parent / "fixtures/image_metrics.json").read_text(encoding="utf-8"))


def standard(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Samples with a mean of exactly 0 and a covariance of exactly 1."""
    samples = np.random.default_rng(seed).normal(size=(n, d))
    samples -= samples.mean(axis=0)
    return samples @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(samples, rowvar=False)))).T


def rotation(d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


# The distance


def test_the_distance_is_that_of_torchmetrics() -> None:
    assert frechet_distance(*draw_features()) == pytest.approx(REFERENCE["frechet"], rel=1e-9)


@given(n=st.integers(2, 30), d=st.integers(1, 8))
def test_equal_sets_are_at_no_distance(n: int, d: int) -> None:
    """Also where there are fewer samples than features."""
    features = np.random.default_rng(n).normal(size=(n, d))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(features, features[::-1]) >= 0


@given(shift=st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_shifted_means(shift: list[float]) -> None:
    a = standard(50, 3)
    assert frechet_distance(a, a + shift) == pytest.approx(np.square(shift).sum(), abs=1e-9)


@given(s=st.floats(0.01, 10), t=st.floats(0.01, 10))
def test_round_distributions(s: float, t: float) -> None:
    """Standard deviations s and t in each of d directions: d (s - t)^2."""
    assert frechet_distance(s * standard(40, 4), t * standard(30, 4, seed=1)) == pytest.approx(
        4 * (s - t) ** 2, abs=1e-9
    )


def test_diagonal_covariances() -> None:
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.0])
    distance = frechet_distance(standard(40, 3) * s, standard(60, 3, seed=1) * t + [1, 0, 0])
    assert distance == pytest.approx(np.square(s - t).sum() + 1, abs=1e-9)


def test_covariances_that_do_not_commute() -> None:
    """In the plane, trace (A B)^(1/2) = sqrt(trace(A B) + 2 sqrt(det(A B)))."""
    a = standard(40, 2) @ np.array([[2.0, 1.0], [0.0, 1.0]])
    b = standard(50, 2, seed=1) @ np.array([[1.0, -3.0], [0.5, 1.0]])
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    overlap = np.sqrt(np.trace(A @ B) + 2 * np.sqrt(np.linalg.det(A @ B)))
    assert frechet_distance(a, b) == pytest.approx(np.trace(A) + np.trace(B) - 2 * overlap, rel=1e-9)


@given(seed=st.integers(0, 50))
def test_turning_both_sets_changes_nothing_nor_does_their_order(seed: int) -> None:
    a, b = draw_features()
    turn = rotation(a.shape[1], seed)
    distance = frechet_distance(a, b)
    assert frechet_distance(a @ turn + 1, b @ turn + 1) == pytest.approx(distance, rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-8)


@pytest.mark.parametrize("samples", [0, 1])
def test_too_few_samples(samples: int) -> None:
    with pytest.raises(DataError, match=f"features_b holds {samples} samples"):
        frechet_distance(standard(10, 2), np.zeros((samples, 2)))


def test_no_distance_of_what_is_not_finite() -> None:
    with pytest.raises(DataError, match="features_a holds values that are not finite"):
        frechet_distance(np.full((3, 2), np.nan), standard(10, 2))


# Feature networks


def means(frames: np.ndarray) -> np.ndarray:
    """Mean and mean square of each colour, of frames or clips."""
    values = frames.reshape(len(frames), -1, 3) / 127.5 - 1
    return np.concatenate((values.mean(axis=1), np.square(values).mean(axis=1)), axis=1)


def graph(path: Path, *shape: int | str, features: str = "means") -> Path:
    """Writes a network that computes `means`, for an input of that shape; named axes may have any length."""
    nodes = [
        helper.make_node("Mul", ["images", "images"], ["squares"]),
        helper.make_node("ReduceMean", ["images", "axes"], ["first"], keepdims=0),
        helper.make_node("ReduceMean", ["squares", "axes"], ["second"], keepdims=0),
        helper.make_node("Concat", ["first", "second"], ["means"], axis=1),
    ]
    outputs = {"means": [shape[0], 6], "squares": shape}
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(shape) - 2], range(2, len(shape)))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "features",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(features, TensorProto.FLOAT, outputs[features])],
            [axes],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.onnx"


def test_features_of_frames_of_any_size(path: Path) -> None:
    network = features_of(graph(path, "n", 3, "h", "w"))
    assert not network.takes_clips
    for frames in (noise(5, 8, 9), noise(1, 4, 20), noise(150, 64, 64)):
        np.testing.assert_allclose(network(frames), means(frames), atol=1e-5)


def test_features_of_clips(path: Path) -> None:
    """Colours come before time: (n, 3, t, h, w)."""
    network = features_of(graph(path, "n", 3, "t", 8, 9))
    assert network.takes_clips
    for clips in (noise(5, 4, 8, 9), noise(2, 7, 8, 9)):
        np.testing.assert_allclose(network(clips), means(clips), atol=1e-5)


def test_a_network_for_one_at_a_time(path: Path) -> None:
    frames = noise(5, 8, 9)
    np.testing.assert_allclose(features_of(graph(path, 1, 3, 8, 9))(frames), means(frames), atol=1e-5)


def test_features_of_a_network_exported_by_pytorch(path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3 * 4, 5)).eval()
    draw_weights(network)
    free = {0: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch says of itself
        torch.onnx.export(network, (torch.zeros(2, 3, 8, 9),), path, dynamo=True, verbose=False, dynamic_shapes=(free,))
    frames = noise(7, 8, 9)
    expected = network(to_network(torch.from_numpy(frames))).detach().numpy()
    np.testing.assert_allclose(features_of(path)(frames), expected, atol=1e-5)


def test_darker_frames_are_further_away(path: Path) -> None:
    network = features_of(graph(path, "n", 3, 8, 8))
    real, again = noise(60, 8, 8), noise(60, 8, 8, seed=1)
    distance = [frechet_distance(network(frames), network(real)) for frames in (again, again // 2, again // 4)]
    assert distance[0] < 0.02 < distance[1] < distance[2]


@pytest.mark.parametrize("shape", [(2, 9, 8), (2, 4, 8, 9), (0, 8, 9)])
def test_other_frames_than_the_network_takes(shape: tuple[int, ...], path: Path) -> None:
    with pytest.raises(DataError, match=r"takes frames \(h, w\) of \(8, 9\), got"):
        features_of(graph(path, "n", 3, 8, 9))(noise(*shape))


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        (("n", 3, 8), "means"),
        (("n", 1, 8, 9), "means"),
        ((4, 3, 8, 9), "means"),
        (("n", 3, 8, 9), "squares"),
    ],
)
def test_networks_that_give_no_features_of_frames(shape: tuple[int | str, ...], features: str, path: Path) -> None:
    with pytest.raises(DataError, match=r"takes float frames \(n, 3, h, w\) or clips"):
        features_of(graph(path, *shape, features=features))


def test_files_that_hold_no_network(path: Path) -> None:
    with pytest.raises(DataError, match="features.onnx is no file"):
        features_of(path)
    path.write_bytes(b"no graph")
    with pytest.raises(DataError, match="cannot be read as ONNX"):
        features_of(path)


def test_a_missing_package_is_named_with_the_remedy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r'onnxruntime is not installed: pip install "diamond-wm\[export\]"'):
        features_of(path)
