"""Changes the space of a search that has begun, where its trials stay comparable; else refuses."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sweeper._text import shorten, value_text
from sweeper.errors import BadInputError
from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.space.distributions import DISTRIBUTIONS
from sweeper.tracking.asked import prior_of
from sweeper.tracking.owner.extending import is_taken_up, trials_of
from sweeper.tracking.owner.requests import asked_by
from sweeper.tracking.owner.revisions import (
    Change,
    Revision,
    add_revision,
    changed_alone,
    drop_revision,
)
from sweeper.tracking.places import SPACE_FILE, write_space
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["RevisedSweep", "describe", "revise", "take_back"]

# Fields that change neither what a trial is nor what may be concluded of it.
_FREE = (
    ("search", "prefetch"),
    ("search", "max_failures"),
    ("resources", "price_per_hour"),
    ("notify",),
    ("paper",),
)
# Those of a search: which trials come next, and which end early.
_OF_SEARCH = (("search", "startup_trials"), ("search", "sampler"))
# By what stops its trials, which itself may not change.
_OF_STOPPING = {
    "asha": (("search", "asha"),),
    "share": (("search", "share", "finalists"),),
}
_SPACE = ("methods", "train")
# A grid is enqueued whole when the sweep begins.
_DRAWN = tuple(kind for kind in DISTRIBUTIONS if kind != "grid")


@dataclass(frozen=True)
class RevisedSweep:
    """A sweep whose owner has changed it."""

    sweep: str
    """Its name."""
    changes: tuple[Change, ...]
    """What is another from now on; nothing where all was so already."""
    is_running: bool
    """Whether a driver runs it, which takes the space up at its next draw."""
    revision: Revision | None = None
    """As it was written; None where nothing was changed."""

    @property
    def sentence(self) -> str:
        """What was changed, and what follows."""
        if not self.changes:
            return f"Sweep {self.sweep} has these values already: nothing was changed."
        texts = [
            f"{'.'.join(x.path)} is {value_text(x.after)} in the place of {value_text(x.before)}"
            for x in self.changes
        ]
        then = (
            "; its driver draws from the new space at its next trial, and reads the settings of "
            "the search when the trials before have ended"
            if self.is_running
            else ""
        )
        return f"Sweep {self.sweep} was changed: {', '.join(texts)}{then}."

    def document(self) -> dict[str, object]:
        """Returns the same as plain JSON."""
        return {
            "sweep": self.sweep,
            "changes": [change.model_dump(mode="json") for change in self.changes],
            "is_running": self.is_running,
        }


def revise(sweep: SweepFolder, overrides: Sequence[str]) -> RevisedSweep:
    """Changes a sweep that has begun; its old trials stay in its record.

    A range or a choice of a search may get narrower or wider. Trials that fall outside of the new
    one are marked in the report, and no longer shown to the sampler.

    Args:
        sweep: running, stopped or complete.
        overrides: ``path=value`` each.

    Raises:
        BadInputError: a field may not change, or a value is none; nothing was changed.
    """
    before = sweep.document
    for override in overrides:
        _require_changeable(sweep, before, override)
    with changed_alone(sweep.path, command="resume --set"):
        before = sweep.document
        after = apply_overrides(before, overrides)
        changes = tuple(_changes(before, after, ()))
        is_running = is_taken_up(sweep)
        if not changes:
            return RevisedSweep(sweep.name, (), is_running)
        for change in changes:
            _require_range(sweep, change)
        build_sweep(after, source=f"--set on sweep {sweep.name}", prior=prior_of(sweep))
        number = max((record.number for record in sweep.trials()), default=-1) + 1
        trials = trials_of(sweep)
        revision = Revision(
            at=datetime.now(UTC),
            by=asked_by(),
            trials_before=trials,
            trials=trials,
            changes=changes,
            asked=tuple(overrides),
            first_number=number,
        )
        add_revision(sweep.path, revision)
        if (sweep.path / SPACE_FILE).exists():
            write_space(sweep.path, sweep.document)
    return RevisedSweep(sweep.name, changes, is_running, revision)


def take_back(sweep: SweepFolder, found: RevisedSweep) -> None:
    """Takes a change back with which the sweep has not gone on.

    Args:
        sweep: that was changed.
        found: the change.

    Raises:
        BadInputError: it cannot be written, or another process changes the sweep.
    """
    if found.revision is None:
        return
    with changed_alone(sweep.path, command="resume --set"):
        drop_revision(sweep.path, found.revision)
        if (sweep.path / SPACE_FILE).exists():
            write_space(sweep.path, sweep.document)


def _require_changeable(sweep: SweepFolder, document: Document, override: str) -> None:
    """Checks that a field may change at all, by its name."""
    field = override.partition("=")[0].strip()
    keys = tuple(field.split("."))
    is_search = not {"design", "trials"} & document.keys()
    free = _free(document)
    if any(keys[: len(place)] == place for place in free):
        return
    if is_search and len(keys) > 1 and keys[0] in _SPACE:
        return
    if keys == ("search", "trials"):
        raise BadInputError(
            f"resume --set: got {shorten(override)!r}; the number of trials is no part of the "
            f"space; give a search more with 'extend {sweep.name} --trials NUMBER', and end it "
            f"with 'stop {sweep.name}'"
        )
    raise BadInputError(_refusal(sweep, override, is_search=is_search))


def _free(document: Document) -> tuple[tuple[str, ...], ...]:
    """Returns the fields that may change whatever they are."""
    if {"design", "trials"} & document.keys():
        return _FREE
    stop = get_path(document, ("search", "stop"))
    return (*_FREE, *_OF_SEARCH, *_OF_STOPPING.get(str(stop), ()))


def _refusal(sweep: SweepFolder, override: str, *, is_search: bool) -> str:
    names = ", ".join(".".join(place) for place in _free(sweep.document))
    again = f"run {shlex.quote(str(sweep.path / SPACE_FILE))} --set {shlex.quote(override)}"
    if is_search:
        why = "trials that are trained otherwise could not be compared with those that there are"
        allowed = f"a range or a choice of methods and train may change, and {names}"
        clone = "; or train one trial otherwise, from where it ended: 'clone TRIAL --set …'"
    else:
        why = "its trials were all decided before its start, so that it has no range to change"
        allowed, clone = f"{names} may change", ""
    return (
        f"resume --set: got {shorten(override)!r} for sweep {sweep.name}, which has begun; {why}; "
        f"{allowed}; begin a new sweep, which takes over what is trained alike: {again}{clone}"
    )


def _require_range(sweep: SweepFolder, change: Change) -> None:
    """Checks that a field of methods or of training is drawn, and stays so."""
    if change.path[0] not in _SPACE:
        return
    place = ".".join(change.path)
    if not _is_drawn(change.before):
        known = " (a grid is laid out when a sweep begins)" if _is_grid(change.before) else ""
        raise BadInputError(
            _refusal(sweep, f"{place}={value_text(change.after)}", is_search=True)
            + f"; {place} is {value_text(change.before)}{known}"
        )
    if not _is_drawn(change.after):
        raise BadInputError(
            f"resume --set: got {value_text(change.after)} for {place}, which is drawn from "
            f"{value_text(change.before)}; a field that is drawn stays so, from one of "
            f"{', '.join(_DRAWN)}; for a single value give a choice of one: "
            f"'{place}={{choice: [{value_text(change.after)}]}}'"
        )


def _is_drawn(value: object) -> bool:
    return isinstance(value, dict) and any(kind in value for kind in _DRAWN)


def _is_grid(value: object) -> bool:
    return isinstance(value, dict) and "grid" in value


def _changes(before: Json, after: Json, path: tuple[str, ...]) -> Iterator[Change]:
    """Yields the fields in which two documents differ; a distribution is one field."""
    if before == after and type(before) is type(after):
        return
    is_field = any(_is_drawn(x) or _is_grid(x) for x in (before, after))
    if isinstance(before, dict) and isinstance(after, dict) and not is_field:
        # What an override takes away it takes from the baselines, which are changed as a whole.
        for key in [*after, *(key for key in before if key not in after)]:
            below = (get_path(before, (key,)), get_path(after, (key,)))
            yield from _changes(*below, (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and path == ("methods",):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, (*path, str(place)))
    else:
        yield Change(path=path, before=before, after=after)


def describe(revision: Revision) -> str:
    """Returns what a revision has changed of the space, a sentence."""
    fields = ", ".join(
        f"{'.'.join(x.path)} from {value_text(x.before)} to {value_text(x.after)}"
        for x in revision.changes
    )
    when = f"{revision.at:%Y-%m-%d %H:%M} UTC"
    by = f" by {revision.by}" if revision.by else ""
    return f"From trial {revision.first_number} on, {when}{by}: {fields}."
