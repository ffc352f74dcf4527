"""What a dead driver left behind, and what is still true of it: records against the study."""

from __future__ import annotations

import logging

import optuna
from optuna.trial import TrialState

from sweeper.experiment.trial import TrialSpec
from sweeper.search import enqueue_failed, states_by_id
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["end_unwritten", "requeue_failed", "warn_of_other_data"]

logger = logging.getLogger(__name__)


def end_unwritten(folder: SweepFolder, study: optuna.Study) -> None:
    """Ends records as the study has it, where a replica died before it wrote the end.

    What was running goes back among the trials that wait.
    """
    states = states_by_id(study)
    for record in folder.trials():
        if record.is_final:
            continue
        trial, state = folder.trial(record.id), states.get(record.id)
        if state == TrialState.PRUNED:
            trial.prune()
        elif state == TrialState.FAIL:
            trial.fail("ReplicaLost", "its replica died and its end was not written")
    folder.requeue_interrupted()


def requeue_failed(folder: SweepFolder, study: optuna.Study) -> None:
    """Enqueues the failed trials again; their identity, record and MLflow run stay theirs."""
    for trial_id in enqueue_failed(study):
        folder.trial(trial_id).requeue()


def warn_of_other_data(folder: SweepFolder, fingerprint: str) -> None:
    """Warns where a sweep's trials are of other data or code than those to come.

    Args:
        folder: the sweep's.
        fingerprint: of the rows as they are now.
    """
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
