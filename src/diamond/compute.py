"""The device that arithmetic runs on, and how this process is prepared for it."""

import ctypes
import os
import sys

import torch

from diamond.config import ComputeConfig
from diamond.errors import DeviceError


def choose_device(cfg: ComputeConfig) -> torch.device:
    """The device named by the configuration, or the fastest one present for `auto`; also prepares this process for it.

    Raises:
        DeviceError: the device is unknown or not present.
    """
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    device = parse_device(cfg.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TensorFloat-32, as the published code trains
    if device.type == "cpu":
        keep_freed_memory()
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


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensor; nothing happens where another C library is used.

    By default it gives large pieces back to the system and gets them again page by page, which for the tensors of a
    batch takes longer than the arithmetic. The process stays as large as it was at its largest. Where the user has set
    a variable `MALLOC_...` or `GLIBC_TUNABLES`, that is left as it is.
    """
    chosen_by_user = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if sys.platform != "linux" or chosen_by_user:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3  # names of options in malloc.h
    # Older versions refuse more than 32 MiB for the second; without it, the first alone would do harm.
    if mallopt is not None and (mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)):
        mallopt(trim_threshold, 2**31 - 1)
