"""What is said of a sweep without comparing configurations: the chosen trial, and the base."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sweeper._text import count
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import trial_name
from sweeper.analysis.statistics import ScoreTable
from sweeper.analysis.statistics.questions import optimism
from sweeper.analysis.statistics.units import as_adapters
from sweeper.analysis.statistics.verdicts import Unit
from sweeper.errors import BadInputError
from sweeper.estimates import estimate_of
from sweeper.experiment.documents.tree import get_path
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["alone_text", "chosen_text", "facts_of"]

# Of the standard error: less than this share of it is not worth a number.
_LITTLE = 0.05
# Finalists that a search of which one trial went on is advised to have.
_ENOUGH = 3


def facts_of(ranking: Ranking, unit: Unit, validation: ScoreTable | None) -> Iterator[str]:
    """Yields the sentences on the trial that validation chose, its test score, and the base.

    Args:
        ranking: of a sweep's trials.
        unit: of differences of the objective.
        validation: scores of the trials on the rows that chose; None where there are none.
    """
    best = ranking.best
    if best is None:
        yield "No trial is complete with a score, so there is no best trial."
        return
    yield from _chosen(ranking, best, unit, validation)
    yield from _patience(ranking)
    yield from _tested(ranking, best)
    yield from _base(ranking, best)


def alone_text(folder: SweepFolder, ranking: Ranking) -> str:
    """Returns why nothing is compared where one trial of a search is complete.

    Args:
        folder: of the sweep.
        ranking: of its trials.
    """
    why = "Nothing is compared: one trial alone was trained to its end"
    stopped = ranking.counts().get("pruned", 0)
    if not stopped or get_path(folder.document, ("search", "stop")) != "share":
        return f"{why}."
    setting = f"search.share.finalists={min(stopped + 1, _ENOUGH)}"
    return (
        f"{why}. To compare the best, train more of them to theirs: 'python -m sweeper resume "
        f"{shlex.quote(folder.name)} --set {setting}'."
    )


def chosen_text(ranking: Ranking, best: TrialRecord) -> str:
    """Returns which trial validation chose, and by what score; no whole sentence.

    Args:
        ranking: of a sweep's trials.
        best: the best of them.
    """
    metric = ranking.objective.metric
    direction = "lower" if ranking.objective.mode == "min" else "higher"
    score = f"{metric} {ranking.score(best)} ({direction} is better)"
    return f"Best by validation: {trial_name(best)}, {score}"


def _chosen(
    ranking: Ranking, best: TrialRecord, unit: Unit, validation: ScoreTable | None
) -> Iterator[str]:
    text, others = chosen_text(ranking, best), len(ranking.ranked)
    stopped = ranking.counts().get("pruned", 0)
    if others == 1 and not stopped:
        yield f"{text}; it is the only complete trial."
        return
    among = count(others, "complete trial" if stopped else "trial")
    were = "was" if stopped == 1 else "were"
    early = f" and {stopped} that {were} stopped early" if stopped else ""
    chosen = f"{text}, chosen among {among}{early} on these rows"
    excess = _excess(validation) if others > 1 else None
    score = ranking.score(best)
    least = _LITTLE * ((score.standard_error if score else None) or 0.0)
    if excess is None or (stopped and excess <= least):
        yield f"{chosen}, which flatters it."
    elif score is None or excess <= least:
        yield f"{chosen}, which hardly flatters it."
    else:
        # Of those that were stopped no row is known at the end.
        more = " or more" if stopped else ""
        yield f"{chosen}, which flatters it by about {unit.amount(excess, excess)}{more}."


def _patience(ranking: Ranking) -> Iterator[str]:
    """Yields what patience has saved, where it has ended a trial."""
    ended = [x for x in ranking.ranked if x.ended_by]
    if not ended:
        return
    total = sum(x.steps_total for x in ranking.ranked)
    saved = sum(max(0, x.steps_total - x.steps) for x in ended)
    of = count(len(ranking.ranked), "complete trial")
    yield (
        f"Patience ended {len(ended)} of {of} before all steps: {saved:,} of their {total:,} steps "
        "were not trained. Such a trial counts with its last evaluation, not with its best one."
    )


def _excess(validation: ScoreTable | None) -> float | None:
    """Returns by how much the choice flatters; None where the rows do not tell."""
    if validation is None:
        return None
    try:
        # Each trial was a candidate, those of one configuration among them.
        return optimism(as_adapters(validation))
    except BadInputError:
        return None


def _tested(ranking: Ranking, best: TrialRecord) -> Iterator[str]:
    found = ranking.finals.get(best.id)
    score = ranking.final_score(best)
    if found is None:
        return
    if score is None:
        why = found.error or f"it reports no {ranking.objective.metric}"
        yield f"No final score of {trial_name(best)}: {why}."
        return
    rows = count(found.rows, "row")
    left_out = f" ({found.rows_left_out} left out: answer too long)" if found.rows_left_out else ""
    chose = "which chose it" if found.split == "validation" else "which chose nothing"
    yield (
        f"On {rows} of the {found.split} split{left_out}, {chose}, it has "
        f"{ranking.objective.metric} {score}."
    )


def _base(ranking: Ranking, best: TrialRecord) -> Iterator[str]:
    metric = ranking.objective.metric
    final = ranking.base_final if best.id in ranking.finals else None
    score = None if final is None else estimate_of(final.metrics, metric)
    if score is not None:
        yield f"The frozen base has {score} there."
    elif ranking.base is not None:
        yield f"The frozen base has {metric} {ranking.base} on the validation rows."
