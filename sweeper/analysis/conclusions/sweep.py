"""The conclusions of one sweep: its tables, what is asked of them, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweeper.analysis.conclusions.base import over_base
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
from sweeper.errors import BadInputError
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.sections import read_design
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
    plan, _ = read_design(folder.document)
    unit = unit_of(objective.metric)
    confirmation = confirmation_text(folder, ranking)
    facts = (*facts_of(folder, ranking, unit), *([confirmation] if confirmation else []))
    bare = SweepConclusions(objective.metric, -ranking.sign, unit, None, facts=facts, plan=plan)
    if not ranking.ranked:
        return bare
    try:
        found = _compared(folder, ranking, bare)
    except BadInputError as error:
        found = replace(bare, why_none=_sentence(error))
    on_base = over_base(folder, ranking, is_fraction=unit is POINTS)
    return replace(found, statements=found.statements + on_base)


def unit_of(metric: str) -> Unit:
    """Returns the unit of differences of a metric: points of a fraction, else plain numbers."""
    return PLAIN if any(loss in metric for loss in _LOSSES) else POINTS


def _compared(folder: SweepFolder, ranking: Ranking, bare: SweepConclusions) -> SweepConclusions:
    plan, metric = bare.plan, bare.metric
    table, validation = _tables(folder, metric, plan)
    ended = [x for x in ranking.trials if x.status in {"complete", "failed"}]
    parity = parity_of(ended, _specs(folder, ended), _compared_names(ended, plan), plan)
    delta = _delta(plan, table, is_fraction=bare.unit is POINTS)
    asked, why_none = _spec(plan, ranking, delta, parity)
    statements = () if asked is None else conclude(table, asked, validation).statements
    return replace(
        bare,
        delta=delta,
        parity=parity if plan is not None else (),
        statements=statements,
        why_none=why_none,
        table=table,
        validation=validation,
    )


def _tables(
    folder: SweepFolder, metric: str, plan: DesignPlan | None
) -> tuple[ScoreTable, ScoreTable | None]:
    """Returns the scores that comparisons are of, and those on validation.

    A design compares on test. A search evaluates its best trials alone there: a choice among them
    is over, so that its adapters are compared on validation, all of them.
    """
    if plan is None:
        return score_table(folder, metric, "validation"), None
    validation = score_table(folder, metric, "validation")
    if folder.document.get("final", {}).get("split") == "validation":
        return validation, validation
    return score_table(folder, metric, "test"), validation


def _spec(
    plan: DesignPlan | None, ranking: Ranking, delta: float, parity: Sequence[ParityLine]
) -> tuple[ConclusionSpec | None, str]:
    """Returns what is asked, or why nothing is yet."""
    caveats = tuple((name, line.caveat) for line in parity if not line.holds for name in line.names)
    if plan is None:
        return ConclusionSpec((Best(),), delta), ""
    questions: tuple[Question, ...] = questions_of(plan)
    done = Counter(x.params.get("configuration") for x in ranking.trials if _is_done(x, ranking))
    seeds = [done[x.name] for x in plan.configurations]
    if len(plan.looks) > 1:
        look = look_at(min(seeds))
        if look is not None:
            return ConclusionSpec(questions, delta, look=look, caveats=caveats), ""
        first = plan.looks[0]
        return None, f"Nothing is concluded before all have {first} seeds, the first declared look."
    wanted = len(plan.seeds) * len(plan.configurations)
    if sum(seeds) < wanted:
        return None, (
            f"Nothing is concluded before the design is complete: {sum(seeds)} of {wanted} trials "
            "are evaluated. To look earlier finds differences that are not there; seeds: 3/5/10 "
            "declares when to look."
        )
    return ConclusionSpec(questions, delta, caveats=caveats), ""


def _is_done(trial: TrialRecord, ranking: Ranking) -> bool:
    """Returns whether a trial has its test score, or will have none: it failed or has no score."""
    if trial.status != "complete":
        return trial.status == "failed"
    return trial.id in ranking.finals or ranking.score(trial) is None


def _delta(plan: DesignPlan | None, table: ScoreTable, *, is_fraction: bool) -> float:
    if plan is not None and plan.delta is not None:
        return plan.delta
    wanted = None if plan is None else plan.baseline
    control = next((x for x in table.configurations if x.name == wanted), table.configurations[0])
    return default_delta(is_fraction=is_fraction, control_mean=float(np.mean(control.scores)))


def _specs(folder: SweepFolder, records: Sequence[TrialRecord]) -> Mapping[str, Mapping[str, Any]]:
    return {record.id: folder.trial(record.id).spec() for record in records}


def _compared_names(records: Sequence[TrialRecord], plan: DesignPlan | None) -> Mapping[str, str]:
    """Returns by trial what the verdicts call it."""
    if plan is None:
        return {record.id: record.method for record in records}
    by_name = {x.name: x for x in plan.configurations}
    return dict(_named(records, by_name, is_tuned=plan.tuned is not None))


def _named(
    records: Sequence[TrialRecord], by_name: Mapping[str, Any], *, is_tuned: bool
) -> Iterator[tuple[str, str]]:
    for record in records:
        name = str(record.params.get("configuration", record.method))
        found = by_name.get(name)
        yield record.id, str(found.levels["name"]) if is_tuned and found is not None else name


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"Nothing is compared: {text}{'' if text.endswith('.') else '.'}"
