"""Costs from operations and rates, where nothing can be measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from sweeper.experiment.sweep import GpuType, ResourcesSpec
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast.costs import Costs, KnownCost, step_operations
from sweeper.preflight.model.memory import BYTES, memory_of

__all__ = ["BUSY", "GPUS", "Gpu", "busy_text", "computed_costs"]


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet."""

    tensor_flops: float
    """Operations a second of dense products in 16 bit; bfloat16, where the GPU has it."""
    fp32_flops: float
    """The same in float32, without TF32."""
    bytes_per_s: float
    """Of its memory."""
    memory_bytes: int
    """Of its memory."""
    source: str
    """The data sheet."""


def _gpu(tensor: float, fp32: float, bandwidth: float, memory: int, source: str) -> Gpu:
    return Gpu(tensor * 1e12, fp32 * 1e12, bandwidth * 1e9, memory * 10**9, source)


# Tera-operations a second, gigabytes a second, gigabytes. Where a data sheet gives the rate with
# sparsity, half of it is the dense one.
GPUS: dict[str, Gpu] = {
    "T4": _gpu(65, 8.1, 320, 16, "NVIDIA T4 Tensor Core GPU, data sheet 2019"),
    "V100-32GB": _gpu(125, 15.7, 900, 32, "NVIDIA V100 Tensor Core GPU, data sheet 2020, SXM2"),
    "A10": _gpu(125, 31.2, 600, 24, "NVIDIA A10 Tensor Core GPU, data sheet 2021"),
    "L4": _gpu(121, 30.3, 300, 24, "NVIDIA L4 Tensor Core GPU, data sheet 2023"),
    "L40S": _gpu(362, 91.6, 864, 48, "NVIDIA L40S GPU, data sheet 2023"),
    "A100-40GB": _gpu(312, 19.5, 1555, 40, "NVIDIA A100 Tensor Core GPU, data sheet 2021, SXM4"),
    "A100-80GB": _gpu(312, 19.5, 2039, 80, "NVIDIA A100 Tensor Core GPU, data sheet 2021, SXM4"),
    "H100-PCIE": _gpu(756, 51, 2000, 80, "NVIDIA H100 Tensor Core GPU, data sheet 2023, PCIe"),
    "H100": _gpu(989, 67, 3350, 80, "NVIDIA H100 Tensor Core GPU, data sheet 2023, SXM5"),
    "H200": _gpu(989, 67, 4800, 141, "NVIDIA H200 Tensor Core GPU, data sheet 2024, SXM"),
}
"""By the name that ``resources.gpu_type`` has for it."""

assert set(GPUS) == set(get_args(GpuType))

# Share of a GPU's peak that training reaches. Large pretrainings report 38 to 46 % (Llama 3, arXiv
# 2407.21783, table 4; PaLM, arXiv 2204.02311, section 4.1); steps of adapters are smaller.
_USED, _USED_LEAST, _USED_MOST = 0.35, 0.15, 0.55
# Share of the speed of one large product that a step reaches on a CPU, measured here on SmolLM2.
_CPU_USED, _CPU_USED_LEAST, _CPU_USED_MOST = 0.5, 0.2, 0.9
# Side of the product that a CPU's speed is measured by, and how often.
_SIDE, _TIMES = 1024, 3
BUSY = 1.25
"""From here on what takes so many times as long as it computes waits for other processes: threads
of one that has the machine for itself wait for each other less than that."""
# Bytes a second that checkpoints are written with.
_DISK = 200e6
# Of a process with the libraries, before a model: on a CPU, and of the context on a GPU.
_PROCESS_BYTES, _CONTEXT_BYTES = 700e6, 600e6
_READING = 500e6


