"""The conclusions of one sweep: its tables, what is asked of them, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweeper._text import count
from sweeper.analysis.conclusions.base import over_base
from sweeper.analysis.conclusions.differences import Differences, differences_of
from sweeper.analysis.conclusions.facts import facts_of
from sweeper.analysis.conclusions.parity import ParityLine, parity_of
from sweeper.analysis.conclusions.questions import questions_of
from sweeper.analysis.confirmation import confirmation_text
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import score_table
from sweeper.analysis.statistics import ScoreTable
from sweeper.analysis.statistics.questions import look_at
from sweeper.analysis.statistics.verdicts import (
    PLAIN,
    POINTS,
    Best,
    BestSet,
    ConclusionSpec,
    Question,
    Statement,
    Unit,
    Words,
    conclude,
    default_delta,
    words,
)
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.sections import read_design
from sweeper.tracking.places import SWEEP_FILE
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["SweepConclusions", "conclusions_of", "unit_of"]

# Metrics that are no fractions of rows: their differences are plain numbers.
_LOSSES = ("loss", "perplexity")


@dataclass(frozen=True, eq=False)
class SweepConclusions:
    """All that is said of a sweep, in the order in which it is shown.

    Attributes:
        metric: The objective.
        sign: 1 where more of it is better, -1 where less is; scores are the metric times this.
        unit: Of differences of it.
        delta: Smallest difference of interest, in units of the metric; None without a comparison.
        parity: In what the configurations are alike.
        statements: Verdicts as objects.
        facts: Sentences that compare no configurations.
        why_none: Why there are no verdicts; empty where there are.
        plan: Of the design; None of a search.
        table: Scores that the verdicts are of.
        validation: Scores on validation, which choose the rates of tuned methods.
        differences: Of each configuration to one of them; None without a comparison.
    """

    metric: str
    sign: int
    unit: Unit
    delta: float | None
    parity: tuple[ParityLine, ...] = ()
    statements: tuple[Statement, ...] = ()
    facts: tuple[str, ...] = ()
    why_none: str = ""
    plan: DesignPlan | None = None
    table: ScoreTable | None = None
    validation: ScoreTable | None = None
    differences: Differences | None = None

    @property
    def verdicts(self) -> tuple[Words, ...]:
        """The statements in words, in their order."""
        return tuple(words(statement, self.unit) for statement in self.statements)

    @property
    def best_sets(self) -> tuple[BestSet, ...]:
        """The sets of what may be the best, of the design or of the search."""
        return tuple(each for each in self.statements if isinstance(each, BestSet))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is said after the parity lines, a sentence or two each."""
        none = (self.why_none,) if self.why_none else ()
        return (*(each.sentence for each in self.verdicts), *none, *self.facts)


def conclusions_of(folder: SweepFolder, ranking: Ranking) -> SweepConclusions:
    """Returns what a sweep on disk allows to be said.

    Args:
        folder: of the sweep.
        ranking: of its trials.
    """
    objective = ranking.objective
    plan, problems = read_design(folder.document)
    unit = unit_of(objective.metric)
    confirmation = confirmation_text(folder, ranking)
    bare = SweepConclusions(
        metric=objective.metric,
        sign=-ranking.sign,
        unit=unit,
        delta=None if plan is None else plan.delta,
        facts=(*facts_of(folder, ranking, unit), *([confirmation] if confirmation else [])),
        plan=plan,
    )
    if not ranking.ranked:
        return bare
    if problems:
        damage = DamagedFileError(folder.path / SWEEP_FILE, f"document.{problems[0]}")
        found = replace(bare, why_none=_sentence(damage))
    else:
        ended = _ended(ranking)
        found = _compared(folder, ended, replace(bare, parity=_parity(folder, ended, plan)))
    on_base = over_base(folder, ranking, delta=found.delta, is_fraction=unit is POINTS)
    return replace(found, statements=found.statements + on_base)


def unit_of(metric: str) -> Unit:
    """Returns the unit of differences of a metric: points of a fraction, else plain numbers."""
    return PLAIN if any(loss in metric for loss in _LOSSES) else POINTS


def _ended(ranking: Ranking) -> list[TrialRecord]:
    return [x for x in ranking.trials if x.status in {"complete", "failed"}]


