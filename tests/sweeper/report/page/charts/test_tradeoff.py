"""The Pareto front is what nothing beats in cost and quality."""

from __future__ import annotations

from dataclasses import replace

from sweeper.report.page.charts.tradeoff import front_of, tradeoff_charts


def test_the_front_is_what_nothing_beats_in_both():
    points = [(1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (3.0, 0.7), (4.0, 0.9), (1.0, 0.5)]
    assert front_of(points, is_less_better=False) == [True, True, False, False, True, True]
    losses = [(cost, -quality) for cost, quality in points]
    assert front_of(losses, is_less_better=True) == [True, True, False, False, True, True]


def test_sizes_of_one_budget_are_no_trade(groups):
    names = {chart.name for chart in tradeoff_charts(groups)}
    assert names == {"parameters", "time"}
    alike = [
        replace(
            group, trials=tuple(x.model_copy(update={"trainable": 100}) for x in group.trials)
        )
        for group in groups.groups
    ]
    same = replace(groups)
    same.__dict__["groups"] = tuple(alike)
    assert {chart.name for chart in tradeoff_charts(same)} == {"time"}
