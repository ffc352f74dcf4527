"""The costs of a sweep's trials, by the best that is at hand."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast.calibration import calibrated_costs
from sweeper.preflight.forecast.computing import computed_costs
from sweeper.preflight.forecast.costs import Costs, step_operations
from sweeper.preflight.forecast.micro_batch import corner_trials

__all__ = ["known_costs", "representatives"]

# Resident memory that the import of Ray, its Train and a replica's code adds to a worker: 134 MB
# with Ray 2.60.
_RAY_BYTES = 135e6


def representatives(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """Returns of each method the trial with the most operations, the cheapest method first.

    So that of a limited time as many methods as possible are measured.

    Args:
        trials: of a sweep.
    """
    largest: dict[str, TrialSpec] = {}
    for trial in trials:
        label = trial.method.label
        known = largest.get(label)
        if known is None or step_operations(trial) > step_operations(known):
            largest[label] = trial
    return sorted(largest.values(), key=step_operations)


def known_costs(
    sweep: Sweep, trials: Sequence[TrialSpec], *, fingerprint: str | None, within_s: float
) -> Costs | None:
    """Returns what the trials of a sweep cost; None where nothing is known of their GPU.

    Args:
        sweep: to be run.
        trials: of it, all or examples.
        fingerprint: of its data, and of a model at a path; None where model or data is missing, so
            that nothing can be measured.
        within_s: seconds that measuring may take.
    """
    resources = sweep.spec.resources
    each = representatives([*trials, *corner_trials(sweep)])
    found = None
    if fingerprint is not None:
        found = calibrated_costs(each, resources, fingerprint=fingerprint, within_s=within_s)
    if found is None:
        found = computed_costs(each, resources)
    if found is None or resources.gpus_per_worker:
        return found
    return found.model_copy(update={"around_bytes": _RAY_BYTES})
