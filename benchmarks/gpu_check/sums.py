"""Figure 2 of the MoSA paper: the time of the gradient of λ against K, beside copies.

What is timed is what ``make bench-kernels`` times on a CPU, on values and groups that are drawn
alike; the copy of its inputs is the limit of each way of ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from benchmarks import kernels
from benchmarks._bench import alternate
from benchmarks.gpu_check.parts import Piece, Row
from sweeper_kernels import Tessellation

__all__ = ["pieces"]

# What takes longer is not repeated for a tenth of a second, but a few times.
_SLOW_MS = 50.0
_FEW = 3
_SMALL_SIDE, _SMALL_GROUPS = 20, (1, 33)


def pieces(*, is_small: bool) -> Iterator[Piece]:
    """Yields each number of groups, balanced and skewed.

    Args:
        is_small: whether of a small matrix, on the CPU.
    """
    side, groups = (_SMALL_SIDE, _SMALL_GROUPS) if is_small else (kernels.SIDE, kernels.GROUPS)
    torch.manual_seed(kernels.SEEDS["values"])
    values = torch.randn(side, side, device="cpu" if is_small else "cuda")
    for strategy in kernels.STRATEGIES:
        for number in groups:
            tessellation = Tessellation(
                side, side, number, strategy=strategy, seed=kernels.SEEDS["tessellation"]
            )

            def run(tessellation: Tessellation = tessellation) -> list[Row]:
                return _measured(values, tessellation)

            yield Piece(f"{strategy}, K {number:,}", run)


def _measured(values: Tensor, tessellation: Tessellation) -> list[Row]:
    made = kernels.rivals(values, tessellation)
    kernels.check(made, values, tessellation)
    times_ms = _on_card(made) if values.device.type == "cuda" else _on_cpu(made)
    medians = {name: statistics.median(times) for name, times in times_ms.items()}
    limits = {"stored": "copy of values and Γ", "computed": "copy of values"}
    rows: list[Row] = []
    for name, times in times_ms.items():
        row: Row = {
            "what": f"{tessellation.strategy}, K {tessellation.groups:,}: {name}",
            "status": "ok",
            "groups": tessellation.groups,
            "strategy": tessellation.strategy,
            "rival": name,
            **spread(times),
        }
        if name in limits:
            row["autograd_over_it"] = medians["autograd"] / medians[name]
            row["of_limit"] = medians[name] / medians[limits[name]]
        rows.append(row)
    return rows


def spread(times_ms: Sequence[float]) -> Row:
    """Returns the median and the quartiles of some times.

    Args:
        times_ms: at least one.
    """
    if len(times_ms) == 1:
        low = median = high = times_ms[0]
    else:
        low, median, high = statistics.quantiles(times_ms, n=4, method="inclusive")
    return {"time_ms": median, "low_ms": low, "high_ms": high, "rounds": len(times_ms)}


def _on_card(made: dict[str, Callable[[], Tensor]]) -> dict[str, list[float]]:
    """Returns the milliseconds of each, by the card's clock, its cache emptied before each."""
    from triton.testing import do_bench

    found = {}
    for name, call in made.items():
        once_ms = _once_ms(call)
        if once_ms > _SLOW_MS:
            found[name] = [_once_ms(call) for _ in range(_FEW)]
        else:
            found[name] = list(do_bench(call, return_mode="all"))
    return found


def _once_ms(call: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()  # type: ignore[no-untyped-call]
    call()
    end.record()  # type: ignore[no-untyped-call]
    end.synchronize()  # type: ignore[no-untyped-call]
    return float(begin.elapsed_time(end))  # type: ignore[no-untyped-call]


def _on_cpu(made: dict[str, Callable[[], Tensor]]) -> dict[str, list[float]]:
    times_s = alternate(made, rounds=1, warmups=0)
    return {name: [1000 * time_s for time_s in times] for name, times in times_s.items()}
