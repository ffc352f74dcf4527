"""What follows on a search: its confirmation, a sweep of its own in the same folder of sweeps."""

from __future__ import annotations

from sweeper.analysis.confirmation import confirmation_names, confirmation_of, confirms
from sweeper.errors import BadInputError, NameTakenError
from sweeper.execution.driver import SweepDriver
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.loading import build_sweep
from sweeper.preflight.checks import require_runnable
from sweeper.tracking.mirror import claim_name
from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.stored import ConfirmedSearch
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["confirmation_driver"]


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
    return SweepDriver(
        _new_folder(search.folder, document),
        sweep,
        fingerprint,
        address=search.address,
        tracking_uri=search.tracking_uri,
        experiment=_experiment_of(search),
        has_dashboard=search.has_dashboard,
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
