"""The comparison plot, and the plot of planned contrasts: differences with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper._text import count
from sweeper.analysis.conclusions import Differences, SweepConclusions
from sweeper.analysis.statistics.verdicts import Conclusion, Unit
from sweeper.report.page.charts.base import (
    ACCENT,
    BAND,
    INK,
    PALE,
    PAPER,
    Chart,
    Spec,
    basis_text,
)

__all__ = ["comparison_charts"]

_STEP = 26
# Letters of a long name, whose parts stand below each other, and pixels of such a line.
_LONG, _LINE = 40, 12


def comparison_charts(found: SweepConclusions) -> Iterator[Chart]:
    """Yields the plot of configurations, and that of a design's planned contrasts.

    Args:
        found: the conclusions of a sweep.
    """
    if found.differences is not None and found.delta is not None:
        yield _differences(found.differences, found.metric, found.unit, found.delta)
    planned = [
        x
        for x in found.statements
        if isinstance(x, Conclusion)
        and x.family in {"size_trend", "factorial", "declared_pairs", "peaks_declared_pairs"}
        and x.basis.claim == "configurations"
    ]
    if planned and found.delta is not None:
        yield _planned(planned, found.metric, found.unit, found.delta)


def _differences(found: Differences, metric: str, unit: Unit, delta: float) -> Chart:
    names = [row.name for row in found.rows]
    factor = unit.factor
    means = [
        {
            "name": row.name,
            "x": row.estimate * factor,
            "member": row.in_best_set is not False,
            "low": None if row.interval is None else row.interval[0] * factor,
            "high": None if row.interval is None else row.interval[1] * factor,
        }
        for row in found.rows
    ]
    seeds = [{"name": row.name, "x": x * factor} for row in found.rows for x in row.seeds]
    y = _rows_of(names)
    layers = [
        *_band(delta * factor),
        _rules(means, y),
        *([] if found.of == "adapters" else [_seeds(seeds, y)]),
        _means([x for x in means if x["member"]], y, fill=ACCENT),
        _means([x for x in means if not x["member"]], y, fill=PAPER),
    ]
    return Chart(
        name="comparison",
        title=f"Difference to {found.reference}",
        note=_note(found, unit.exact(delta)),
        spec=_spec(layers, _axis(metric, unit), names),
    )


def _note(found: Differences, delta: str) -> str:
    what = "" if found.against == "control" else "the one that scored best, "
    dots = "" if found.of == "adapters" else " small dots: its seeds;"
    is_asked = any(row.in_best_set is not None for row in found.rows)
    members = " Filled: may be the best; hollow: is not." if is_asked else ""
    failed = sum(row.failed_seeds for row in found.rows)
    are = "is" if failed == 1 else "are"
    left_out = f" {count(failed, 'failed seed')} {are} left out." if failed else ""
    hidden = f" {found.hidden} more, all behind these, are not shown." if found.hidden else ""
    return (
        f"{basis_text(found.basis)}. Rings and discs: mean of the {found.of[:-1]}; lines: "
        f"{100 * found.basis.level:.3g} % interval of its difference to {what}"
        f"{found.reference}, all together;{dots} grey: within ±{delta} (δ)."
        f"{members}{left_out}{hidden}"
    )


def _planned(found: Sequence[Conclusion], metric: str, unit: Unit, delta: float) -> Chart:
    rows = [
        {
            "name": _label(x),
            "x": x.estimate * unit.factor,
            "low": x.interval[0] * unit.factor,
            "high": x.interval[1] * unit.factor,
        }
        for x in found
    ]
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    y = _rows_of(names)
    layers = [*_band(delta * unit.factor), _rules(rows, y), _means(rows, y, fill=ACCENT)]
    return Chart(
        name="contrasts",
        title="Planned contrasts",
        note=(
            f"{basis_text(found[0].basis)}. Each with its interval, those of a family together; "
            f"grey: within ±{unit.exact(delta)} (δ)."
        ),
        spec=_spec(layers, _axis(metric, unit), names),
    )


def _label(found: Conclusion) -> str:
    match found.contrasted:
        case "pair":
            return f"{found.names[0]} − {found.names[1]}"
        case "line":
            return f"{found.names[0]}: {found.names[1]} − {found.names[2]}, on the line"
        case "bend":
            return f"{found.names[0]}: ends − middle"
        case "main_effect":
            return f"{found.names[0]}: {found.names[1]} − {found.names[2]}"
        case "interaction":
            return f"{found.names[0]} × {found.names[3]}"


def _axis(metric: str, unit: Unit) -> str:
    noun = f", {unit.plural}" if unit.plural else ""
    return f"difference in {metric}{noun} (right is better)"


def _rows_of(names: Sequence[str]) -> Spec:
    """Returns the axis of the rows; where names are long their parts stand in lines."""
    lines = _lines(names)
    # A name of fewer parts gets empty ones before them, so that it stands at its row, too.
    missing = f"floor(({lines} - length(split(datum.label, ', '))) / 2)"
    parts = {
        "labelExpr": f"split(slice('{', ' * lines}', 0, 2 * {missing}) + datum.label, ', ')",
        "labelLineHeight": _LINE,
        "labelOffset": -_LINE * (lines - 1) / 2,
    }
    return {
        "field": "name",
        "type": "nominal",
        "sort": names,
        "title": None,
        "scale": {"domain": names},
        "axis": parts if lines > 1 else {},
    }


def _lines(names: Sequence[str]) -> int:
    """Returns how many lines names have."""
    if 2 * sum(len(name) > _LONG for name in names) < len(names):
        return 1
    return max(name.count(", ") + 1 for name in names)


def _spec(layers: list[Spec], title: str, names: Sequence[str]) -> Spec:
    layers = [layer for layer in layers if layer["data"]["values"]]
    for layer in layers:
        layer["encoding"].get("x", {}).update({"title": title, "scale": {"zero": False}})
    step = max(_STEP, _lines(names) * _LINE + 8)
    return {"width": "container", "height": max(2, len(names)) * step, "layer": layers}


def _band(delta: float) -> list[Spec]:
    return [
        {
            "data": {"values": [{"low": -delta, "high": delta}]},
            "mark": {"type": "rect", "color": BAND},
            "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
        },
        {
            "data": {"values": [{"x": 0}]},
            "mark": {"type": "rule", "color": PALE, "strokeDash": [4, 3]},
            "encoding": {"x": {"field": "x", "type": "quantitative"}},
        },
    ]


def _rules(rows: Sequence[Spec], y: Spec) -> Spec:
    return {
        "data": {"values": [row for row in rows if row["low"] is not None]},
        "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
        "encoding": {
            "y": y,
            "x": {"field": "low", "type": "quantitative"},
            "x2": {"field": "high"},
        },
    }


def _seeds(rows: Sequence[Spec], y: Spec) -> Spec:
    return {
        "data": {"values": list(rows)},
        "mark": {"type": "circle", "size": 26, "opacity": 0.55, "color": INK},
        "encoding": {"y": y, "x": {"field": "x", "type": "quantitative"}},
    }


def _means(rows: Sequence[Spec], y: Spec, *, fill: str) -> Spec:
    mark = {"type": "point", "size": 110, "filled": True, "fill": fill, "stroke": ACCENT}
    return {
        "data": {"values": list(rows)},
        "mark": {**mark, "strokeWidth": 2, "opacity": 1},
        "encoding": {
            "y": y,
            "x": {"field": "x", "type": "quantitative"},
            "tooltip": [
                {"field": "name", "title": "of"},
                {"field": "x", "title": "difference", "format": ".4g"},
                {"field": "low", "format": ".4g"},
                {"field": "high", "format": ".4g"},
            ],
        },
    }
