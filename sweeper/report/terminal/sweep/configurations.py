"""The configurations of a design in a table, or its tuned methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.conclusions.questions import rate_grids
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.questions import peaks
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate
from sweeper.report.terminal.tables import row_table

__all__ = ["configurations_table"]


@dataclass(frozen=True)
class _Row:
    name: str
    seeds: str
    score: str
    rate: str = ""


def configurations_table(found: SweepConclusions, ranking: Ranking) -> Table | None:
    """Returns a design's configurations in their order, each with its mean over seeds.

    Of a design that tunes its methods these are the methods, each with the peak of its curve.

    Args:
        found: the conclusions of a sweep.
        ranking: of its trials.

    Returns:
        None where there is no design, or no score.
    """
    if found.plan is None or found.table is None:
        return None
    is_tuned = found.plan.tuned is not None
    rows = list(_methods(found, found.table) if is_tuned else _configurations(found, found.table))
    table = row_table()
    table.add_column("method" if is_tuned else "configuration", overflow="fold")
    table.add_column("seeds", justify="right", no_wrap=True)
    if is_tuned:
        table.add_column("best rate", justify="right", no_wrap=True)
    table.add_column(f"{found.metric} ({found.table.split})", no_wrap=True)
    table.add_column("trainable", justify="right", no_wrap=True)
    table.add_column("may be best", no_wrap=True)
    members = {name for each in found.best_sets for name in each.members}
    sizes = _sizes(ranking, by_method=is_tuned)
    for row in rows:
        cells = [row.name, row.seeds, *([row.rate] if is_tuned else []), row.score]
        size = sizes.get(row.name)
        mark = "yes" if row.name in members else ""
        table.add_row(*cells, "" if size is None else f"{size:,}", mark)
    return table


def _configurations(found: SweepConclusions, table: ScoreTable) -> Iterator[_Row]:
    for each in table.configurations:
        means = each.scores.mean(axis=1) * found.sign
        # Of the seeds' means: how far one training is from another.
        spread = float(means.std(ddof=1)) if len(means) > 1 else None
        yield _Row(each.name, _seeds(each), str(Estimate(float(means.mean()), spread)))


def _methods(found: SweepConclusions, table: ScoreTable) -> Iterator[_Row]:
    assert found.plan is not None
    assert found.validation is not None
    by_name = {each.name: each for each in table.configurations}
    for grid in rate_grids(found.plan):
        own = [by_name[name] for name in grid.configurations if name in by_name]
        if not own:
            continue
        try:
            (top,), _ = peaks(table, found.validation, (grid,))
        except BadInputError:
            yield _Row(grid.method, _seeds(own[0]), "too few rates were scored")
            continue
        score = Estimate(found.sign * top.value, (top.variance + top.unseen) ** 0.5)
        edge = " (edge)" if top.at_edge else ""
        yield _Row(grid.method, _seeds(own[0]), str(score), f"{grid.rates[top.best]:g}{edge}")


def _seeds(each: ConfigurationScores) -> str:
    failed = f" ({len(each.failed_seeds)} failed)" if each.failed_seeds else ""
    return f"{len(each.seeds)}{failed}"


def _sizes(ranking: Ranking, *, by_method: bool) -> dict[str, int]:
    return {
        trial.method if by_method else str(trial.params.get("configuration")): trial.trainable
        for trial in ranking.trials
        if trial.trainable
    }
