"""Singular values of each layer's ΔW, the largest first."""

from __future__ import annotations

from sweeper.analysis.inspection import Spectra
from sweeper.report.page.charts.base import INK, Chart, Spec, colours, num

__all__ = ["spectra_chart"]

# Values below this share of the largest are rounding, and would make the axis.
_LEAST = 1e-7


def spectra_chart(found: Spectra, *, name: str) -> Chart:
    """Returns the chart of all spectra.

    Args:
        found: by the inspection.
        name: of the chart.
    """
    return Chart(
        name=name,
        title=f"Singular values of ΔW: {found.method}",
        note=(
            "A line a layer; dashed: the threshold above which values are counted. One adapter's "
            "weights, which have no error."
        ),
        spec=_spec(found),
    )


def _spec(found: Spectra) -> Spec:
    rows: list[Spec] = [
        {"c": own.module, "d": f"{own.module} {own.layer}", "x": place + 1, "y": num(value)}
        for own in found.spectra
        for place, value in zip(own.places, own.values, strict=True)
        if value > _LEAST * own.spectral
    ]
    most = max((row["x"] for row in rows), default=1)
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "place",
        "axis": {"format": "d", "tickMinStep": 1},
        "scale": {"type": "log" if most > 32 else "linear", "nice": False},
    }
    y = {"field": "y", "type": "quantitative", "title": "σ", "scale": {"type": "log"}}
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "line", "opacity": 0.6},
            "encoding": {
                "x": x,
                "y": y,
                "color": colours(found.modules),
                "detail": {"field": "d"},
                "tooltip": [{"field": "d", "title": "layer"}, {"field": "x"}, {"field": "y"}],
            },
        }
    ]
    if found.threshold > 0:
        layers.append(
            {
                "data": {"values": [{"y": found.threshold}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": INK},
                "encoding": {"y": y},
            }
        )
    return {"width": "container", "height": 280, "layer": layers}
