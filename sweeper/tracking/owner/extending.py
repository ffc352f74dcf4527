"""Gives a search more trials, whether a driver runs it or not; refuses what cannot have more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sweeper.errors import BadInputError
from sweeper.experiment.design import MOST_TRIALS
from sweeper.experiment.sweep import SearchSpec
from sweeper.tracking.owner.life import driver_of
from sweeper.tracking.owner.requests import asked_by
from sweeper.tracking.owner.revisions import Revision, add_revision, changed_alone
from sweeper.tracking.places import SPACE_FILE, driven_since, write_space
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["Extension", "extend", "is_taken_up", "trials_of"]


@dataclass(frozen=True)
class Extension:
    """A search that has been given more trials."""

    sweep: str
    """Its name."""
    trials_before: int
    """Trials that it was to have."""
    trials: int
    """Trials that it is to have now."""
    is_running: bool
    """Whether a driver runs it that takes them up by itself."""

    @property
    def sentence(self) -> str:
        """What was changed, and what follows."""
        then = (
            "its driver takes them up when those before have ended"
            if self.is_running
            else f"'resume {self.sweep}' runs them"
        )
        return (
            f"Sweep {self.sweep} is to have {self.trials} trials in the place of "
            f"{self.trials_before}: {then}."
        )

    def document(self) -> dict[str, object]:
        """Returns the same as plain JSON."""
        return {
            "sweep": self.sweep,
            "trials_before": self.trials_before,
            "trials": self.trials,
            "is_running": self.is_running,
        }


def extend(sweep: SweepFolder, *, trials: int) -> Extension:
    """Gives a search so many more trials.

    The sampler goes on from all trials before, and so do the rungs of ASHA. The confirmation of a
    search that there is stays as it is.

    Args:
        sweep: a search; running, stopped or complete.
        trials: at least 1.

    Raises:
        BadInputError: the sweep decided all of its trials before its start, it would have too
            many, or nothing can be written there.
    """
    _require_search(sweep)
    with changed_alone(sweep.path, command="extend"):
        return _extend(sweep, trials)


def _extend(sweep: SweepFolder, more: int) -> Extension:
    before = trials_of(sweep)
    trials = before + more
    if more < 1 or trials > MOST_TRIALS:
        raise BadInputError(
            f"--trials: got {more}, which would make {trials} trials; allowed is 1 or more, and "
            f"{MOST_TRIALS:,} in all; give such a number"
        )
    is_running = is_taken_up(sweep)
    now = datetime.now(UTC)
    add_revision(sweep.path, Revision(at=now, by=asked_by(), trials_before=before, trials=trials))
    if (sweep.path / SPACE_FILE).exists():
        write_space(sweep.path, sweep.document)
    if not is_running and sweep.status == "complete":
        sweep.mark("stopped", note=f"It was extended from {before} to {trials} trials.")
    return Extension(sweep.name, before, trials, is_running)


def is_taken_up(sweep: SweepFolder) -> bool:
    """Returns whether a driver takes up by itself what is changed of a sweep now.

    One that has said how the sweep ended looks for nothing more, though it still has the sweep.

    Args:
        sweep: of which this process has the :func:`~sweeper.tracking.mirror.change_lock`.
    """
    if not driver_of(sweep.path).is_alive:
        return False
    since = driven_since(sweep.path)
    return sweep.status == "running" or since is None or sweep.status_since < since


def trials_of(sweep: SweepFolder) -> int:
    """Returns how many trials a sweep is to have by now.

    Args:
        sweep: of any kind.
    """
    search = sweep.document.get("search")
    asked = search.get("trials") if isinstance(search, dict) else None
    return asked if isinstance(asked, int) else int(SearchSpec().trials)


def _require_search(sweep: SweepFolder) -> None:
    document, again = sweep.document, f"run {sweep.path / SPACE_FILE}"
    if sweep.about().confirms is not None:
        raise BadInputError(
            f"extend: sweep {sweep.name} confirms a search with seeds that were chosen before its "
            "start; only a search can have more trials; set search.confirm.seeds in the file of "
            "the search, and run it again: what is trained is taken over"
        )
    if "design" in document:
        raise BadInputError(
            f"extend: sweep {sweep.name} is a design, whose seeds are decided before its start: "
            "who adds seeds after a look at the results until they differ finds differences that "
            "are none; only a search can have more trials; for more seeds begin a new sweep, which "
            f"takes over what is trained: '{again} --set design.seeds=NUMBER'"
        )
    if "trials" in document:
        raise BadInputError(
            f"extend: sweep {sweep.name} is a list of trials, all of which it runs; only a search "
            "can have more trials; add trials to the file and begin a new sweep, which takes over "
            f"what is trained: '{again}'"
        )
