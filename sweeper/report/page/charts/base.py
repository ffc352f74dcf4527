"""What all charts of the page have: colours that follow the page, and one way to be written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweeper._text import count
from sweeper.analysis.statistics.verdicts import Basis

__all__ = [
    "ACCENT",
    "BAND",
    "INK",
    "PALE",
    "PAPER",
    "Chart",
    "Spec",
    "basis_text",
    "colours",
    "columns_of",
    "num",
]

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""

# The page's own colours, of which it has a light set and a dark one.
INK = "var(--ink)"
PALE = "var(--pale)"
PAPER = "var(--paper)"
BAND = "var(--band)"
ACCENT = "var(--accent)"
_COLOURS = 10
# Pixels of a letter in a legend.
_LETTER = 6


@dataclass(frozen=True)
class Chart:
    """A chart with what is said of it.

    Attributes:
        name: Of its file, unlike those of the others of a sweep.
        title: What it shows.
        note: How to read it, and what it rests on: seeds, rows, split.
        spec: Vega-Lite's, whose width is the page's.
    """

    name: str
    title: str
    note: str
    spec: Spec


def colours(names: Sequence[str], *, field: str = "c", title: str | None = None) -> Spec:
    """Returns the colour channel of named things, the same of the same names.

    Args:
        names: In the order of the legend.
        field: That has the name.
        title: Of the legend.
    """
    palette = [f"var(--c{place % _COLOURS})" for place in range(len(names))]
    legend = {"orient": "bottom", "symbolLimit": 0, "labelLimit": 400}
    return {
        "field": field,
        "type": "nominal",
        "title": title,
        "scale": {"domain": list(names), "range": palette},
        "legend": {**legend, "title": title} if len(names) > 1 else None,
    }


def num(value: float) -> float | None:
    """Returns a number as the page keeps it, to six digits; None where it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def columns_of(spec: Spec, width: int) -> int:
    """Returns how many columns a legend of a chart's names has, so that none is cut.

    Args:
        spec: of the chart.
        width: of the chart, in pixels.
    """
    layers = [spec, *spec.get("layer", ())]
    scales = [x.get("encoding", {}).get("color", {}).get("scale", {}) for x in layers]
    longest = max((len(name) for x in scales for name in x.get("domain", ())), default=0)
    return max(1, min(4, width // (_LETTER * longest + 40)))


def basis_text(basis: Basis) -> str:
    """Returns seeds, rows and split of what a plot shows."""
    rows = f"{basis.rows:,} {basis.split} rows"
    if basis.claim == "adapters":
        return f"One adapter each, {rows}"
    low, high = basis.seeds
    seeds = count(low, "seed") if low == high else f"{low} to {high} seeds"
    return f"{seeds} × {rows}"
