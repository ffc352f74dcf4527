"""Features by task: pictures of t-SNE side by side, and what the pictures do not prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from sweeper.analysis.inspection import Projection
from sweeper.analysis.inspection.results import Point, Separability
from sweeper.report.page.charts.base import INK, PALE, Chart, Spec, colours, num

__all__ = ["projection_charts"]

# Pictures beside each other.
_COLUMNS = 4
# Pixels of one, and the part of it that points may take.
_SIDE, _FILLED = 190, 0.84


def projection_charts(found: Projection, *, name: str) -> Iterator[Chart]:
    """Yields the scores, and the pictures of each layer.

    Args:
        found: by the inspection.
        name: what the charts' names begin with.
    """
    rows = f"{found.rows:,} {found.split} rows, {len(found.tasks)} tasks, one adapter"
    places = list(dict.fromkeys((x.layer, x.module) for x in found.scores))
    for layer, module in places:
        own = [x for x in found.scores if (x.layer, x.module) == (layer, module)]
        at = f"{module} of layer {layer}: {found.method}"
        yield Chart(
            name=f"{name}-{layer}-{module}",
            title=f"How separable tasks are in {at}",
            note=(
                f"{rows}. Filled: silhouette, hollow: balanced accuracy of a linear probe, each ± "
                f"1.96 standard errors; ticks: 95 % of {found.draws} permutations of the labels."
            ),
            spec=_scores(own),
        )
        points = [x for x in found.points if (x.layer, x.module) == (layer, module)]
        yield Chart(
            name=f"{name}-{layer}-{module}-t-sne",
            title=f"t-SNE of features by task in {at}",
            note=(
                f"{rows}; perplexity {found.perplexity:.3g}. It proves nothing: clusters are seen "
                "in noise, too, and neither their size nor their distance means anything."
            ),
            spec=_pictures(points, list(found.tasks)),
        )


def _scores(scores: Sequence[Separability]) -> Spec:
    names = [x.features for x in scores]
    axis = {"type": "quantitative", "title": "score", "scale": {"zero": True}}
    y = {
        "y": {"field": "y", "type": "nominal", "sort": names, "title": None},
        "yOffset": {"field": "k", "sort": ["silhouette", "probe"]},
    }
    fill = {
        "condition": {"test": "datum.k === 'silhouette'", "value": INK},
        "value": "transparent",
    }
    return {
        "width": "container",
        "height": 34 * max(2, len(names)),
        "data": {"values": [row for x in scores for row in _score_rows(x)]},
        "layer": [
            {
                "mark": {"type": "tick", "thickness": 2, "size": 12, "color": PALE},
                "encoding": {**y, "x": {**axis, "field": "null"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": INK},
                "encoding": {**y, "x": {**axis, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "size": 70, "color": INK, "opacity": 1},
                "encoding": {**y, "x": {**axis, "field": "x"}, "fill": fill},
            },
        ],
    }


def _score_rows(own: Separability) -> Iterator[Spec]:
    both = (
        ("silhouette", own.silhouette, own.silhouette_null),
        ("probe", own.probe, own.probe_null),
    )
    for kind, found, null in both:
        if found.value is not None:
            reach = 1.96 * (found.se or 0.0)
            yield {
                "y": own.features,
                "k": kind,
                "x": num(found.value),
                "low": num(found.value - reach),
                "high": num(found.value + reach),
                "null": num(null),
            }


def _pictures(points: Sequence[Point], tasks: Sequence[str]) -> Spec:
    names = list(dict.fromkeys(x.features for x in points))
    rows: list[Spec] = []
    titles: list[Spec] = []
    lines = -(-len(names) // _COLUMNS)
    for place, name in enumerate(names):
        line, column = divmod(place, _COLUMNS)
        rows += _placed([x for x in points if x.features == name], column, lines - 1 - line)
        titles.append({"x": column + 0.04, "y": lines - line - 0.05, "t": name})
    columns = min(_COLUMNS, len(names))

    def axis(field: str, most: int) -> Spec:
        scale = {"domain": [0, most], "nice": False}
        return {"field": field, "type": "quantitative", "axis": None, "scale": scale}

    x, y = axis("x", columns), axis("y", lines)
    tip = [{"field": "c", "title": "task"}, {"field": "f", "title": "features"}]
    text = {"type": "text", "align": "left", "fontWeight": "bold", "color": INK}
    return {
        "width": "container",
        "height": _SIDE * lines,
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "circle", "size": 24, "opacity": 0.8},
                "encoding": {"x": x, "y": y, "color": colours(tasks), "tooltip": tip},
            },
            {
                "data": {"values": titles},
                "mark": text,
                "encoding": {"x": x, "y": y, "text": {"field": "t"}},
            },
        ],
    }


def _placed(points: Sequence[Point], column: int, line: int) -> Iterator[Spec]:
    """Yields the points of a picture, in its place and at its size."""
    middle = fmean(x.x for x in points), fmean(x.y for x in points)
    most = max(max(abs(p.x - middle[0]), abs(p.y - middle[1])) for p in points) or 1.0
    for p in points:
        yield {
            "x": num(column + 0.5 + _FILLED / 2 * (p.x - middle[0]) / most),
            "y": num(line + 0.47 + _FILLED / 2 * (p.y - middle[1]) / most),
            "c": p.task,
            "f": p.features,
        }
