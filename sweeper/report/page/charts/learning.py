"""Learning curves: each seed's, and a band over the seeds of a configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from sweeper.errors import DamagedFileError
from sweeper.report.page.charts.base import Chart, Spec, colours, num
from sweeper.report.page.subject import Group, Subject
from sweeper.tracking.record import TrialRecord

__all__ = ["learning_charts"]

# More lines than this cannot be told apart.
_MOST_GROUPS = 20
_MOST_POINTS = 40
_CLICK = "A click on the legend picks one out."


def learning_charts(subject: Subject) -> Iterator[Chart]:
    """Yields the chart of a sweep's evaluations in training; nothing where there are none."""
    if subject.conclusions.plan is None:
        yield from _of_search(subject)
    else:
        yield from _of_design(subject)


def _of_search(subject: Subject) -> Iterator[Chart]:
    """Yields the curves of all trials that are shown, however far they came."""
    metric = subject.conclusions.metric
    curves = [_curve(subject, record, record.method) for record in subject.shown]
    lines = [point for curve in curves for point in curve]
    if not lines:
        return
    # A single evaluation is no line.
    singles = [curve[0] for curve in curves if len(curve) == 1]
    early = sum(
        bool(x) and y.status != "complete" for x, y in zip(curves, subject.shown, strict=True)
    )
    were = "was" if early == 1 else "were"
    said = f" {early} of them {were} not trained to the end." if early else ""
    names = list(dict.fromkeys(str(point["c"]) for point in lines))
    yield Chart(
        name="learning",
        title=f"{metric} while training",
        note=(
            f"{_rows(subject)}, a line a trial, a dot where it was evaluated once.{said} {_CLICK}"
        ),
        spec=_spec(metric, names, lines, singles=singles),
    )


def _of_design(subject: Subject) -> Iterator[Chart]:
    """Yields a line for each seed and a band for each configuration."""
    groups, said = _chosen(subject)
    metric = subject.conclusions.metric
    lines = [
        point
        for group in groups
        for record in group.complete
        for point in _curve(subject, record, group.name)
    ]
    if not lines:
        return
    names = list(dict.fromkeys(str(point["c"]) for point in lines))
    seeds = max(len(group.complete) for group in groups)
    yield Chart(
        name="learning",
        title=f"{metric} while training",
        note=(
            f"{_rows(subject)}, a thin line a seed, up to {seeds}. Band: from the lowest seed to "
            f"the highest; thick: their mean.{said} {_CLICK}"
        ),
        spec=_spec(metric, names, lines, bands=_bands(lines)),
    )


def _chosen(subject: Subject) -> tuple[Sequence[Group], str]:
    """Returns the configurations whose curves are shown, and what is said of the choice."""
    groups = subject.chosen
    said = " Of each method the rate that validation chose is shown." if subject.is_tuned else ""
    hidden = len(groups) - _MOST_GROUPS
    return groups[:_MOST_GROUPS], said + (f" {hidden} more are not shown." if hidden > 0 else "")


def _rows(subject: Subject) -> str:
    table = subject.conclusions.validation or subject.conclusions.table
    if table is None or table.split != "validation":
        return "On validation rows"
    return f"On {len(table.strata):,} validation rows"


def _curve(subject: Subject, record: TrialRecord, name: str) -> list[Spec]:
    """Returns the points of a trial's curve, those that are shown; ``name`` gives its colour."""
    metric = subject.conclusions.metric
    try:
        points = subject.folder.trial(record.id).evaluations(metric)
    except DamagedFileError:
        # It is among the damaged files.
        return []
    step = max(1, -(-len(points) // _MOST_POINTS))
    # From the end, so that the last evaluation is always among them.
    shown = [(x, num(metrics[metric])) for x, metrics in points[::-1][::step][::-1]]
    return [{"c": name, "t": record.number, "x": x, "y": y} for x, y in shown if y is not None]


def _bands(lines: Sequence[Spec]) -> list[Spec]:
    by_place: dict[tuple[str, int], list[float]] = defaultdict(list)
    for point in lines:
        by_place[str(point["c"]), point["x"]].append(point["y"])
    return [
        {"c": name, "x": x, "low": min(ys), "high": max(ys), "y": num(fmean(ys))}
        for (name, x), ys in sorted(by_place.items())
    ]


def _spec(
    metric: str,
    names: list[str],
    lines: list[Spec],
    *,
    bands: Sequence[Spec] = (),
    singles: Sequence[Spec] = (),
) -> Spec:
    x = {"field": "x", "type": "quantitative", "title": "step", "scale": {"zero": True}}
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
    if singles:
        layers.append(
            {
                "data": {"values": list(singles)},
                "mark": {"type": "point", "filled": True, "size": 40},
                "encoding": {**encoding, "opacity": _picked(0.8, 0.05)},
            }
        )
    layers += _band_layers(bands, encoding) if bands else []
    return {"width": "container", "height": 300, "layer": layers}


def _band_layers(bands: Sequence[Spec], encoding: Spec) -> list[Spec]:
    """Returns the bands over the seeds of each configuration, and their means."""
    values = {"values": list(bands)}
    low = {**encoding["y"], "field": "low"}
    return [
        {
            "data": values,
            "mark": "area",
            "encoding": {
                **encoding,
                "y": low,
                "y2": {"field": "high"},
                "opacity": _picked(0.15, 0.02),
            },
        },
        {
            "data": values,
            "mark": {"type": "line", "strokeWidth": 2.5},
            "encoding": {**encoding, "opacity": _picked(1, 0.05)},
        },
    ]


def _picked(shown: float, hidden: float) -> Spec:
    """Returns the opacity of what the legend has picked, or of all, and that of the rest."""
    return {"condition": {"param": "picked", "value": shown}, "value": hidden}
