"""Which trials of a sweep fall outside of its space, since its owner has changed it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.documents.tree import Json, get_path
from sweeper.experiment.space.space import Axis
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.owner.revisions import REVISIONS_FILE, Revision, Revisions
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import read_stored
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["outside_of", "space_revisions"]

logger = logging.getLogger(__name__)


def space_revisions(sweep: SweepFolder) -> tuple[Revision, ...]:
    """Returns the revisions of a sweep that have changed fields; a damaged file counts as none.

    Args:
        sweep: of any kind.
    """
    try:
        found = read_stored(sweep.path / REVISIONS_FILE, Revisions)
    except DamagedFileError:
        return ()
    return () if found is None else found.of_space


def outside_of(sweep: SweepFolder, records: Sequence[TrialRecord]) -> frozenset[str]:
    """Returns the identities of the trials that the space would not draw as it is now.

    They stay what they are, and count as before; only the search looks elsewhere.

    Args:
        sweep: of any kind; nothing is read where its space was never changed.
        records: of its trials.
    """
    if not space_revisions(sweep):
        return frozenset()
    try:
        space = read_sweep(sweep).space
    except BadInputError as error:
        # Of another version, or with files that are gone: the report says what it can.
        logger.debug("the space of %s cannot be read: %s", sweep.name, error)
        return frozenset()
    axes = {method.name: method.axes for method in space.methods}
    return frozenset(
        record.id
        for record in records
        if not _is_inside(axes.get(record.method, ()), _spec(sweep, record.id))
    )


def _spec(sweep: SweepFolder, trial_id: str) -> Json:
    try:
        return sweep.trial(trial_id).spec()
    except DamagedFileError:
        # It is told where all damage is.
        return None


def _is_inside(axes: Sequence[Axis], spec: Json) -> bool:
    return spec is None or all(
        axis.distribution.contains(get_path(spec, axis.path)) for axis in axes
    )
