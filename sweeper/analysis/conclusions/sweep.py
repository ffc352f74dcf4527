"""The conclusions of one sweep: its tables, what is asked of them, and what follows."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
from pydantic import ValidationError

from sweeper._text import count
from sweeper.analysis.conclusions.base import base_table, counted_text, over_base
from sweeper.analysis.conclusions.differences import Differences, differences_of
from sweeper.analysis.conclusions.edges import edges_of
from sweeper.analysis.conclusions.facts import alone_text, facts_of
from sweeper.analysis.conclusions.parity import ParityLine, parity_of
from sweeper.analysis.conclusions.questions import questions_of, rate_grids
from sweeper.analysis.confirmation import confirmation_text
from sweeper.analysis.published import Published, published_of
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import score_table
from sweeper.analysis.statistics import ScoreTable
from sweeper.analysis.statistics.questions import look_at
from sweeper.analysis.statistics.units import by_unit, first_seeds
from sweeper.analysis.statistics.verdicts import (
    PLAIN,
    POINTS,
    Best,
    BestSet,
    ConclusionSpec,
    Statement,
    Unit,
    Words,
    conclude,
    default_delta,
    words,
)
from sweeper.data.hygiene import HygieneSpec
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.metrics import Mode, mode_of, own_modes
from sweeper.experiment.paper import PaperSpec
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
        metric: What is compared: the objective, or the ``final.metric`` of a design.
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
        published: What a paper prints of the same comparison; None where no paper is asked again.
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
    published: Published | None = None

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
    plan, problems = read_design(folder.document)
    own = own_modes(folder.document)
    metric, sign = _compared_by(folder, ranking, own)
    unit = unit_of(metric, own=own)
    of_objective = unit_of(ranking.objective.metric, own=own)
    confirmation = confirmation_text(folder, ranking)
    validation = _on_validation(folder, ranking, plan)
    scores = validation if isinstance(validation, ScoreTable) else None
    bare = SweepConclusions(
        metric=metric,
        sign=sign,
        unit=unit,
        delta=None if plan is None else plan.delta,
        facts=(
            *facts_of(ranking, of_objective, scores),
            *_edges(folder, ranking, plan),
            *([confirmation] if confirmation else []),
        ),
        plan=plan,
    )
    if not ranking.ranked:
        return replace(bare, published=_published(folder, plan, ()))
    if problems:
        damage = DamagedFileError(folder.path / SWEEP_FILE, f"document.{problems[0]}")
        found = replace(bare, why_none=_sentence(damage))
    else:
        parity = _parity(folder, _ended(ranking), plan)
        found = _compared(folder, ranking, validation, replace(bare, parity=parity))
    is_fraction = unit is POINTS
    with_base = base_table(ranking, metric, sign=sign)
    on_base = over_base(with_base, delta=found.delta, is_fraction=is_fraction)
    counted = counted_text(found.table, with_base if on_base else None, metric, sign=sign)
    return replace(
        found,
        statements=found.statements + on_base,
        facts=(*found.facts, *([counted] if counted else [])),
        published=_published(folder, plan, found.statements),
    )


def _compared_by(folder: SweepFolder, ranking: Ranking, own: Mapping[str, Mode]) -> tuple[str, int]:
    """Returns what the trials of a sweep are compared by, and 1 where more of it is better."""
    metric = get_path(folder.document, ("final", "metric"))
    if not isinstance(metric, str):
        return ranking.objective.metric, -ranking.sign
    return metric, 1 if mode_of(metric, own=own) == "max" else -1


def _published(
    folder: SweepFolder, plan: DesignPlan | None, statements: Sequence[Statement]
) -> Published | None:
    """Returns what a paper prints of the same comparison; None where no paper is asked again."""
    entry = folder.document.get("paper")
    if entry is None:
        return None
    try:
        paper = PaperSpec.model_validate(entry)
    except ValidationError:
        # Of a newer version: what was found stands without it.
        return None
    # A sweep keeps the profile that it runs on, alone.
    return published_of(paper, next(iter(paper.profiles)), plan, statements)


def _edges(folder: SweepFolder, ranking: Ranking, plan: DesignPlan | None) -> Iterator[str]:
    """Yields what of a search's best trial is at an end of its range; a design has no ranges."""
    if plan is None and ranking.best is not None:
        best = ranking.best
        yield from edges_of(
            folder.document, best, lambda: dict(_specs(folder, [best]).get(best.id, {}))
        )


def unit_of(metric: str, *, own: Container[str] = ()) -> Unit:
    """Returns the unit of differences of a metric: points of a fraction, else plain numbers.

    Args:
        metric: name of what is reported.
        own: names of the metrics that are Python functions; of what size their values are, nobody
            has said.
    """
    is_own = metric.partition("/")[0].removesuffix("_macro") in own
    return PLAIN if is_own or any(loss in metric for loss in _LOSSES) else POINTS


def _ended(ranking: Ranking) -> list[TrialRecord]:
    # Stopped ones, too: whoever stops seeds of a design may have chosen them by their losses.
    return [x for x in ranking.trials if x.status in {"complete", "failed", "stopped"}]


def _on_validation(
    folder: SweepFolder, ranking: Ranking, plan: DesignPlan | None
) -> ScoreTable | BadInputError:
    """Returns the scores on validation, of a search trial by trial; or why there are none."""
    try:
        metric, by_trial = ranking.objective.metric, plan is None
        return score_table(folder, metric, "validation", by_trial=by_trial, ranking=ranking)
    except BadInputError as error:
        return error


