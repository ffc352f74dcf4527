"""What the experts of a layer have in common, beside what random spaces have."""

from __future__ import annotations

from sweeper.analysis.inspection import Diversity
from sweeper.report.page.charts.base import ACCENT, BAND, Chart, Spec, num

__all__ = ["diversity_chart"]


def diversity_chart(found: Diversity, *, name: str) -> Chart:
    """Returns the chart of all sets of experts.

    Args:
        found: by the inspection.
        name: of the chart.
    """
    return Chart(
        name=name,
        title=f"What experts have in common: {found.method}",
        note=(
            "Mean cos² of the principal angles between the row spaces of the A of a layer, or of "
            "layers that share them: 0 orthogonal, 1 the same. Grey: 95 % of independent random "
            "spaces of the same size. One adapter's weights."
        ),
        spec=_spec(found),
    )


def _spec(found: Diversity) -> Spec:
    rows = [
        {
            "y": f"{own.module} {own.layers[0]}"
            + (f"-{own.layers[-1]}" if len(own.layers) > 1 else ""),
            "x": num(own.shared),
            "low": num(own.random_low),
            "high": num(own.random_high),
        }
        for own in found.groups
    ]
    x = {"type": "quantitative", "title": "mean cos²", "scale": {"zero": True}}
    y = {"field": "y", "type": "nominal", "sort": [row["y"] for row in rows], "title": None}
    tip = [{"field": "y", "title": "of"}, {"field": "x"}, {"field": "low"}, {"field": "high"}]
    return {
        "width": "container",
        "height": 18 * max(3, len(rows)),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 8, "color": BAND},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 70,
                    "color": ACCENT,
                    "opacity": 1,
                },
                "encoding": {"y": y, "x": {**x, "field": "x"}, "tooltip": tip},
            },
        ],
    }
