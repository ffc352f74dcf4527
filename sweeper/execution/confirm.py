"""What follows on a search: its confirmation, a sweep of its own in the same folder of sweeps."""

from __future__ import annotations

from sweeper.analysis.confirmation import (
    confirmation_names,
    confirmation_of,
    confirms,
    search_of,
)
from sweeper.errors import BadInputError, NameTakenError
from sweeper.execution.driver import SweepDriver
from sweeper.execution.owner import keep_limits, price_per_hour, sentence_of_limit, usage_in_all
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.forecast import (
    ENDING_S,
    STARTING_S,
    corner_trials,
    kept_costs,
    require_fitting,
)
from sweeper.search import draw_all
from sweeper.tracking.mirror import claim_name
from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.owner import Limits, limits_of
from sweeper.tracking.owner.revisions import changed_alone
from sweeper.tracking.stored import ConfirmedSearch
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["confirmation_driver", "has_time_for", "take_limits"]


def confirmation_driver(search: SweepDriver) -> SweepDriver | None:
    """Returns the driver of what confirms a search; None where nothing does.

    A confirmation that is there is gone on with, whatever has become of the search since: its
    trials and its seeds were chosen when it was made.

    Args:
        search: that has been run to its end.

    Raises:
        BadInputError: the confirmation cannot be run.
    """
    found = confirmation_of(search.folder)
    if found is None:
        return None
    if found.folder is None:
        return None if found.document is None else _begun(search, found.document)
    take_limits(found.folder)
    return SweepDriver.open(
        found.folder,
        address=search.address,
        tracking_uri=search.tracking_uri,
        experiment=_experiment_of(search),
        has_dashboard=search.has_dashboard,
        retry_failed=search.retry_failed,
    )


def _begun(search: SweepDriver, document: Document) -> SweepDriver:
    sweep = build_sweep(document, source=f"the confirmation of {search.folder.name}")
    # What cannot be run shall leave nothing behind.
    fingerprint = require_runnable(sweep, address=search.address)
    _require_memory(sweep, search.folder)
    folder = _new_folder(search.folder, document)
    take_limits(folder)
    return SweepDriver(
        folder,
        sweep,
        fingerprint,
        address=search.address,
        tracking_uri=search.tracking_uri,
        experiment=_experiment_of(search),
        has_dashboard=search.has_dashboard,
    )


def take_limits(confirmation: SweepFolder, asked: Limits = Limits()) -> None:  # noqa: B008 - frozen
    """Gives a confirmation the limits of its search, which both share; else does nothing.

    Args:
        confirmation: that does not run; any other sweep is left alone.
        asked: limits that are given to it alone.

    Raises:
        BadInputError: there are such, or the limits cannot be written.
        DamagedFileError: those of the search cannot be read.
    """
    search = search_of(confirmation)
    if search is None:
        return
    if asked != Limits():
        raise BadInputError(
            f"resume: sweep {confirmation.name} confirms the search {search.name}, and got limits "
            f"({asked}); both have those of the search together; give them to it: 'resume "
            f"{search.name}' with the same options goes on with its confirmation"
        )
    limits = limits_of(search.path)
    if limits != Limits():
        # Its trials are those of the search again. A control arm is forecast by the others.
        keep_limits(confirmation.path, limits, kept_costs(search.path))


def has_time_for(confirmation: SweepDriver) -> bool:
    """Returns whether a trial of a confirmation could end within its limits.

    One that has none is not run at all: a start of Ray would use up what is left. It is marked as
    stopped, and says why. Only who may run it marks it: the sweep's lock is held, and its lease.

    Args:
        confirmation: with its limits.

    Raises:
        BadInputError: another process runs it, or the mark cannot be put at its URL.
        DamagedFileError: its limits cannot be read, what trials cost, or what it has taken.
    """
    if not _why_late(confirmation):
        return True
    folder = confirmation.folder
    with changed_alone(folder.path, command="confirmation"), folder.lock():
        # Another machine may have gone on with it: what is there by now is here now.
        why = _why_late(confirmation)
        if why:
            folder.mark("stopped", note=why)
    return not why


def _why_late(confirmation: SweepDriver) -> str:
    """Returns why no trial of a confirmation could end within its limits; empty where one could."""
    folder, sweep = confirmation.folder, confirmation.sweep
    limits = limits_of(folder.path)
    if not limits.has_time or folder.status == "complete":
        return ""
    usage = usage_in_all(folder)
    left_s = limits.left_s(usage, per_hour=price_per_hour(sweep.spec.resources, replicas=1))
    costs = kept_costs(folder.path)
    shortest_s = min(costs.of(drawn.spec).trial_s for drawn in draw_all(sweep))
    if left_s is None or left_s >= STARTING_S + costs.load_s + shortest_s + ENDING_S:
        return ""
    ended = sum(x.is_final and x.status != "superseded" for x in folder.trials())
    left = sweep.spec.search.trials - ended
    return sentence_of_limit(folder, limits, usage, left=left)


def _require_memory(confirmation: Sweep, search: SweepFolder) -> None:
    """Holds a confirmation against the memory that a worker of its search may take.

    Raises:
        BadInputError: a trial of it, such as a control arm, needs more by the forecast.
    """
    room = limits_of(search.path).max_memory_bytes
    if room is not None:
        require_fitting(
            corner_trials(confirmation),
            kept_costs(search.path),
            room=room,
            name=f"--max-memory: the confirmation of {search.name}",
        )


def _experiment_of(search: SweepDriver) -> str:
    """Returns the experiment that shows a search, which its confirmation goes to, too."""
    view = MlflowView(search.folder, tracking_uri=search.tracking_uri, experiment=search.experiment)
    return view.experiment


def _new_folder(search: SweepFolder, document: Document) -> SweepFolder:
    """Returns the folder of a new confirmation, or the one that another process has just made."""
    of = ConfirmedSearch(name=search.name, sweep_id=search.about().sweep_id)
    for name in confirmation_names(search.name):
        try:
            folder = SweepFolder.create(search.home, name, document=document, confirms=of)
            claim_name(folder.path)
            return folder
        except NameTakenError:
            taken = SweepFolder(search.home / name)
            if confirms(taken, search):
                return taken
    raise BadInputError(
        f"sweep name: all names of a confirmation of {search.name} are taken in {search.home}; "
        "delete sweeps that are no longer needed"
    )
