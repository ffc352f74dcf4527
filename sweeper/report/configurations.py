"""The configurations of a design as rows of texts, or its tuned methods: for terminal and page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.conclusions.questions import rate_grids
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.statistics import ConfigurationScores, ScoreTable
from sweeper.analysis.statistics.questions import peak_of
from sweeper.analysis.statistics.units import by_unit
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate

__all__ = ["configuration_rows", "error_note", "score_title", "seeds_text"]


@dataclass(frozen=True)
class _Row:
    name: str
    seeds: str
    score: str
    rate: str = ""


def configuration_rows(
    found: SweepConclusions, ranking: Ranking
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    """Returns a design's configurations in their order, each with its mean over seeds.

    Of a design that tunes its methods these are the methods, each with the peak of its curve. The
    means are over the units of the rows, as the differences of the verdicts are.

    Args:
        found: the conclusions of a sweep.
        ranking: of its trials.

    Returns:
        Titles and rows; None where there is no design, or no score.
    """
    if found.plan is None or found.table is None:
        return None
    is_tuned, is_best_asked = found.plan.tuned is not None, found.plan.question != "effects"
    rows = list(_methods(found, found.table) if is_tuned else _configurations(found, found.table))
    members = {name for each in found.best_sets for name in each.members}
    sizes = _sizes(ranking, by_method=is_tuned)
    head = (
        "method" if is_tuned else "configuration",
        "seeds",
        *(["best rate"] if is_tuned else []),
        score_title(found.metric, found.table.split),
        "trainable",
        *(["may be best"] if is_best_asked else []),
    )
    texts = []
    for row in rows:
        size = sizes.get(row.name)
        rate = [row.rate] if is_tuned else []
        mark = ["yes" if row.name in members else ""] if is_best_asked else []
        texts.append(
            (row.name, row.seeds, *rate, row.score, "" if size is None else f"{size:,}", *mark)
        )
    return head, tuple(texts)


def error_note(found: SweepConclusions) -> str:
    """Returns what stands behind ± in the rows of a design's configurations or methods."""
    is_tuned = found.plan is not None and found.plan.tuned is not None
    of = "standard error of the peak" if is_tuned else "standard deviation of single seeds"
    return f"±: {of}"


def score_title(metric: str, split: str) -> str:
    """Returns the title of a column of scores: ``accuracy (test)``."""
    return f"{metric} ({split})"


def seeds_text(scored: int, failed: int) -> str:
    """Returns how many seeds a mean is of, and how many failed: ``4 (1 failed)``."""
    return f"{scored} ({failed} failed)" if failed else f"{scored}"


def _configurations(found: SweepConclusions, table: ScoreTable) -> Iterator[_Row]:
    for each in by_unit(table).configurations:
        means = each.scores.mean(axis=1) * found.sign
        # Of the seeds' means: how far one training is from another.
        spread = float(means.std(ddof=1)) if len(means) > 1 else None
        yield _Row(each.name, _seeds([each]), str(Estimate(float(means.mean()), spread)))


def _methods(found: SweepConclusions, table: ScoreTable) -> Iterator[_Row]:
    assert found.plan is not None
    assert found.validation is not None
    by_name = {each.name: each for each in by_unit(table).configurations}
    choices = {each.name: each for each in by_unit(found.validation).configurations}
    for grid in rate_grids(found.plan):
        own = [by_name[name] for name in grid.configurations if name in by_name]
        if not own:
            continue
        try:
            top = peak_of(grid, by_name, choices)
        except BadInputError:
            yield _Row(grid.method, _seeds(own), "too few rates have two seeds")
            continue
        score = Estimate(found.sign * top.value, (top.variance + top.unseen) ** 0.5)
        edge = " (edge)" if top.at_edge else ""
        yield _Row(grid.method, _seeds(own), str(score), f"{grid.rates[top.best]:g}{edge}")


def _seeds(own: Sequence[ConfigurationScores]) -> str:
    failed = sum(len(each.failed_seeds) for each in own)
    return seeds_text(max(len(each.seeds) for each in own), failed)


def _sizes(ranking: Ranking, *, by_method: bool) -> dict[str, int]:
    return {
        trial.method if by_method else str(trial.params.get("configuration")): trial.trainable
        for trial in ranking.trials
        if trial.trainable
    }
