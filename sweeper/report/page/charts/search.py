"""What a search tried: parallel coordinates, and the parameters that mattered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from sweeper._text import differing, value_text
from sweeper.report.page.charts.base import ACCENT, INK, Chart, Spec, num
from sweeper.report.page.searched import Searched, searched_of
from sweeper.report.page.subject import Subject
from sweeper.search import Importances

__all__ = ["importance_charts", "parallel_charts"]

_MOST_AXES = 12
# Values whose largest is so many times the smallest stand on a logarithmic axis.
_LOG = 20.0
# Readable on a light page and on a dark one; the better end is the second.
_RANGE = ("#8a8f98", "#d9822b")
_AXIS = {
    "labelAngle": -30,
    "labelLimit": 130,
    "grid": True,
    "domain": False,
    "ticks": False,
}
_TICK = {
    "type": "text",
    "align": "left",
    "dx": 5,
    "dy": -7,
    "fontSize": 10,
    "color": INK,
    "limit": 70,
}


def parallel_charts(subject: Subject) -> Iterator[Chart]:
    """Yields parallel coordinates of the trials that a search compared; nothing without any."""
    found = searched_of(subject)
    records = [trial.record for trial in found.trials]
    params = [{"method": x.method, **x.params} if x.params else {} for x in records]
    names = [name for name in differing(params) if name not in {"trial", "seed"}][:_MOST_AXES]
    if len(records) < 2 or not names:
        return
    rows, ticks = [], []
    for name in names:
        places = _places([own.get(name) for own in params])
        ticks += [{"p": name, "y": y, "v": text} for text, y in places.items()]
        for trial, own in zip(found.trials, params, strict=True):
            if name in own:
                value = value_text(own[name])
                row = {"t": trial.record.number, "p": name, "y": places[value], "v": value}
                rows.append({**row, "s": num(trial.value)})
    metric = subject.conclusions.metric
    is_less_better = subject.ranking.sign > 0
    yield Chart(
        name="parallel",
        title="Parameters of the trials" if found.at else "Parameters of the complete trials",
        note=_parallel_note(found, metric, "lower" if is_less_better else "higher"),
        spec=_parallel(metric, names, rows, _ends(ticks), is_less_better=is_less_better),
    )


def _parallel_note(found: Searched, metric: str, better: str) -> str:
    shown = len(found.trials)
    trials = f"{shown} trials"
    if shown < found.total:
        trials = f"The best {shown} of {found.total:,} trials"
    at = f" {found.at}, where the search compared them" if found.at else ""
    rest = "failed" if found.at else "were stopped early or failed"
    return (
        f"{trials}, one seed each, {metric} on the validation rows{at} ({better} is better). Each "
        f"line is a trial; trials that {rest} are not here."
    )


def importance_charts(found: Importances) -> Iterator[Chart]:
    """Yields the shares of the parameters that are above chance; nothing where none is."""
    if not found.shown:
        return
    yield Chart(
        name="importances",
        title="Parameters that mattered",
        note=(
            f"PED-ANOVA of {found.trials} trials by the values that they were searched by, one "
            "seed each, validation rows; the "
            f"best {100 * found.target_quantile:.0f} % against all. Lines: 95 % of a bootstrap of "
            "the trials. What does no more than chance does in 99 shuffles is not shown."
        ),
        spec=_shares(found),
    )


def _shares(found: Importances) -> Spec:
    rows = [
        {"name": x.name, "x": x.share, "low": x.interval[0], "high": x.interval[1]}
        for x in found.shown
    ]
    names = [x.name for x in found.shown]
    x = {
        "type": "quantitative",
        "title": "share in what makes the best trials",
        "scale": {"domain": [0, 1]},
        "axis": {"format": "%"},
    }
    y = {"field": "name", "type": "nominal", "sort": names, "title": None}
    point = {"type": "point", "filled": True, "size": 110, "fill": ACCENT, "opacity": 1}
    return {
        "width": "container",
        "height": 26 * max(2, len(names)),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": INK},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {"mark": point, "encoding": {"y": y, "x": {**x, "field": "x"}}},
        ],
    }


def _places(values: Sequence[JsonValue]) -> dict[str, float]:
    """Returns by its text where each value stands on its axis, from 0 to 1."""
    present = [value for value in values if value is not None]
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in present):
        numbers = sorted({float(str(x)) for x in present})
        low, high = numbers[0], numbers[-1]
        scale = math.log if low > 0 and high > _LOG * low else float
        width = scale(high) - scale(low) or 1.0
        found = {value_text(x): (scale(float(str(x))) - scale(low)) / width for x in present}
    else:
        texts = sorted({value_text(x) for x in present})
        found = {text: place / max(1, len(texts) - 1) for place, text in enumerate(texts)}
    if len(present) < len(values):
        # Off the axis: the trial's method has no such parameter, or it is none.
        found.setdefault(value_text(None), -0.12)
    return {text: round(place, 4) for text, place in found.items()}


def _ends(ticks: Sequence[Spec]) -> list[Spec]:
    """Returns the ticks that are written: of many on one axis the ends alone."""
    by_axis: dict[str, list[Spec]] = {}
    for tick in sorted(ticks, key=lambda tick: tick["y"]):
        by_axis.setdefault(tick["p"], []).append(tick)
    few = 6
    return [
        tick for own in by_axis.values() for tick in (own if len(own) <= few else [own[0], own[-1]])
    ]


def _parallel(
    metric: str, names: list[str], rows: list[Spec], ticks: list[Spec], *, is_less_better: bool
) -> Spec:
    x = {
        "field": "p",
        "type": "nominal",
        "sort": names,
        "title": None,
        "scale": {"domain": names, "type": "point", "padding": 0.4},
        "axis": _AXIS,
    }
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [-0.15, 1.08]}}
    return {
        "width": "container",
        "height": 300,
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.7},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": _score_colour(metric, is_less_better=is_less_better),
                    "detail": {"field": "t"},
                    "tooltip": [
                        {"field": "t", "title": "trial"},
                        {"field": "v", "title": "value"},
                        {"field": "s", "title": metric},
                    ],
                },
            },
            {
                "data": {"values": ticks},
                "mark": _TICK,
                "encoding": {"x": x, "y": y, "text": {"field": "v"}},
            },
        ],
    }


def _score_colour(metric: str, *, is_less_better: bool) -> Spec:
    scheme = _RANGE[::-1] if is_less_better else _RANGE
    return {
        "field": "s",
        "type": "quantitative",
        "title": metric,
        "scale": {"range": list(scheme), "interpolate": "lab", "zero": False},
        "legend": {"orient": "bottom", "gradientLength": 180},
    }
