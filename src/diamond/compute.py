"""The device that arithmetic runs on."""

import torch

from diamond.config import ComputeConfig
from diamond.errors import DeviceError


def choose_device(cfg: ComputeConfig) -> torch.device:
    """The device named by the configuration, or the fastest one present for `auto`; also sets the CPU threads.

    Raises:
        DeviceError: the device is unknown or not present.
    """
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    device = parse_device(cfg.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TensorFloat-32, as the published code trains
    return device


def parse_device(name: str) -> torch.device:
    """The device called `name`, checked to be present.

    Raises:
        DeviceError: the device is unknown or not present.
    """
    present = ["cpu"]
    present += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    present += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        return torch.device("cuda" if "cuda:0" in present else present[-1])
    wanted = f"{name}:0" if name == "cuda" else name
    if wanted not in present:
        raise DeviceError(f"compute.device is {name!r}: not present here; choose auto or one of {', '.join(present)}")
    return torch.device(name)
