"""The trials of a search by the values that it compared them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper._text import value_text
from sweeper.errors import DamagedFileError
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.sweep import ShareSpec
from sweeper.report.page.subject import Subject
from sweeper.tracking.record import TrialRecord

__all__ = ["Searched", "SearchedTrial", "searched_of"]


@dataclass(frozen=True)
class SearchedTrial:
    """A trial with the value that a search compared it by.

    Attributes:
        record: Of the trial.
        value: Of the objective, on validation.
        steps: Optimiser steps done by then.
    """

    record: TrialRecord
    value: float
    steps: int


@dataclass(frozen=True)
class Searched:
    """The trials that a search compared with each other.

    Attributes:
        trials: Those that the page shows, the best first.
        total: How many there are, with those that it does not show.
        at: When all of them were compared: "" at their end, else "after 10 of 40 steps".
    """

    trials: tuple[SearchedTrial, ...]
    total: int
    at: str


def searched_of(subject: Subject) -> Searched:
    """Returns the trials of a search by what it compared them by.

    Where all trials were stopped at the same share, this is their value there, of those that went
    on, too. Elsewhere trials that were stopped early have no value that others could be held
    against: these are the complete ones.

    Args:
        subject: the sweep, which is a search.
    """
    share = _share(subject)
    if share is None:
        found = list(_at_their_end(subject))
        return Searched(tuple(found), len(subject.ranking.ranked), "")
    found = list(_at_share(subject, share))
    found.sort(key=lambda x: (subject.ranking.sign * x.value, x.record.number))
    return Searched(tuple(found), len(found) + _hidden(subject), _when(found, share))


def _hidden(subject: Subject) -> int:
    """Returns how many trials that were compared the page does not show."""
    others = (x for x in subject.ranking.trials if x.id not in subject.shown_ids)
    return sum(map(_is_compared, others))


def _is_compared(record: TrialRecord) -> bool:
    return record.status in {"complete", "pruned"} or record.is_finalist


def _share(subject: Subject) -> ShareSpec | None:
    """Returns the share at which all trials of a sweep were stopped; None where they were not."""
    document = subject.folder.document
    if get_path(document, ("search", "stop")) != "share":
        return None
    try:
        return ShareSpec.model_validate(get_path(document, ("search", "share")) or {})
    except ValidationError:
        # Of a newer version.
        return None


def _at_their_end(subject: Subject) -> Iterator[SearchedTrial]:
    for record in subject.ranking.ranked:
        score = subject.ranking.score(record)
        if record.id in subject.shown_ids and score is not None:
            yield SearchedTrial(record, score.value, record.steps)


def _at_share(subject: Subject, share: ShareSpec) -> Iterator[SearchedTrial]:
    metric = subject.ranking.objective.metric
    for record in subject.shown:
        if not _is_compared(record):
            continue
        trial = subject.folder.trial(record.id)
        try:
            evaluations = get_path(trial.spec(), ("train", "evaluations"))
            points = trial.evaluations(metric)
        except DamagedFileError:
            # It is among the damaged files.
            continue
        place = share.ends_at(evaluations if isinstance(evaluations, int) else len(points))
        if len(points) >= place:
            steps, metrics = points[place - 1]
            yield SearchedTrial(record, metrics[metric], steps)


def _when(trials: list[SearchedTrial], share: ShareSpec) -> str:
    """Returns after how many steps all were compared, in words."""
    steps = {(x.steps, x.record.steps_total) for x in trials}
    if len(steps) != 1:
        return f"after {value_text(100 * share.fraction)} % of their evaluations"
    ((done, total),) = steps
    return "" if done == total else f"after {done:,} of {total:,} steps"
