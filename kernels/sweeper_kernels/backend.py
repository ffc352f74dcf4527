"""Which implementation of an operation runs: the only place that asks about devices.

======= ==============================================================
backend what it is
======= ==============================================================
triton  Triton kernels: GPUs
native  C, compiled where it is first used: CPUs (:mod:`.native`)
torch   torch's own operations: float64, GPUs under
        ``torch.use_deterministic_algorithms``, and where neither can be had
======= ==============================================================
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from sweeper_kernels import native
from sweeper_kernels._environment import read_backend_name

__all__ = ["Backend", "choose", "using"]

Backend = Literal["triton", "native", "torch"]
"""An implementation of the operations."""

_forced: ContextVar[Backend | None] = ContextVar("forced", default=None)
_logger = logging.getLogger(__name__)


def choose(tensor: Tensor) -> Backend:
    """Returns the backend that works on a tensor: the fastest, or the one that was asked for.

    The environment variable ``SWEEPER_KERNELS`` names one for the process, :func:`using` for a
    block of code. ``native`` is for CPUs: on other devices it leaves the choice open.

    Args:
        tensor: any input of the operation.

    Raises:
        ValueError: ``SWEEPER_KERNELS`` is not a backend, or ``native`` was asked for and could
            not be compiled.
    """
    backend = _forced.get() or _read_environment() or _find_fastest(tensor)
    if backend == "native" and tensor.device.type != "cpu":
        backend = _find_fastest(tensor)
    # The kernels compute in float32.
    if backend == "native" and not native.is_available():
        raise ValueError(
            "SWEEPER_KERNELS is 'native', but the kernels for CPUs could not be compiled; allowed "
            "is torch; install a C compiler, or leave it out"
        )
    chosen: Backend = "torch" if tensor.dtype == torch.float64 else backend
    _tell(chosen, tensor.device.type)
    return chosen


@contextmanager
def using(backend: Backend) -> Iterator[None]:
    """Makes :func:`choose` return ``backend``, but for float64, in this thread.

    The backward pass of tensors on a GPU runs in a thread of its own, which does not see it.
    """
    token = _forced.set(backend)
    try:
        yield
    finally:
        _forced.reset(token)


def _find_fastest(tensor: Tensor) -> Backend:
    if tensor.device.type == "cuda" and find_spec("triton") is not None:
        # Its atomic additions come in any order.
        return "torch" if torch.are_deterministic_algorithms_enabled() else "triton"
    if tensor.device.type == "cpu" and native.is_available():
        return "native"
    return "torch"


def _read_environment() -> Backend | None:
    named = read_backend_name()
    for backend in get_args(Backend):
        if named == backend:
            return backend  # type: ignore[no-any-return]
    if named:
        raise ValueError(
            f"SWEEPER_KERNELS is {named!r}; allowed is one of {', '.join(get_args(Backend))}; "
            "correct it, or leave it out for the fastest"
        )
    return None


@lru_cache(maxsize=16)
def _tell(backend: Backend, device: str) -> None:
    """Says once for each device what runs there."""
    _logger.info("kernels on %s: %s", device, backend)
