"""Packages that are installed only if wanted: the extras of this package."""

import importlib
from types import ModuleType

from diamond.errors import DiamondError


def require(package: str, extra: str, error: type[DiamondError]) -> ModuleType:
    """A package of an extra.

    Raises:
        error: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as missing:
        raise error(f'package {package} is not installed: pip install "diamond-wm[{extra}]"') from missing
