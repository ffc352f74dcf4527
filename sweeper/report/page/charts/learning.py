"""Learning curves: each seed's, and a band over the seeds of a configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from sweeper.report.page.charts.base import Chart, Spec, colours, num
from sweeper.report.page.subject import Group, Subject

__all__ = ["learning_charts"]

# More lines than this cannot be told apart.
_MOST_GROUPS = 20
_MOST_POINTS = 40


def learning_charts(subject: Subject) -> Iterator[Chart]:
    """Yields the chart of a sweep's evaluations in training; nothing where there are none."""
    groups, said = _chosen(subject)
    is_search = subject.conclusions.plan is None
    lines = [point for group in groups for point in _lines(subject, group, is_search=is_search)]
    if not lines:
        return
    names = list(dict.fromkeys(str(point["c"]) for point in lines))
    seeds = max(len(group.complete) for group in groups)
    band = "" if is_search else " Band: from the lowest seed to the highest; thick: their mean."
    each = "a line a trial" if is_search else f"a thin line a seed, up to {seeds}"
    yield Chart(
        name="learning",
        title=f"{subject.conclusions.metric} while training",
        note=f"{_rows(subject)}, {each}.{band}{said} A click on the legend picks one out.",
        spec=_spec(subject.conclusions.metric, names, lines, [] if is_search else _bands(lines)),
    )


def _chosen(subject: Subject) -> tuple[Sequence[Group], str]:
    """Returns the configurations whose curves are shown, and what is said of the choice."""
    groups = subject.chosen
    found = subject.conclusions
    if found.plan is None:
        return groups, ""
    said = " Of each method the rate that validation chose is shown." if subject.is_tuned else ""
    hidden = len(groups) - _MOST_GROUPS
    return groups[:_MOST_GROUPS], said + (f" {hidden} more are not shown." if hidden > 0 else "")


def _rows(subject: Subject) -> str:
    table = subject.conclusions.validation or subject.conclusions.table
    if table is None or table.split != "validation":
        return "On validation rows"
    return f"On {len(table.strata):,} validation rows"


def _lines(subject: Subject, group: Group, *, is_search: bool) -> Iterator[Spec]:
    metric = subject.conclusions.metric
    for record in group.complete:
        points = subject.folder.trial(record.id).evaluations(metric)
        step = max(1, -(-len(points) // _MOST_POINTS))
        # From the end, so that the last evaluation is always among them.
        for x, metrics in points[::-1][::step][::-1]:
            y = num(metrics[metric])
            if y is not None:
                yield {
                    "c": group.method if is_search else group.name,
                    "t": record.number,
                    "x": x,
                    "y": y,
                }


def _bands(lines: Sequence[Spec]) -> list[Spec]:
    by_place: dict[tuple[str, int], list[float]] = defaultdict(list)
    for point in lines:
        by_place[str(point["c"]), point["x"]].append(point["y"])
    return [
        {"c": name, "x": x, "low": min(ys), "high": max(ys), "y": num(fmean(ys))}
        for (name, x), ys in sorted(by_place.items())
    ]


def _spec(metric: str, names: list[str], lines: list[Spec], bands: list[Spec]) -> Spec:
    x = {"field": "x", "type": "quantitative", "title": "step"}
    y = {"field": "y", "type": "quantitative", "title": metric, "scale": {"zero": False}}
    colour = colours(names)
    encoding = {"x": x, "y": y, "color": colour}

    layers: list[Spec] = [
        {
            "data": {"values": lines},
            "params": [
                {"name": "picked", "select": {"type": "point", "fields": ["c"]}, "bind": "legend"}
            ],
            "mark": {"type": "line", "strokeWidth": 1},
            "encoding": {
                **encoding,
                "detail": {"field": "t"},
                "opacity": _picked(0.5 if bands else 0.8, 0.05),
            },
        }
    ]
    if bands:
        layers += [
            {
                "data": {"values": bands},
                "mark": "area",
                "encoding": {
                    **encoding,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "opacity": _picked(0.15, 0.02),
                },
            },
            {
                "data": {"values": bands},
                "mark": {"type": "line", "strokeWidth": 2.5},
                "encoding": {**encoding, "opacity": _picked(1, 0.05)},
            },
        ]
    return {"width": "container", "height": 300, "layer": layers}


def _picked(shown: float, hidden: float) -> Spec:
    """Returns the opacity of what the legend has picked, or of all, and that of the rest."""
    return {"condition": {"param": "picked", "value": shown}, "value": hidden}
