"""The curve of each tuned method over its rate, with the peak that it is compared by."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.conclusions.questions import rate_grids
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.questions import Peak, RateGrid, peak_of
from sweeper.analysis.statistics.units import by_unit
from sweeper.errors import BadInputError
from sweeper.report.page.charts.base import INK, Chart, Spec, colours, num

__all__ = ["rate_charts"]


def rate_charts(found: SweepConclusions, *, sign: int) -> Iterator[Chart]:
    """Yields the chart of a design that tunes; nothing of any other.

    Args:
        found: the conclusions of a sweep.
        sign: 1 where more of the metric is better, else -1.
    """
    plan, table = found.plan, found.table
    if plan is None or plan.question != "tuned" or table is None:
        return
    tests = {each.name: each for each in by_unit(table).configurations}
    grids = rate_grids(plan)
    tops = list(_peaks(grids, table, found.validation or table))
    dots, means = _points(grids, tests, sign)
    edges = [grid.method for grid, top in tops if top.at_edge]
    said = f" The best rate of {', '.join(edges)} is an end of its grid." if edges else ""
    seeds = max(len(each.seeds) for each in table.configurations)
    rows = f"{len(table.strata):,} {table.split} rows"
    yield Chart(
        name="rates",
        title=f"{found.metric} over {grids[0].parameter}",
        note=(
            f"Up to {seeds} seeds × {rows}. Dots: seeds; lines: their means; diamonds: the peak by "
            f"a parabola around the rate that validation chose.{said}"
        ),
        spec=_spec(
            found.metric, grids, dots, means, [_peak_row(grid, top, sign) for grid, top in tops]
        ),
    )


def _peaks(
    grids: tuple[RateGrid, ...], table: ScoreTable, validation: ScoreTable
) -> Iterator[tuple[RateGrid, Peak]]:
    tests = {each.name: each for each in by_unit(table).configurations}
    choices = {each.name: each for each in by_unit(validation).configurations}
    for grid in grids:
        try:
            yield grid, peak_of(grid, tests, choices)
        except BadInputError:
            # Too little of it was scored; the verdicts say so.
            continue


def _peak_row(grid: RateGrid, top: Peak, sign: int) -> Spec:
    return {"c": grid.method, "x": num(top.rate), "y": num(sign * top.value)}


def _points(
    grids: tuple[RateGrid, ...], tests: dict[str, ConfigurationScores], sign: int
) -> tuple[list[Spec], list[Spec]]:
    dots: list[Spec] = []
    means: list[Spec] = []
    for grid in grids:
        for rate, name in zip(grid.rates, grid.configurations, strict=True):
            if name in tests:
                scores = sign * tests[name].scores.mean(axis=1)
                dots += [{"c": grid.method, "x": rate, "y": num(float(y))} for y in scores]
                means.append({"c": grid.method, "x": rate, "y": num(float(scores.mean()))})
    return dots, means


def _spec(
    metric: str, grids: tuple[RateGrid, ...], dots: list[Spec], means: list[Spec], tops: list[Spec]
) -> Spec:
    x = {
        "field": "x",
        "type": "quantitative",
        "title": grids[0].parameter,
        "scale": {"type": "log", "nice": False},
        "axis": {"format": ".1e", "values": list(grids[0].rates), "labelOverlap": True},
    }
    y = {"field": "y", "type": "quantitative", "title": metric, "scale": {"zero": False}}
    colour = colours([grid.method for grid in grids])
    encoding = {"x": x, "y": y, "color": colour}
    tip = [{"field": "c", "title": "method"}, {"field": "x", "title": "rate"}, {"field": "y"}]
    diamond = {"type": "point", "shape": "diamond", "size": 130, "filled": True, "stroke": INK}
    return {
        "width": "container",
        "height": 300,
        "layer": [
            {
                "data": {"values": dots},
                "mark": {"type": "circle", "size": 22, "opacity": 0.5},
                "encoding": encoding,
            },
            {"data": {"values": means}, "mark": "line", "encoding": encoding},
            {
                "data": {"values": tops},
                "mark": {**diamond, "opacity": 1},
                "encoding": {**encoding, "tooltip": tip},
            },
        ],
    }
