"""The page of the bench."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "measurements" / "forecast.md"
_STEP, _MEMORY = 0.15, 0.10
_METHODS = 24
_HEAD = """# Forecasts

How far is a forecast of `plan` from what a trial then takes? `make bench-forecast` forecasts a
trial of each method by a few real steps, as `plan` does. It then trains each trial in a process of
its own, by the code of a replica and without Ray. Goals: a step within 15 %, memory within 10 %.

An error of +5 % says that the forecast is 5 % too high. Seconds are CPU seconds of one thread:
other processes had the same cores, and wall times say more about these. Memory is the peak of the
resident memory of the process. A worker of Ray takes 135 MB more, which `plan` adds."""
_COLUMNS = (
    "method",
    "step, forecast (s)",
    "measured (s)",
    "error",
    "memory, forecast (MB)",
    "measured (MB)",
    "error",
)


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page as Markdown.

    Args:
        results: of the bench, one a model.
    """
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield _HEAD
    for result in results:
        yield from _section(result)


def _section(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [x for x in result["rows"] if x.get("step_cpu_s")]
    failed = [x for x in result["rows"] if not x.get("step_cpu_s")]
    settings, machine = result["settings"], result["machine"]
    yield ""
    yield f"## On {settings['model']}"
    yield ""
    if rows:
        step = [abs(_step(row)) for row in rows]
        memory = [abs(_memory(row)) for row in rows]
        yield (
            f"{_count(step, _STEP)} of {len(rows)} methods are within 15 % of the time of a step "
            f"({_spread(step)}), {_count(memory, _MEMORY)} within 10 % of the"
        )
        yield (
            f"memory ({_spread(memory)}). A trial has {settings['steps']} steps; {machine['cpu']}, "
            f"load before {machine['load_before']:.1f}."
        )
        yield ""
        yield f"| {' | '.join(_COLUMNS)} |"
        yield f"|---|{'--:|' * (len(_COLUMNS) - 1)}"
    for row in rows:
        yield (
            f"| {row['method']} | {row['forecast_step_cpu_s']:.4f} | {row['step_cpu_s']:.4f} | "
            f"{100 * _step(row):+.1f} % | {row['forecast_memory_bytes'] / 1e6:.0f} | "
            f"{row['memory_bytes'] / 1e6:.0f} | {100 * _memory(row):+.1f} % |"
        )
    if len(result["rows"]) < _METHODS:
        yield ""
        yield f"{_METHODS - len(result['rows'])} of {_METHODS} methods have not been measured here."
    if failed:
        yield ""
        names = ", ".join(row["method"] for row in failed)
        yield f"Not measured, because they cannot be trained on this model or its data: {names}."


def _step(row: Mapping[str, Any]) -> float:
    return float(row["forecast_step_cpu_s"] / row["step_cpu_s"] - 1)


def _memory(row: Mapping[str, Any]) -> float:
    return float(row["forecast_memory_bytes"] / row["memory_bytes"] - 1)


def _spread(errors: Sequence[float]) -> str:
    return f"median {100 * statistics.median(errors):.1f} %, most {100 * max(errors):.1f} %"


def _count(errors: Sequence[float], most: float) -> int:
    return sum(error <= most for error in errors)
