"""CKA of adjacent layers: over the depth of the model, and by module."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.analysis.inspection import Similarity
from sweeper.analysis.inspection.results import MeanSimilarity
from sweeper.analysis.statistics.multiplicity import t_value
from sweeper.report.page.charts.base import Chart, Spec, colours, num
from sweeper.report.page.charts.inspection.heat import heat_spec

__all__ = ["similarity_charts"]

_TITLES = {"input": "inputs", "a": "outputs of A", "increment": "ΔW·x"}


def similarity_charts(found: Similarity, *, name: str) -> Iterator[Chart]:
    """Yields means over the depth and a grid of each part, as in MASA's Figure 3.

    Args:
        found: by the inspection.
        name: what the charts' names begin with.
    """
    basis = (
        f"Linear CKA, debiased; {found.rows:,} {found.split} rows × {found.tokens} tokens, one "
        "adapter"
    )
    t = t_value(found.blocks - 1, 0.025)
    yield Chart(
        name=name,
        title=f"CKA of adjacent layers: {found.method}",
        note=(
            f"{basis}. Means over {len(found.modules)} modules; bars: 95 % by a jackknife over "
            f"{found.blocks} blocks of rows."
        ),
        spec=_depth(found, t),
    )
    for part, title in (("A", "outputs of A"), ("increment", "ΔW·x")):
        cells: list[Spec] = [
            {
                "x": f"{pair.first}-{pair.second}",
                "y": pair.module,
                "v": None if pair.cka.value is None else num(pair.cka.value),
                "se": None if pair.cka.se is None else num(pair.cka.se),
            }
            for pair in found.pairs
            if pair.part == part
        ]
        if cells:
            yield Chart(
                name=f"{name}-{part.lower()}",
                title=f"CKA of {title} by module: {found.method}",
                note=f"{basis}. Columns: pairs of adjacent layers.",
                spec=heat_spec(
                    cells,
                    columns=list(dict.fromkeys(str(cell["x"]) for cell in cells)),
                    rows=found.modules,
                    domain=(0, 1),
                    title="CKA",
                ),
            )


def _depth(found: Similarity, t: float) -> Spec:
    rows = [row for mean in found.by_layers for row in _rows(mean, t)]
    pairs = [mean.of for mean in found.by_layers]
    names = [title for title in _TITLES.values() if any(row["c"] == title for row in rows)]
    x = {
        "field": "x",
        "type": "ordinal",
        "sort": pairs,
        "title": "layers",
        "axis": {"labelAngle": 0},
    }
    y = {"type": "quantitative", "title": "CKA", "scale": {"domain": [0, 1]}}
    colour = colours(names)
    return {
        "width": "container",
        "height": 260,
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "line", "point": True},
                "encoding": {"x": x, "y": {**y, "field": "y"}, "color": colour},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "color": colour,
                },
            },
        ],
    }


def _rows(mean: MeanSimilarity, t: float) -> Iterator[Spec]:
    for part, title in _TITLES.items():
        own = getattr(mean, part)
        if own is not None and own.value is not None:
            reach = t * (own.se or 0.0)
            yield {
                "x": mean.of,
                "c": title,
                "y": num(own.value),
                "low": num(own.value - reach),
                "high": num(own.value + reach),
            }
