"""The order of a sweep's trials by the objective."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from sweeper.analysis.comparison import final_rows, gains_over_base
from sweeper.analysis.configurations import seed_of
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate, estimate_of
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.tracking.final_result import FinalResult, read_final
from sweeper.tracking.owner import driver_of
from sweeper.tracking.owner.outside import outside_of
from sweeper.tracking.record import TrialRecord, TrialStatus
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores
from sweeper.tracking.stored import TrialDescription
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["Ranking", "rank", "rank_sweep", "ranking_of"]


STATUS_ORDER: tuple[TrialStatus, ...] = (
    *("complete", "running", "queued", "pruned", "stopped", "failed", "superseded"),
)


@dataclass(frozen=True)
class Ranking:
    """The trials of a sweep, ordered by their score."""

    objective: ObjectiveSpec
    """What was optimised."""
    ranked: tuple[TrialRecord, ...]
    """Complete trials with a score, the best first; of equal ones the earlier."""
    others: tuple[TrialRecord, ...]
    """All other trials; none of them can be the best. Those that the search stopped stand by how
    far they came, and of these by their score; the rest by number."""
    base_scores: Mapping[str, float]
    """Scores of the frozen base; empty if it was not evaluated."""
    finals: Mapping[str, FinalResult] = field(default_factory=dict)
    """By trial: the result of its evaluation after the search."""
    base_final: FinalResult | None = None
    """That of the frozen base."""
    rows: Mapping[str, RowScores] = field(default_factory=dict, repr=False, compare=False)
    """By trial: what each row contributed to that; without trials of which nobody knows."""
    base_rows: RowScores | None = field(default=None, repr=False, compare=False)
    """The same of the frozen base."""
    validation: Mapping[str, RowScores] = field(default_factory=dict, repr=False, compare=False)
    """By trial of those in order: what each row contributed to its last evaluation in training."""
    seeds: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """By trial: its seed; without trials whose description cannot be read."""
    gains: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    """By trial: by how much its final metrics differ from the base's, on the same rows; without
    trials of which nobody knows the rows."""
    outside: frozenset[str] = frozenset()
    """Trials that fall outside of the space, since the sweep's owner has changed it."""
    is_driven: bool = True
    """Whether a driver runs the sweep. Without one nobody trains the trials that run by their
    records: they are interrupted, as MLflow shows them, and a resume goes on with them."""
    damage: tuple[DamagedFileError, ...] = ()
    """What could not be read; a trial whose record is damaged is not among the others."""

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial, None without any."""
        return self.ranked[0] if self.ranked else None

    @property
    def ahead(self) -> TrialRecord | None:
        """Of the trials that the search stopped the best of those that came furthest, or None."""
        stopped = (x for x in self.others if x.status == "pruned" and self.score(x) is not None)
        return next(stopped, None)

    @cached_property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials by number."""
        return tuple(sorted((*self.ranked, *self.others), key=lambda trial: trial.number))

    @property
    def sign(self) -> int:
        """1 where less of the objective is better, -1 where more is."""
        return 1 if self.objective.mode == "min" else -1

    @property
    def base(self) -> Estimate | None:
        """Score of the frozen base."""
        return estimate_of(self.base_scores, self.objective.metric)

    def score(self, trial: TrialRecord) -> Estimate | None:
        """Returns a trial's score."""
        return estimate_of(trial.metrics, self.objective.metric)

    def final_score(self, trial: TrialRecord) -> Estimate | None:
        """Returns a trial's score in the evaluation after the search, None where it has none."""
        found = self.finals.get(trial.id)
        return None if found is None else estimate_of(found.metrics, self.objective.metric)

    def status_text(self, trial: TrialRecord) -> str:
        """Returns a trial's status, and whether the space has it no longer."""
        text = trial.status_text if trial.is_final else self._word(trial.status)
        return f"{text}, outside the space" if trial.id in self.outside else text

    def counts(self) -> dict[str, int]:
        """Returns the number of trials of each status that there is."""
        counts = Counter(trial.status for trial in self.trials)
        return {self._word(status): counts[status] for status in STATUS_ORDER if status in counts}

    def _word(self, status: TrialStatus) -> str:
        return "interrupted" if status == "running" and not self.is_driven else status


