"""What the page of one sweep is made of: its folder, its trials by configuration, what is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from sweeper.analysis.conclusions import SweepConclusions, conclusions_of
from sweeper.analysis.configurations import configuration_names, configuration_of
from sweeper.analysis.ranking import Ranking, rank_sweep
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate
from sweeper.report.document import sweep_result
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["MOST_SHOWN", "Group", "Subject", "subject_of"]

MOST_SHOWN = 500
"""Trials of a sweep that its page shows at most."""
# Of these, trials that did not come to an end, or failed.
_MOST_OTHERS = 50


@dataclass(frozen=True)
class Group:
    """The trials of one configuration that came to an end.

    Attributes:
        name: As the verdicts have it.
        trials: Complete or failed, by number.
    """

    name: str
    trials: tuple[TrialRecord, ...]

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.trials[0].method

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that are complete."""
        return tuple(x for x in self.trials if x.status == "complete")

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.trials) - len(self.complete)


@dataclass(frozen=True, eq=False)
class Subject:
    """A sweep that is shown.

    Attributes:
        folder: Of the sweep.
        ranking: Of its trials.
        conclusions: What it allows to be said.
        tracking_uri: MLflow's store, without a password.
    """

    folder: SweepFolder
    ranking: Ranking
    conclusions: SweepConclusions
    tracking_uri: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """What ``report --json`` prints; the terminal shows a sweep without it."""
        return sweep_result(
            self.folder, self.ranking, self.conclusions, tracking_uri=self.tracking_uri
        )

    @cached_property
    def shown(self) -> tuple[TrialRecord, ...]:
        """The trials that the page shows, by number: of many the best, and some of the others.

        A page of all trials of a long search is one that no browser scrolls through.
        """
        ranking = self.ranking
        if len(ranking.trials) <= MOST_SHOWN:
            return ranking.trials
        others = ranking.others[: max(_MOST_OTHERS, MOST_SHOWN - len(ranking.ranked))]
        kept = (*ranking.ranked[: MOST_SHOWN - len(others)], *others)
        return tuple(sorted(kept, key=lambda trial: trial.number))

    @cached_property
    def shown_ids(self) -> frozenset[str]:
        """Identities of the trials that the page shows."""
        return frozenset(trial.id for trial in self.shown)

    @property
    def left_out(self) -> int:
        """How many trials the page does not show."""
        return len(self.ranking.ranked) + len(self.ranking.others) - len(self.shown)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The configurations of the trials that ended, in the order of the trials.

        Of a search these are the configurations of the trials that are shown.
        """
        found: dict[str, list[TrialRecord]] = {}
        for record, key in self._keyed():
            found.setdefault(key, []).append(record)
        names = configuration_names({key: own[0] for key, own in found.items()})
        return tuple(Group(names[key], tuple(own)) for key, own in found.items())

    @property
    def is_tuned(self) -> bool:
        """Whether each method is tuned over a grid."""
        plan = self.conclusions.plan
        return plan is not None and plan.question == "tuned"

    @cached_property
    def chosen(self) -> tuple[Group, ...]:
        """The configurations with complete trials; of a tuned method the best by validation."""
        groups = [group for group in self.groups if group.complete]
        if not self.is_tuned:
            return tuple(groups)
        best: dict[str, tuple[float, Group]] = {}
        for group in groups:
            mean = self.mean_score(group)
            score = None if mean is None else self.ranking.sign * mean
            known = best.get(group.method)
            if score is not None and (known is None or score < known[0]):
                best[group.method] = score, group
        return tuple(group for _, group in best.values())

    def _keyed(self) -> Iterator[tuple[TrialRecord, str]]:
        # Means of a design's configurations are of all their seeds.
        is_search = self.conclusions.plan is None
        for record in self.shown if is_search else self.ranking.trials:
            if record.status not in {"complete", "failed"}:
                continue
            try:
                yield record, configuration_of(self.folder.trial(record.id).spec())[0]
            except DamagedFileError:
                # It is among the damaged files.
                continue

    @property
    def final_split(self) -> str:
        """The split of the evaluation after the search; empty where there is none."""
        return next((x.split for x in self.ranking.finals.values()), "")

    def scores(self, group: Group) -> list[Estimate]:
        """Returns the objective of a configuration's trials on validation."""
        return _found([self.ranking.score(x) for x in group.complete])

    def finals(self, group: Group) -> list[Estimate]:
        """Returns the objective of a configuration's trials after the search."""
        return _found([self.ranking.final_score(x) for x in group.complete])

    def mean_score(self, group: Group) -> float | None:
        """Returns the mean over seeds on validation, None without any."""
        return _mean(self.scores(group))

    def mean_final(self, group: Group) -> float | None:
        """Returns the mean over seeds after the search, None without any."""
        return _mean(self.finals(group))


def subject_of(folder: SweepFolder, *, tracking_uri: str) -> Subject:
    """Returns a sweep as it is shown.

    Args:
        folder: of the sweep.
        tracking_uri: MLflow's store, without a password.
    """
    ranking = rank_sweep(folder)
    return Subject(folder, ranking, conclusions_of(folder, ranking), tracking_uri)


def _found(scores: Sequence[Estimate | None]) -> list[Estimate]:
    return [score for score in scores if score is not None]


def _mean(scores: Sequence[Estimate]) -> float | None:
    return fmean(x.value for x in scores) if scores else None
