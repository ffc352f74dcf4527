"""What a sweep will cost, by a forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sweeper._text import bytes_text, count, duration

__all__ = ["batch_text", "costs_lines", "costs_text"]


def costs_text(costs: Mapping[str, Any]) -> str:
    """Returns what a sweep will cost, in lines.

    Args:
        costs: the part of a plan's document.
    """
    return "\n".join(f"{name}: {text}" for name, text in _cost_lines(costs))


def batch_text(document: Mapping[str, Any]) -> str:
    """Returns which micro-batch was chosen, where it was left open.

    Args:
        document: the resolved sweep.
    """
    size = document["train"]["batch_size"]
    number = document["engine"]["gradient_accumulation"]
    return f"Micro-batch: {size} by memory; in a step there are {number}."


_KNOWN = {
    "calibrated": "by a few real steps of each method on this machine",
    "scaled": "by real steps of some methods on this machine, of the others by operations",
    "computed": "computed from operations and rates, not measured",
}


def _cost_lines(costs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the forecasts with their ranges, and what they rest on."""
    seconds, memory, money = costs["seconds"], costs["memory_bytes"], costs["money"]
    on = f"{count(costs['trials'], 'trial')} on {count(costs['replicas'], 'replica')}"
    step, trial = _ranged(costs["step_s"], _short), duration(costs["trial_s"]["value"])
    lines = [("Time", f"{_ranged(seconds, duration)} for {on}; a step {step}, a trial {trial}")]
    if costs["finalists"]:
        at = f"each at {100 * costs['kept_share']:.0f} % of its steps"
        lines.append(("Stops", f"{at}; the best {costs['finalists']} then go on to their end"))
    elif costs["kept_share"] < 1:
        saved = f"saves {100 * (1 - costs['kept_share']):.0f} % of the steps as designed"
        lines.append(("ASHA", f"{saved}, in a short search less; the high end is without"))
    lines.append(("Memory of a worker", _ranged(memory, bytes_text)))
    lines.append(("Disk", bytes_text(costs["disk_bytes"])))
    if money is not None:
        lines.append(("Cost", _ranged(money, "{:,.2f}".format)))
    lines.append(("Forecast", _KNOWN[costs["source"]]))
    if costs["rates"]:
        lines.append(("Rates", costs["rates"]))
    return lines


def _short(seconds: float) -> str:
    """Returns a duration, in milliseconds where it is of a few of them."""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.0995 else duration(seconds)


def _ranged(figure: Mapping[str, float], text: Callable[[float], str]) -> str:
    return f"{text(figure['value'])} ({text(figure['low'])} to {text(figure['high'])})"


def costs_lines(costs: Mapping[str, Any] | None) -> list[RenderableType]:
    """Returns what a sweep will cost, for people; a line that says so where that is not known.

    Args:
        costs: the part of a plan's document, if there is one.
    """
    if costs is None:
        return [Text("Costs: not known; set resources.gpu_type to have them computed")]
    return [Text.assemble((f"{name}: ", "bold"), text) for name, text in _cost_lines(costs)]
