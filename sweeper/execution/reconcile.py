"""What a dead driver left behind, and what is still true of it."""

from __future__ import annotations

import logging

from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = []

logger = logging.getLogger(__name__)


def _tell_other_data(folder: SweepFolder, fingerprint: str) -> None:
    """Warns where a sweep's trials are of other data or code than those to come."""
    ids = [record.id for record in folder.trials()]
    specs = {trial_id: TrialSpec.model_validate(folder.trial(trial_id).spec()) for trial_id in ids}
    others = [n for n, spec in specs.items() if spec.identity(data_fingerprint=fingerprint) != n]
    if others:
        logger.warning(
            "%d of %d trials of %s, such as %s, saw other rows than the data has now, or ran with "
            "another version of the program; those to come cannot be compared with them; bring "
            "the data back, or begin a new sweep",
            *(len(others), len(ids), folder.name, others[0]),
        )
