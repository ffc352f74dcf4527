"""The confirmation of a search: what it would compare, and how it stands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper._text import count
from sweeper.analysis.configurations import configuration_of
from sweeper.analysis.ranking import Ranking, rank_sweep
from sweeper.errors import DamagedFileError
from sweeper.experiment.confirm import ConfirmSpec, confirmation_document
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.places import MAX_NAME, SWEEP_FILE
from sweeper.tracking.stored import SweepStatus
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "Confirmation",
    "confirmation_names",
    "confirmation_of",
    "confirmation_text",
    "confirms",
    "found_confirmation",
    "search_of",
]

logger = logging.getLogger(__name__)

# More of them than a name has room for a number would be none of this program's.
_MOST_NAMES = 1000


@dataclass(frozen=True)
class Confirmation:
    """How the confirmation of a search stands."""

    spec: ConfirmSpec
    """What is declared."""
    search: str
    """Name of the search."""
    folder: SweepFolder | None
    """Its sweep; None where there is none yet."""
    is_search_over: bool
    """Whether the search has come to its end."""
    document: Document | None
    """What is to be compared; None where there is a sweep already, where the search is not over,
    and where there are no two things to compare."""

    @property
    def status(self) -> SweepStatus | None:
        """How its sweep stands; None without one."""
        return None if self.folder is None else self.folder.status

    @property
    def is_left(self) -> bool:
        """Whether the search is over and its confirmation is not."""
        if self.folder is not None:
            return self.status != "complete"
        return self.document is not None

    @property
    def sentence(self) -> str:
        """How it stands, a sentence."""
        if self.folder is not None:
            name = self.folder.name
            if self.status == "complete":
                return f"Its confirmation is {name}: 'report {name}' has the verdicts."
            note, then = self.folder.note, f"'resume {self.search}' goes on with it."
            if not note:
                return f"Its confirmation {name} is not complete; {then}"
            # One that was cut by its limits says itself with what it goes on.
            return f"Its confirmation {name} is not complete. {note}" + (
                "" if "'resume " in note else f" {then}"
            )
        what = self.spec.describe()
        if not self.is_search_over:
            return f"After the search a confirmation compares {what}."
        if self.document is None:
            return (
                "A confirmation is declared, but nothing is confirmed: the search has no two "
                "configurations that are complete, and no control arm is owed."
            )
        return (
            f"A confirmation is declared and not there yet, of {what}; 'resume {self.search}' "
            "runs it."
        )


def confirmation_of(folder: SweepFolder, ranking: Ranking | None = None) -> Confirmation | None:
    """Returns the confirmation of a search; None where it declares none.

    Args:
        folder: of the search.
        ranking: of its trials, of :func:`~sweeper.analysis.ranking.rank_sweep`; made where None.
    """
    spec = _declared(folder)
    if spec is None:
        return None
    own, is_over = found_confirmation(folder), folder.status == "complete"
    document = None
    if own is None and is_over:
        document = _document(folder, rank_sweep(folder) if ranking is None else ranking, spec)
    return Confirmation(spec, folder.name, own, is_over, document)


def confirmation_names(search: str) -> Iterator[str]:
    """Yields the names that the confirmation of a search may have, the first one first.

    Args:
        search: name of the search.
    """
    for number in range(1, _MOST_NAMES):
        end = "-confirm" if number == 1 else f"-confirm-{number}"
        yield search[: MAX_NAME - len(end)] + end


def confirmation_text(folder: SweepFolder, ranking: Ranking) -> str:
    """Returns how a search's confirmation stands, or which search a sweep confirms; else nothing.

    Args:
        folder: of the sweep.
        ranking: of its trials.
    """
    found = confirmation_of(folder, ranking)
    if found is not None:
        return found.sentence
    search = folder.about().confirms
    if search is None:
        return ""
    trials = folder.document.get("trials")
    number = len(trials) if isinstance(trials, list) else 0
    best = "its best trial" if number == 1 else f"its {count(number, 'best trial')}"
    return (
        f"This confirms the search {search.name}: {best} by validation, with seeds that none of "
        "its trials had."
    )


def confirms(sweep: SweepFolder, search: SweepFolder) -> bool:
    """Returns whether a sweep is the confirmation of a search; a damaged one is nobody's.

    Args:
        sweep: that may confirm it.
        search: that may be confirmed.
    """
    try:
        found = sweep.about().confirms
    except DamagedFileError:
        return False
    return found is not None and found.sweep_id == search.about().sweep_id


def found_confirmation(search: SweepFolder) -> SweepFolder | None:
    """Returns the confirmation of a search that is there; None without one.

    Args:
        search: that may have one.
    """
    for name in confirmation_names(search.name):
        path = search.home / name
        if not (path / SWEEP_FILE).is_file():
            return None
        if confirms(SweepFolder(path), search):
            return SweepFolder(path)
    return None


def search_of(sweep: SweepFolder) -> SweepFolder | None:
    """Returns the search that a sweep confirms; None where it confirms none, or that has gone.

    Args:
        sweep: that may be a confirmation.
    """
    found = sweep.about().confirms
    if found is None or not (sweep.home / found.name / SWEEP_FILE).is_file():
        return None
    search = SweepFolder(sweep.home / found.name)
    with suppress(DamagedFileError):
        return search if search.about().sweep_id == found.sweep_id else None
    return None


def _declared(folder: SweepFolder) -> ConfirmSpec | None:
    search = folder.document.get("search")
    entry = search.get("confirm") if isinstance(search, dict) else None
    # What is no such section is of another version, whose confirmations are not this one's.
    with suppress(ValidationError):
        return None if entry is None else ConfirmSpec.model_validate(entry)
    return None


def _document(folder: SweepFolder, ranking: Ranking, spec: ConfirmSpec) -> Document | None:
    best: dict[str, TrialSpec] = {}
    known: set[str] = set()
    for record in ranking.ranked:
        try:
            trial = folder.trial(record.id).trial_spec()
        except DamagedFileError as error:
            logger.warning("trial %d cannot be confirmed: %s", record.number, error)
            continue
        # Of trials that differ in nothing but the seed the best stands for all.
        configuration, _ = configuration_of(trial.model_dump(mode="json"))
        if configuration not in known:
            known.add(configuration)
            best[f"trial-{record.number}-{record.method}"] = trial
        if len(best) == spec.top:
            break
    seeds = set(ranking.seeds.values())
    return confirmation_document(folder.document, best, spec, used_seeds=seeds)
