"""What a dead driver left behind, and what is still true of it: records against the study."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from sweeper.errors import BadInputError, DamagedFileError, StudyLostError
from sweeper.experiment.trial import TrialSpec
from sweeper.search import TRIAL_ID, ended_trials, enqueue_again, enqueue_failed, states_by_id
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "end_unwritten",
    "ended_for_good",
    "going_on",
    "reconcile",
    "repeat_lost",
    "requeue_failed",
    "set_damage_aside",
    "states_where_readable",
    "warn_of_other_data",
]

logger = logging.getLogger(__name__)


@contextmanager
def going_on(name: str) -> Iterator[None]:
    """Turns what keeps a sweep from going on into an error of the input.

    Args:
        name: of the sweep.

    Raises:
        BadInputError: its study is away, or its files cannot be written.
    """
    try:
        yield
    except BadInputError:
        raise
    except StudyLostError as error:
        raise BadInputError(
            f"sweep: {name!r} cannot go on, because {error}; a sweep needs its study; run the "
            "command again when the database answers"
        ) from error
    except OSError as error:
        raise BadInputError(
            f"sweep: {name!r} cannot go on, because its files cannot be written ({error}); a sweep "
            "needs a folder that can be written and has room; make room, or make the folder "
            "writable"
        ) from error


def reconcile(
    folder: SweepFolder,
    study: optuna.Study,
    *,
    retries_failed: bool,
    is_ahead: bool,
    stop: str = "",
) -> None:
    """Brings the records of a sweep and its study into agreement, before it goes on.

    Args:
        folder: of the sweep.
        study: of it.
        retries_failed: whether failed trials are to run again.
        is_ahead: as in :func:`repeat_lost`.
        stop: as in :func:`end_unwritten`.
    """
    set_damage_aside(folder)
    end_unwritten(folder, study, stop=stop)
    if retries_failed:
        requeue_failed(folder, study)
    repeat_lost(folder, study, is_ahead=is_ahead)


def set_damage_aside(folder: SweepFolder) -> None:
    """Moves damaged files of a sweep out of the way, and tells each."""
    for error in folder.set_damage_aside():
        logger.warning("%s; it is now %s.damaged", error, error.path.name)


def end_unwritten(folder: SweepFolder, study: optuna.Study, *, stop: str = "") -> None:
    """Ends records as the study has it, where a replica died before it wrote the end.

    What was running goes back among the trials that wait, and so does a failed one that a driver
    has enqueued again and not requeued, because it died.

    Args:
        folder: of the sweep.
        study: of it.
        stop: what stops trials early; at a share one that is complete in the study was stopped.
    """
    states = states_by_id(study)
    for record in folder.trials():
        trial, state = folder.trial(record.id), states.get(record.id)
        if record.is_final:
            if record.status == "failed" and state == TrialState.WAITING:
                trial.requeue()
        elif state == TrialState.PRUNED or (
            stop == "share" and state == TrialState.COMPLETE and not record.is_finalist
        ):
            trial.prune()
        elif state == TrialState.FAIL:
            why = "its end was not written: its replica died, or the disk had no room for it"
            trial.fail("ReplicaLost", why)
    folder.requeue_interrupted()


def states_where_readable(study: optuna.Study) -> dict[str, TrialState]:
    """Returns how a study has each trial; nothing where it cannot be read.

    Args:
        study: of a sweep that runs.
    """
    try:
        return states_by_id(study)
    except (OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        logger.debug("the study cannot be read: %s", error)
        return {}


def ended_for_good(
    folder: SweepFolder, states: Mapping[str, TrialState], *, stop: str
) -> list[str]:
    """Returns the trials that nobody will go on with.

    Args:
        folder: of the sweep.
        states: how the study has each trial.
        stop: what stops trials early; of those stopped at a share any may go on from its
            checkpoint, when the sweep has been extended.
    """
    ended = [x for x, s in states.items() if s in {TrialState.COMPLETE, TrialState.PRUNED}]
    if stop != "share":
        return ended
    found = []
    for trial_id in ended:
        # A folder may have been removed by hand.
        with suppress(DamagedFileError):
            if folder.trial(trial_id).read().status == "complete":
                found.append(trial_id)
    return found


def requeue_failed(folder: SweepFolder, study: optuna.Study) -> None:
    """Enqueues the failed trials again, and lets the failed clones wait again.

    Their identity, record and MLflow run stay theirs. A clone is not in the study.

    The study has one as running whose driver died, or had no room, before it told the study.
    """
    enqueue_failed(study)
    states = states_by_id(study)
    for record in folder.trials():
        state = states.get(record.id)
        # One whose end could not be written has ended well in the study, and so has a finalist.
        if record.status == "failed" and state not in {None, TrialState.FAIL, TrialState.PRUNED}:
            folder.trial(record.id).requeue()
    for place, clone in clones_of(folder):
        if clone.record.status == "failed":
            place.requeue()


def repeat_lost(folder: SweepFolder, study: optuna.Study, *, is_ahead: bool = False) -> None:
    """Enqueues trials again that have ended in the study but not, or no longer, on disk.

    What is left of them shortens the work: from a checkpoint of its last step a trial only repeats
    its end.

    Args:
        folder: whose damaged files are set aside.
        study: of the sweep.
        is_ahead: the study may know of trials whose folders never left a machine that has died;
            else one whose folder is gone was removed by hand, and is not wanted.
    """
    # A finalist has ended in the study where it was compared.
    ended = {x.id for x in folder.trials() if x.is_final or x.is_finalist}
    lost = [
        trial
        for trial in ended_trials(study)
        if (trial_id := str(trial.user_attrs.get(TRIAL_ID, ""))) not in ended
        and trial_id
        and (is_ahead or folder.trial(trial_id).path.is_dir())
    ]
    for trial_id in enqueue_again(study, lost):
        logger.warning("trial %s of %s is run again: its record is lost", trial_id, folder.name)


def warn_of_other_data(folder: SweepFolder, fingerprint: str) -> None:
    """Warns where a sweep's trials are of other data, model or code than those to come.

    Args:
        folder: the sweep's.
        fingerprint: of the rows, and of a model at a path, as they are now.
    """
    ids = [record.id for record in folder.trials()]
    others = [
        trial_id
        for trial_id in ids
        if (spec := _spec(folder, trial_id)) is not None
        and spec.identity(data_fingerprint=fingerprint) != trial_id
    ]
    if others:
        logger.warning(
            "%d of %d trials of %s, such as %s, saw other rows than the data has now, had other "
            "weights than the model, or ran with another version of the program; those to come "
            "cannot be compared with them; bring the files back, or begin a new sweep",
            *(len(others), len(ids), folder.name, others[0]),
        )


def _spec(folder: SweepFolder, trial_id: str) -> TrialSpec | None:
    try:
        return folder.trial(trial_id).trial_spec()
    except DamagedFileError:
        # It is told where it is set aside.
        return None
