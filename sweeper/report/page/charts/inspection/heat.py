"""A grid of cells with a colour and a number each."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.report.page.charts.base import BAND, Spec

__all__ = ["heat_spec"]

# Pixels of a row.
_ROW = 26
# Letters of a name that stands level under its column.
_SHORT = 9
# Cells are as light on a dark page as on a light one, so their numbers are dark on both.
_BELOW, _NOTHING, _ABOVE, _ON_CELL = "#e58a63", "#cfd5dc", "#6ea8fe", "#1d2129"
# More columns than this leave no room for numbers.
_MOST_NUMBERS = 12


def heat_spec(
    cells: Sequence[Spec],
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    domain: tuple[float, float],
    title: str,
) -> Spec:
    """Returns the specification of a grid.

    Args:
        cells: each with ``x`` and ``y``, names, and ``v``, a number or None.
        columns: names, from left to right.
        rows: names, from top to bottom.
        domain: of the numbers; where it spans 0, its two sides have colours of their own.
        title: of the numbers.
    """
    is_short = max(map(len, columns)) <= _SHORT and len(columns) <= _MOST_NUMBERS
    across = {"labelAngle": 0 if is_short else -30}
    x = {"field": "x", "type": "nominal", "sort": list(columns), "title": None, "axis": across}
    y = {"field": "y", "type": "nominal", "sort": list(rows), "title": None}
    colour = {
        "field": "v",
        "type": "quantitative",
        "title": title,
        "scale": _scale(domain),
        "legend": {"orient": "right", "gradientLength": 90},
    }
    tip = [{"field": "x"}, {"field": "y"}, {"field": "v", "title": title}, {"field": "se"}]
    told = [cell for cell in cells if cell["v"] is not None]
    layers: list[Spec] = [
        {
            "data": {"values": [cell for cell in cells if cell["v"] is None]},
            "mark": {"type": "rect", "color": BAND},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": told},
            "mark": {"type": "rect"},
            "encoding": {"x": x, "y": y, "color": colour, "tooltip": tip},
        },
    ]
    if len(columns) <= _MOST_NUMBERS:
        number = {"field": "v", "type": "quantitative", "format": ".2f"}
        layers.append(
            {
                "data": {"values": told},
                "mark": {"type": "text", "fontSize": 10, "color": _ON_CELL},
                "encoding": {"x": x, "y": y, "text": number},
            }
        )
    return {
        "width": "container",
        "height": _ROW * max(2, len(rows)),
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }


def _scale(domain: tuple[float, float]) -> Spec:
    scale: Spec = {"domainMin": domain[0], "domainMax": domain[1], "clamp": True}
    if domain[0] < 0:
        return {**scale, "domainMid": 0, "interpolate": "rgb", "range": [_BELOW, _NOTHING, _ABOVE]}
    return {**scale, "range": [_NOTHING, _ABOVE]}
