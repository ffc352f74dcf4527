"""The GPUs that kernels are compiled for, and the least time that their published rates allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks._ahead import Compiled
from benchmarks._cases import Case

__all__ = ["GPUS", "Gpu", "bounds_us", "gpu_named", "resident_warps"]

# A warp, and the bytes that a cache moves for an access to any of them.
_LANES, _SECTOR_BYTES = 32, 32
# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability", 8.0 and 9.0; the
# granularity of registers is that of CUDA's occupancy calculator.
_WARPS, _BLOCKS, _REGISTERS, _REGISTERS_AT_ONCE = 64, 32, 65536, 256
# Ampere and Hopper Tuning Guides: shared memory that the system keeps of each block.
_SHARED_OF_SYSTEM = 1024


@dataclass(frozen=True)
class Gpu:
    """Published rates and sizes of a GPU."""

    name: str
    target: int
    bytes_per_s: float
    tensor_per_s: float
    """Operations of dense 16-bit products."""
    float32_per_s: float
    multiprocessors: int
    clock_hz: float
    shared_bytes: int
    """Of a multiprocessor, for all of its blocks."""
    l1_bytes: int
    """Of a multiprocessor, together with shared memory."""
    l2_bytes: int
    float32_lanes: int
    """Of a multiprocessor."""

    @property
    def lanes_per_s(self) -> float:
        """Instructions of a thread that 64 lanes of each multiprocessor execute.

        CUDA C++ Programming Guide, "Arithmetic Instructions", compute capability 8.0 and 9.0: as
        many of integer additions, comparisons, shifts and logic; and as many of multiplications.
        """
        return 64 * self.multiprocessors * self.clock_hz

    @property
    def instructions_per_s(self) -> float:
        """Instructions of a thread: 4 schedulers issue one of a warp of 32 in each clock."""
        return 4 * _LANES * self.multiprocessors * self.clock_hz

    @property
    def l2_bytes_per_s(self) -> float:
        """What the second-level cache delivers: 5,120 bytes in each clock.

        NVIDIA A100 Tensor Core GPU Architecture white paper. NVIDIA prints none for H100: the same
        is taken for it, as in Table 3 of doi:10.1016/j.ultsonch.2023.106546.
        """
        return 5120 * self.clock_hz


GPUS = (
    # NVIDIA A100 Tensor Core GPU data sheet (80 GB SXM); clock, multiprocessors, lanes and caches:
    # NVIDIA A100 Tensor Core GPU Architecture white paper, and the Ampere Tuning Guide.
    Gpu(
        name="A100",
        target=80,
        bytes_per_s=2.039e12,
        tensor_per_s=312e12,
        float32_per_s=19.5e12,
        multiprocessors=108,
        clock_hz=1.41e9,
        shared_bytes=164 << 10,
        l1_bytes=192 << 10,
        l2_bytes=40 << 20,
        float32_lanes=64,
    ),
    # NVIDIA H100 Tensor Core GPU data sheet (SXM; without sparsity half of the printed 1,979);
    # the clock is what 67 TFLOP/s of float32 on 132 multiprocessors of 128 lanes come from. Caches:
    # NVIDIA H100 Tensor Core GPU Architecture white paper, and the Hopper Tuning Guide.
    Gpu(
        name="H100",
        target=90,
        bytes_per_s=3.35e12,
        tensor_per_s=989.5e12,
        float32_per_s=67e12,
        multiprocessors=132,
        clock_hz=67e12 / (132 * 128 * 2),
        shared_bytes=228 << 10,
        l1_bytes=256 << 10,
        l2_bytes=50 << 20,
        float32_lanes=128,
    ),
)

_A100, _H100 = GPUS
# The names that CUDA gives to the forms whose rates are above; others have other rates. H200 is an
# H100 with another memory: NVIDIA H200 Tensor Core GPU data sheet (SXM).
_NAMED = {
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA H100 80GB HBM3": _H100,
    "NVIDIA H200": replace(_H100, name="H200", bytes_per_s=4.8e12),
}


def gpu_named(name: str) -> Gpu | None:
    """Returns the published rates of a card, or None where they are not known here.

    Args:
        name: what CUDA calls the card, such as ``NVIDIA H200``.
    """
    return _NAMED.get(name)


def bounds_us(case: Case, gpu: Gpu, executed: Mapping[str, int]) -> dict[str, float]:
    """Returns what each resource allows at best, in microseconds.

    Integer multiplications go to the pipeline of float32 arithmetic, all other integer work to one
    beside it (NVIDIA's answers in forums.developer.nvidia.com/t/302018 and /t/108729), so that
    they overlap.

    Args:
        case: what is computed.
        gpu: where.
        executed: instructions of all threads, by kind.
    """
    multiplies, floats = executed.get("multiply", 0), executed.get("float", 0)
    products_per_s = gpu.tensor_per_s if case.unit == "tensor" else gpu.float32_per_s
    lanes = max(multiplies, (multiplies + floats) * 64 / gpu.float32_lanes)
    bounds_s = {
        "memory": _memory_bytes(case, gpu) / gpu.bytes_per_s,
        "cache": _cache_bytes(case, gpu) / gpu.l2_bytes_per_s,
        "products": case.operations / products_per_s,
        "integers": executed.get("integer", 0) / gpu.lanes_per_s,
        "multiplies": lanes / gpu.lanes_per_s,
        "issue": sum(executed.values()) / gpu.instructions_per_s,
    }
    return {name: bound_s * 1e6 for name, bound_s in bounds_s.items()}


def resident_warps(compiled: Compiled, gpu: Gpu) -> int:
    """Returns how many warps a multiprocessor holds at once, of 64, by registers and memory."""
    warps = compiled.threads // _LANES
    registers = -(-compiled.code.registers * _LANES // _REGISTERS_AT_ONCE) * _REGISTERS_AT_ONCE
    shared = compiled.launch_shared_bytes + _SHARED_OF_SYSTEM
    blocks = min(
        _BLOCKS, _WARPS // warps, _REGISTERS // (registers * warps), gpu.shared_bytes // shared
    )
    return blocks * warps


def _memory_bytes(case: Case, gpu: Gpu) -> float:
    """Returns what memory moves: each byte once, and again what no cache can have kept."""
    misses = case.accesses * max(0.0, 1 - gpu.l2_bytes / max(case.extent_bytes, 1))
    return case.moved_bytes + max(0.0, misses * _SECTOR_BYTES - case.extent_bytes)


def _cache_bytes(case: Case, gpu: Gpu) -> float:
    """Returns what the second-level cache moves for scattered accesses, a sector for each.

    Adds go to it directly; of loads some are found in the multiprocessor's own cache.
    """
    found = 0.0 if case.is_adding else min(1.0, gpu.l1_bytes / max(case.extent_bytes, 1))
    return case.accesses * (1 - found) * _SECTOR_BYTES
