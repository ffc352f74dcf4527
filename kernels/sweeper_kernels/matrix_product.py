"""Products of float32 matrices on CPUs: by oneDNN where torch's own take half of the machine.

torch multiplies by MKL, which takes AVX-512 on Intel's CPUs alone; on AMD's it takes AVX2. oneDNN,
which comes with torch, takes AVX-512 on both. Both sum in float32, in orders of their own, so what
they give differs by rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sweeper_kernels._environment import read_backend_name

__all__ = ["is_taken", "take_onednn", "torch_products"]

# Multiplications below which a product is over before Python has chosen for it.
_FEWEST = 2**20
# A matrix that is next to a vector is read once: there is nothing to gain.
_NARROWEST = 8
_CPUS = Path("/proc/cpuinfo")

_taken: list[torch.library.Library] = []


def take_onednn() -> bool:
    """Makes ``torch.mm`` of this process take oneDNN where it is the faster; returns whether.

    All that torch computes by ``mm`` does, forward and backward: its linear layers without a bias
    among them. Only large products of float32 on a CPU are concerned. Nothing changes on a CPU
    on which MKL is as fast, without MKL or oneDNN, or where ``SWEEPER_KERNELS`` is ``torch``.
    """
    if not _taken and _is_faster() and read_backend_name() != "torch":
        library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
        with warnings.catch_warnings():
            # That a kernel of torch's own is replaced.
            warnings.simplefilter("ignore", UserWarning)
            library.impl("mm", _mm, "CPU")  # type: ignore[no-untyped-call]
        _taken.append(library)
    return is_taken()


def is_taken() -> bool:
    """Returns whether products are by oneDNN."""
    return bool(_taken)


@contextmanager
def torch_products() -> Iterator[None]:
    """Makes all products of this process torch's own while it is open."""
    was_taken = is_taken()
    # torch has its own kernel back as soon as nobody holds the library.
    _taken.clear()
    try:
        yield
    finally:
        if was_taken:
            take_onednn()


def _mm(first: Tensor, second: Tensor) -> Tensor:
    if first.dim() != 2 or second.dim() != 2:
        # Of what is no matrix torch says so.
        return torch.mm(first, second, out=first.new_empty(0))
    (rows, depth), columns = first.shape, second.shape[1]
    if (
        rows * depth * columns >= _FEWEST
        and min(rows, depth, columns) >= _NARROWEST
        and first.dtype is second.dtype is torch.float32
        and second.shape[0] == depth
    ):
        product: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            first, second.t(), None, "none", [], ""
        )
        return product
    # Another kernel than the one that this one is in the place of.
    return torch.mm(first, second, out=first.new_empty((rows, columns)))


@lru_cache(maxsize=1)
def _is_faster() -> bool:
    """Returns whether MKL takes AVX2 where oneDNN would take AVX-512."""
    return (
        torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and _is_amd()
        # An operation that torch has for its compiler, and may rename.
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _is_amd() -> bool:
    try:
        text = _CPUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "AuthenticAMD" in text
