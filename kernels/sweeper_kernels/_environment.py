"""The environment variables of this package: read here and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["find_cache_folder", "read_backend_name", "read_compiler_name"]


def read_backend_name() -> str:
    """Returns ``SWEEPER_KERNELS``, the backend that is asked for; empty for the fastest."""
    return os.environ.get("SWEEPER_KERNELS", "")


def read_compiler_name() -> str:
    """Returns ``CC``, the C compiler that is asked for; empty for the first that is found."""
    return os.environ.get("CC", "")


def find_cache_folder() -> Path:
    """Returns where compiled kernels are kept: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sweeper_kernels"
