"""What quality costs: against trainable parameters and against time, with the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from sweeper._text import duration
from sweeper.report.page.charts.base import ACCENT, INK, PALE, PAPER, Chart, Spec, num
from sweeper.report.page.subject import Subject

__all__ = ["front_of", "tradeoff_charts"]

# Sizes that differ by less are those of one budget: there is nothing to trade.
_SAME = 0.05
# More names than this would cover each other.
_MOST_NAMED = 8


@dataclass(frozen=True)
class _Point:
    name: str
    cost: float
    quality: float


def front_of(points: Sequence[tuple[float, float]], *, is_less_better: bool) -> list[bool]:
    """Returns of each (cost, quality) whether no other is as good in both and better in one.

    Args:
        points: Less cost is better.
        is_less_better: Whether less of the quality is better, too, such as a loss.
    """
    sign = -1.0 if is_less_better else 1.0

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        is_as_good = one[0] <= other[0] and sign * one[1] >= sign * other[1]
        return is_as_good and one != other

    return [not any(beats(other, point) for other in points) for point in points]


def tradeoff_charts(subject: Subject) -> Iterator[Chart]:
    """Yields quality against parameters and against time, as far as these differ."""
    sizes, times = [], []
    for group in subject.chosen:
        # A search evaluates its best trials alone after it: all are shown by validation.
        is_search = subject.conclusions.plan is None
        score = subject.mean_score(group) if is_search else subject.mean_final(group)
        if score is None:
            continue
        name = group.method if subject.is_tuned else group.name
        sizes.append(_Point(name, group.complete[0].trainable, score))
        spent = [x.train_time_s for x in group.complete if x.train_time_s > 0]
        if spent:
            times.append(_Point(name, fmean(spent), score))
    said = _basis(subject)
    if _differ(sizes):
        yield _chart(subject, "parameters", "trainable parameters", sizes, said, is_time=False)
    if _differ(times):
        yield _chart(subject, "time", "seconds in training steps", times, said, is_time=True)


def _differ(points: Sequence[_Point]) -> bool:
    costs = [point.cost for point in points]
    return len(points) > 1 and min(costs) > 0 and max(costs) - min(costs) > _SAME * max(costs)


def _basis(subject: Subject) -> str:
    table = subject.conclusions.table
    seeds = max((len(group.complete) for group in subject.chosen), default=0)
    is_search = subject.conclusions.plan is None
    split = "validation" if is_search else subject.final_split
    rows = f"{split} rows"
    if table is not None and table.split == split:
        rows = f"{len(table.strata):,} {rows}"
    tuned = ", each method at the rate that validation chose" if subject.is_tuned else ""
    return f"{'One seed' if seeds == 1 else f'Means of up to {seeds} seeds'}, {rows}{tuned}"


def _chart(
    subject: Subject, name: str, title: str, points: list[_Point], said: str, *, is_time: bool
) -> Chart:
    is_less_better = subject.ranking.sign > 0
    on_front = front_of([(x.cost, x.quality) for x in points], is_less_better=is_less_better)
    rows = [
        {
            "name": x.name,
            "x": num(x.cost),
            "y": num(x.quality),
            "cost": duration(x.cost) if is_time else f"{int(x.cost):,}",
            "front": front,
        }
        for x, front in zip(points, on_front, strict=True)
    ]
    metric = subject.conclusions.metric
    better = "lower" if is_less_better else "higher"
    return Chart(
        name=name,
        title=f"{metric} against {title}",
        note=(
            f"{said}; {better} is better. Filled and joined: the Pareto front, which nothing beats "
            "in both; it is of means, and says nothing of what can be told apart."
        ),
        spec=_spec(metric, title, rows),
    )


def _spec(metric: str, title: str, rows: list[Spec]) -> Spec:
    costs = [row["x"] for row in rows]
    is_log = max(costs) > 8 * min(costs)
    scale = {"type": "log"} if is_log else {"zero": False}
    x = {"field": "x", "type": "quantitative", "title": title, "scale": {**scale, "padding": 12}}
    y = {"field": "y", "type": "quantitative", "title": metric, "scale": {"zero": False}}
    tip = [{"field": "name", "title": "of"}, {"field": "cost", "title": title}, {"field": "y"}]
    front = sorted((row for row in rows if row["front"]), key=lambda row: row["x"])
    point = {"type": "point", "size": 80, "filled": True, "stroke": ACCENT, "opacity": 1}
    layers: list[Spec] = [
        {
            "data": {"values": front},
            "mark": {"type": "line", "color": PALE, "strokeDash": [4, 3]},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": [row for row in rows if not row["front"]]},
            "mark": {**point, "fill": PAPER},
            "encoding": {"x": x, "y": y, "tooltip": tip},
        },
        {
            "data": {"values": front},
            "mark": {**point, "fill": ACCENT},
            "encoding": {"x": x, "y": y, "tooltip": tip},
        },
    ]
    if len(front) <= _MOST_NAMED:
        ends = min(costs), max(costs)
        middle = (ends[0] * ends[1]) ** 0.5 if is_log else sum(ends) / 2
        layers += _names(front, {"x": x, "y": y, "text": {"field": "name"}}, middle=middle)
    return {
        "width": "container",
        "height": 260,
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }


def _names(rows: Sequence[Spec], encoding: Spec, *, middle: float) -> list[Spec]:
    """Returns layers with the points' names, each on the side of its point that has room for it."""
    text = {"type": "text", "dy": -7, "limit": 200, "color": INK}
    return [
        {
            "data": {"values": [row for row in rows if (row["x"] > middle) == is_right]},
            "mark": {**text, "align": "right" if is_right else "left", "dx": -9 if is_right else 9},
            "encoding": encoding,
        }
        for is_right in (False, True)
    ]
