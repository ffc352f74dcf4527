"""A sweep from its folder: what it is to run, as its owner has it by now."""

from __future__ import annotations

from pydantic import ValidationError

from sweeper._spec import reason_of
from sweeper.errors import DamagedFileError
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.space.rates import RatePrior
from sweeper.experiment.sweep import Sweep
from sweeper.tracking.places import SWEEP_FILE
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["prior_of", "read_sweep"]


def read_sweep(folder: SweepFolder) -> Sweep:
    """Returns the sweep in a folder, with its revisions, and with the prior that it began with.

    Args:
        folder: of the sweep.

    Raises:
        SpecError: its document is none of this version's.
        DamagedFileError: ``sweep.json`` is damaged, or has a prior of a newer version.
    """
    return build_sweep(folder.document, source=str(folder.path), prior=prior_of(folder))


def prior_of(folder: SweepFolder) -> RatePrior | None:
    """Returns what a sweep expects of learning rates; None of one that keeps no prior.

    Args:
        folder: of the sweep.

    Raises:
        DamagedFileError: ``sweep.json`` is damaged, or has a prior of a newer version.
    """
    kept = folder.about().rate_prior
    try:
        return None if kept is None else RatePrior.model_validate(kept)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, ("rate_prior", *first["loc"])))
        why = f"{field}: {reason_of(first)}"
        raise DamagedFileError(folder.path / SWEEP_FILE, why) from error