def _compared(
    folder: SweepFolder,
    ranking: Ranking,
    validation: ScoreTable | BadInputError,
    bare: SweepConclusions,
) -> SweepConclusions:
    """Returns the conclusions with what follows of the scores, or with why nothing does."""
    plan = bare.plan
    if isinstance(validation, BadInputError):
        return replace(bare, why_none=_sentence(validation))
    try:
        table = _compared_table(folder, ranking, validation, bare)
        # Each of those that follow needs the units, which are made of all scores.
        own, choosing = by_unit(table), by_unit(validation)
        delta = _delta(plan, own, is_fraction=bare.unit is POINTS)
        asked, why_none = _spec(plan, table, delta, bare.parity, _ended(ranking))
        if plan is None and len(table.configurations) == 1:
            asked, why_none = None, alone_text(folder, ranking)
        statements: tuple[Statement, ...] = ()
        differences = None
        if asked is not None:
            found = conclude(own, asked, choosing)
            statements = found.statements
            if asked.look is not None:
                own, choosing = (first_seeds(x, asked.look.seeds) for x in (own, choosing))
            differences = differences_of(
                own, choosing, statements, plan, components=found.components
            )
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
    return parity_of(known, specs, _compared_names(known, plan), plan, _hygiene(folder))


def _hygiene(folder: SweepFolder) -> HygieneSpec | None:
    """Returns how a sweep's data was checked before it started; None where its file is damaged."""
    try:
        return HygieneSpec.model_validate(folder.document.get("hygiene", {}))
    except ValidationError:
        return None


def _compared_table(
    folder: SweepFolder, ranking: Ranking, validation: ScoreTable, bare: SweepConclusions
) -> ScoreTable:
    """Returns the scores that comparisons are of.

    A design compares on test. A search evaluates its best trials alone there: a choice among them
    is over, so that its adapters are compared on validation, all of them.
    """
    if bare.plan is None or get_path(folder.document, ("final", "split")) == "validation":
        return validation
    return score_table(folder, bare.metric, "test", ranking=ranking)


def _spec(
    plan: DesignPlan | None,
    table: ScoreTable,
    delta: float,
    parity: Sequence[ParityLine],
    ended: Sequence[TrialRecord],
) -> tuple[ConclusionSpec | None, str]:
    """Returns what is asked, or why nothing is yet."""
    unlike = [line for line in parity if not line.holds and line.caveat]
    caveats = tuple((name, line.caveat) for line in unlike for name in line.names)
    sizes = tuple(size for line in parity for size in line.sizes)
    if plan is None:
        return ConclusionSpec((Best(),), delta), ""
    done, first = _ended_seeds(plan, table, ended), plan.looks[0]
    # A later seed stands in for none: a look is at the first ones that were declared.
    leading = len(list(takewhile(done.__contains__, plan.seeds)))
    if leading < first:
        what = "the first declared look" if len(plan.looks) > 1 else "as the design declares"
        number = len(done.intersection(plan.seeds[:first]))
        return None, (
            f"Nothing is concluded before {count(first, 'seed')}, {what}; {number or 'none'} of "
            f"them {'have' if number > 1 else 'has'} ended in all configurations."
        )
    look = look_at(leading) if len(plan.looks) > 1 else None
    if table.split == "validation":
        caveats += tuple(_chosen_by_rows(plan, parity))
    asked = ConclusionSpec(questions_of(plan), delta, look=look, caveats=caveats, sizes=sizes)
    return asked, ""


def _chosen_by_rows(plan: DesignPlan, parity: Sequence[ParityLine]) -> Iterator[tuple[str, str]]:
    """Yields what the rows of the comparison have chosen before, by name, with its caveat."""
    if plan.tuned is not None:
        yield from ((grid.method, "These rows chose the rates") for grid in rate_grids(plan))
    ended = [line for line in parity if line.subject == "end"]
    yield from ((name, "These rows ended trials") for line in ended for name in line.names)


def _ended_seeds(plan: DesignPlan, table: ScoreTable, ended: Sequence[TrialRecord]) -> set[int]:
    """Returns the seeds that have ended in all configurations of a design, scored or not."""
    tried = {x.name: {*x.seeds, *x.failed_seeds} for x in table.configurations}
    # Of which all seeds failed there are no scores, nor of what its owner stopped.
    for record in ended:
        seed = record.params.get("seed")
        if record.status != "complete" and isinstance(seed, int):
            tried.setdefault(_given_name(record), set()).add(seed)
    return set(plan.seeds).intersection(*(tried.get(x.name, set()) for x in plan.configurations))


def _delta(plan: DesignPlan | None, table: ScoreTable, *, is_fraction: bool) -> float:
    if plan is not None and plan.delta is not None:
        return plan.delta
    return default_delta(is_fraction=is_fraction, control_mean=_control_mean(plan, table))


def _control_mean(plan: DesignPlan | None, table: ScoreTable) -> float:
    """Returns the mean score of what δ is a part of.

    It is the baseline, or the first configuration; of tuned methods the first one at its best
    rate; of a search the best trial. A rate at which little is learned has no scale to give.
    """
    means = {x.name: float(np.mean(x.scores)) for x in table.configurations}
    if plan is None:
        return max(means.values())
    names = {plan.baseline or plan.configurations[0].name}
    if plan.tuned is not None:
        names = {*rate_grids(plan)[0].configurations}
    return max((means[name] for name in names & means.keys()), default=max(means.values()))


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