def computed_costs(trials: list[TrialSpec], resources: ResourcesSpec) -> Costs | None:
    """Returns what trials cost by formula; None where there is a GPU of unknown rates.

    Args:
        trials: one of each method.
        resources: of a replica, with the type of its GPUs.
    """
    gpu = None if resources.gpu_type is None else GPUS[resources.gpu_type]
    precision = trials[0].engine.precision
    if gpu is not None:
        peak = gpu.fp32_flops if precision == "fp32" else gpu.tensor_flops
        used = (_USED, _USED_LEAST, _USED_MOST)
        bandwidth, start = gpu.bytes_per_s, _CONTEXT_BYTES
        rates = (
            f"{peak / 1e12:.3g} TFLOP/s and {bandwidth / 1e9:,.0f} GB/s of a {resources.gpu_type} "
            f"({gpu.source}), of which {100 * _USED:.0f} % ({100 * _USED_LEAST:.0f} to "
            f"{100 * _USED_MOST:.0f} %) are taken to be reached"
        )
    elif resources.gpus_per_worker:
        return None
    else:
        peak, waits = _cpu_rate(max(1, int(resources.cpus_per_worker)))
        # Nobody knows for how long the others go on: they are in the upper end alone.
        used = (_CPU_USED, _CPU_USED_LEAST / waits, _CPU_USED_MOST)
        bandwidth, start = 0.0, _PROCESS_BYTES
        rates = (
            f"{peak / 1e9:.3g} GFLOP/s of a product on this machine, of which "
            f"{100 * _CPU_USED:.0f} % ({100 * _CPU_USED_LEAST:.0f} to "
            f"{100 * _CPU_USED_MOST:.0f} %) are taken to be reached"
        )
        if waits > 1:
            rates += f"; a product {busy_text(waits)}: the high ends are for one that stays so"
    weights = trials[0].model.facts().shape.total_parameters * BYTES[precision]
    known = tuple(_known(x, peak=peak, used=used, bandwidth=bandwidth, start=start) for x in trials)
    return Costs(
        known=known, base_bytes=start + weights, load_s=20 + weights / _READING, rates=rates
    )


def _known(
    trial: TrialSpec,
    *,
    peak: float,
    used: tuple[float, float, float],
    bandwidth: float,
    start: float,
) -> KnownCost:
    usual, least, most = used
    operations = step_operations(trial)
    trained = trial.model.trainable(trial.method)
    memory = memory_of(trial, trained)
    # Weights are read in both passes at least.
    reading_s = 2 * memory.weights_bytes / bandwidth if bandwidth else 0.0
    step_s = max(operations / (usual * peak), reading_s)
    floor_s = max(operations / (most * peak), reading_s)
    tokens = trial.train.batch_size * trial.train.max_length
    asked = trial.train.eval_examples * trial.train.max_length
    saved = trained * (BYTES[trial.engine.precision] + 12)
    return KnownCost(
        method=trial.method.label,
        source="computed",
        operations=operations,
        activations_bytes=memory.activations_bytes + memory.trained_state_bytes,
        micro_batch_s=step_s,
        low=min(1.0, floor_s / step_s),
        high=max(1.0, usual / least),
        evaluation_s=step_s / 3 * asked / tokens,
        evaluation_rows=trial.train.eval_examples,
        checkpoint_s=saved / _DISK,
        overhead_s=2.0,
        peak_bytes=start
        + memory.weights_bytes
        + memory.trained_state_bytes
        + memory.activations_bytes,
        disk_bytes=saved,
    )


def _cpu_rate(threads: int) -> tuple[float, float]:
    """Returns the operations a second of a product of float32 on this machine, and what it waits.

    The second is the factor by which other processes lengthen it now, 1 on a machine that has
    nothing else to do.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        square = torch.ones(_SIDE, _SIDE)
        # Its threads are started by the first one.
        square @ square
        times = [_timed(lambda: square @ square) for _ in range(_TIMES)]
    finally:
        torch.set_num_threads(before)
    return _rate_of(times, threads=threads)


def busy_text(waits: float) -> str:
    """Returns what is said of something that other processes lengthen, a part of a sentence.

    Args:
        waits: the factor by which they do, above 1.
    """
    return f"takes {waits:.2g} times as long as it computes, since this machine is busy"


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds that some work took, and those of CPU, of all threads."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def _rate_of(times: Sequence[tuple[float, float]], *, threads: int) -> tuple[float, float]:
    """Returns what :func:`_cpu_rate` does.

    Args:
        times: of some products, as :func:`_timed` has them.
        threads: that computed them.
    """
    operations = 2 * _SIDE**3
    wall_s, cpu_s = (sum(each) for each in zip(*times, strict=True))
    waits = wall_s * threads / cpu_s if cpu_s else 1.0
    if waits < BUSY:
        return operations / min(wall for wall, _ in times), 1.0
    return operations * threads / min(cpu for _, cpu in times if cpu), waits