def rank(
    records: Sequence[TrialRecord],
    objective: ObjectiveSpec,
    *,
    base_scores: Mapping[str, float] | None = None,
) -> Ranking:
    """Returns the ranking of trials.

    Args:
        records: of all trials.
        objective: what was optimised.
        base_scores: metrics of the frozen base; nothing is said of it where there are none.
    """
    sign = 1 if objective.mode == "min" else -1
    ranked, rest = [], []
    for record in records:
        score = estimate_of(record.metrics, objective.metric)
        value = math.inf if score is None else sign * score.value
        if record.status == "complete" and score is not None:
            ranked.append((value, record.number, record))
            continue
        is_pruned = record.status == "pruned"
        worth = (-record.steps, value) if is_pruned else (0, 0.0)
        rest.append((STATUS_ORDER.index(record.status), *worth, record.number, record))
    # Without the records: to compare them is slow, and a live table ranks twice a second.
    ranked.sort(key=lambda item: item[:-1])
    rest.sort(key=lambda item: item[:-1])
    return Ranking(
        objective,
        tuple(item[-1] for item in ranked),
        tuple(item[-1] for item in rest),
        dict(base_scores or {}),
    )


@dataclass(frozen=True)
class _Kept:
    """What the files of trials hold, read once: damage is found by reading all of them."""

    names: frozenset[str]
    """Trials in order; of the others the seed alone is kept."""
    seeds: dict[str, int] = field(default_factory=dict)
    finals: dict[str, FinalResult] = field(default_factory=dict)
    rows: dict[str, RowScores] = field(default_factory=dict)
    validation: dict[str, RowScores] = field(default_factory=dict)

    def keep(self, folder: Path, name: str, found: object) -> None:
        """Takes what a file of a trial holds."""
        trial = folder.name
        if isinstance(found, TrialDescription):
            self.seeds[trial] = seed_of(found.spec)
        elif trial not in self.names:
            return
        elif isinstance(found, FinalResult):
            self.finals[trial] = found
        elif isinstance(found, RowScores):
            (self.validation if name == VALIDATION_ROWS else self.rows)[trial] = found


def ranking_of(folder: SweepFolder) -> Ranking:
    """Returns the ranking of a sweep's trials by their records; nothing else of them is read."""
    found = rank(folder.trials(), folder.objective(), base_scores=folder.base_scores())
    return replace(found, is_driven=driver_of(folder.path).is_alive)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keeps Python from looking for garbage while thousands of files are read, which leaves none.

    It looks the more often the more there is, and looks at all of it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def rank_sweep(folder: SweepFolder) -> Ranking:
    """Returns the ranking of a sweep on disk, with all that its report needs; see the fields.

    Each file of a trial is read once, that of those out of order only to find damage.
    """
    with _collector_off():
        ranking = ranking_of(folder)
        kept = _Kept(frozenset(trial.id for trial in ranking.ranked))
        damage = tuple(folder.damage(keep=kept.keep))
    names = [trial.id for trial in ranking.ranked if trial.id in kept.finals]
    finals = {name: kept.finals[name] for name in names}
    # Beside a result without metrics there may be rows of an earlier one.
    rows = {x: kept.rows[x] for x in names if x in kept.rows and not finals[x].error}
    base_final = read_final(folder.path)
    base_rows = final_rows(folder.path, base_final)
    return replace(
        ranking,
        finals=finals,
        base_final=base_final,
        damage=damage,
        outside=outside_of(folder, ranking.trials),
        validation=kept.validation,
        seeds=kept.seeds,
        rows=rows,
        base_rows=base_rows,
        gains=gains_over_base(finals, rows, base_final, base_rows),
    )