def _compared(
    folder: SweepFolder, ended: Sequence[TrialRecord], bare: SweepConclusions
) -> SweepConclusions:
    """Returns the conclusions with what follows of the scores, or with why nothing does."""
    plan = bare.plan
    try:
        table, validation = _tables(folder, bare.metric, plan)
        delta = _delta(plan, table, is_fraction=bare.unit is POINTS)
        asked, why_none = _spec(plan, table, delta, bare.parity, ended)
        statements = () if asked is None else conclude(table, asked, validation).statements
        differences = differences_of(table, validation, statements, plan)
    except BadInputError as error:
        return replace(bare, why_none=_sentence(error))
    return replace(
        bare,
        delta=delta,
        statements=statements,
        why_none=why_none,
        table=table,
        validation=validation,
        differences=differences,
    )


def _parity(
    folder: SweepFolder, ended: Sequence[TrialRecord], plan: DesignPlan | None
) -> tuple[ParityLine, ...]:
    """Returns in what the trials of a design are alike; a search declares no comparison."""
    if plan is None:
        return ()
    specs = _specs(folder, ended)
    known = [x for x in ended if x.id in specs]
    return parity_of(known, specs, _compared_names(known, plan), plan)


def _tables(
    folder: SweepFolder, metric: str, plan: DesignPlan | None
) -> tuple[ScoreTable, ScoreTable | None]:
    """Returns the scores that comparisons are of, and those on validation.

    A design compares on test. A search evaluates its best trials alone there: a choice among them
    is over, so that its adapters are compared on validation, all of them.
    """
    if plan is None:
        return score_table(folder, metric, "validation", by_trial=True), None
    validation = score_table(folder, metric, "validation")
    if get_path(folder.document, ("final", "split")) == "validation":
        return validation, validation
    return score_table(folder, metric, "test"), validation


def _spec(
    plan: DesignPlan | None,
    table: ScoreTable,
    delta: float,
    parity: Sequence[ParityLine],
    ended: Sequence[TrialRecord],
) -> tuple[ConclusionSpec | None, str]:
    """Returns what is asked, or why nothing is yet."""
    caveats = tuple((name, line.caveat) for line in parity if not line.holds for name in line.names)
    if plan is None:
        return ConclusionSpec((Best(),), delta), ""
    questions: tuple[Question, ...] = questions_of(plan)
    seeds = _seeds_of_all(plan, table, ended)
    if seeds < plan.looks[0]:
        first = "the first declared look" if len(plan.looks) > 1 else "as the design declares"
        return None, (
            f"Nothing is concluded before {count(plan.looks[0], 'seed')}, {first}; all "
            f"configurations have {seeds}."
        )
    look = look_at(seeds) if len(plan.looks) > 1 else None
    return ConclusionSpec(questions, delta, look=look, caveats=caveats), ""


def _seeds_of_all(plan: DesignPlan, table: ScoreTable, ended: Sequence[TrialRecord]) -> int:
    """Returns how many seeds each configuration of a design has, failed ones among them."""
    seeds = {x.name: len(x.seeds) + len(x.failed_seeds) for x in table.configurations}
    # Of which all seeds failed there are no scores.
    failed = Counter(_given_name(x) for x in ended if x.status == "failed")
    return min(seeds.get(x.name, failed[x.name]) for x in plan.configurations)


def _delta(plan: DesignPlan | None, table: ScoreTable, *, is_fraction: bool) -> float:
    if plan is not None and plan.delta is not None:
        return plan.delta
    wanted = None if plan is None else plan.baseline
    control = next((x for x in table.configurations if x.name == wanted), table.configurations[0])
    return default_delta(is_fraction=is_fraction, control_mean=float(np.mean(control.scores)))


def _specs(folder: SweepFolder, records: Sequence[TrialRecord]) -> dict[str, Mapping[str, Any]]:
    """Returns by trial its spec; one that is damaged is told where all damage is."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        with suppress(DamagedFileError):
            found[record.id] = folder.trial(record.id).spec()
    return found


def _compared_names(records: Sequence[TrialRecord], plan: DesignPlan) -> dict[str, str]:
    """Returns by trial what the verdicts call it: the configuration, or the tuned method."""
    names = {x.name: x.name for x in plan.configurations}
    if plan.tuned is not None:
        names = {x.name: str(x.levels["name"]) for x in plan.configurations}
    given = {record.id: _given_name(record) for record in records}
    return {trial: names.get(name, name) for trial, name in given.items()}


def _given_name(record: TrialRecord) -> str:
    """Returns the name of a trial's configuration in its design."""
    return str(record.params.get("configuration", record.method))


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"Nothing is compared: {text}{'' if text.endswith('.') else '.'}"
