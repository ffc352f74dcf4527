"""Whether a sweep may begin within its limits, and with which micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper._environment import ray_address
from sweeper._text import duration
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import ResourcesSpec, Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast.computing import GPUS
from sweeper.preflight.forecast.costs import Costs
from sweeper.preflight.forecast.forecasting import SweepForecast, forecast_sweep
from sweeper.preflight.forecast.knowing import known_costs
from sweeper.preflight.forecast.micro_batch import corner_trials, require_fitting, with_micro_batch
from sweeper.preflight.model.memory import memory_there
from sweeper.search.draws import count_trials, draw_all
from sweeper.tracking.owner import Limits

__all__ = ["Admitted", "admit", "require_price"]

# Share of the memory that is there which a worker may be forecast to take.
_SHARE = 0.9


@dataclass(frozen=True)
class Admitted:
    """A sweep that may begin."""

    sweep: Sweep
    """With a micro-batch, where that was left open."""
    costs: Costs | None
    """Of its trials; None where nobody asks for them: there is no limit."""
    forecast: SweepForecast | None
    """Of the whole sweep; None then, too."""


def admit(
    sweep: Sweep,
    limits: Limits,
    *,
    fingerprint: str | None,
    left: int | None = None,
    address: str | None = None,
    within_s: float,
) -> Admitted:
    """Returns a sweep that keeps its limits by the forecast; nothing is started or written.

    Args:
        sweep: to be run.
        limits: what it may take.
        fingerprint: of its data, and of a model at a path; None where one of them is missing.
        left: trials that are to be trained; all where None.
        address: the cluster it shall run on; None for this machine.
        within_s: seconds that measuring may take.

    Raises:
        BadInputError: it does not keep them, nothing is known of its costs, no trial fits, or a
            cost is limited and no price known.
    """
    require_price(limits, sweep.spec.resources)
    if limits == Limits() and not sweep.is_batch_open:
        return Admitted(sweep, None, None)
    trials = _trials(sweep)
    costs = known_costs(sweep, trials, fingerprint=fingerprint, within_s=within_s)
    if costs is None:
        raise BadInputError(_UNKNOWN)
    if sweep.is_batch_open:
        sweep = with_micro_batch(sweep, costs, room=_room(sweep.spec.resources, limits, address))
        trials = _trials(sweep)
    if limits.max_memory_bytes is not None:
        every = [*trials, *corner_trials(sweep)]
        require_fitting(every, costs, room=limits.max_memory_bytes, name="--max-memory")
    number = count_trials(sweep) if left is None else left
    found = forecast_sweep(sweep, trials, costs, left=number, address=address)
    _require_time(found, limits)
    return Admitted(sweep, costs, found)


_UNKNOWN = (
    "limits: nothing is known of what a trial costs, since this machine has no GPU to measure on "
    "and resources.gpu_type is not set; a limit, and train.batch_size: auto, need a forecast; set "
    "resources.gpu_type, or leave the limits out"
)


def _trials(sweep: Sweep) -> Sequence[TrialSpec]:
    return [drawn.spec for drawn in draw_all(sweep)]


def require_price(limits: Limits, resources: ResourcesSpec) -> None:
    """Looks whether a limit of the cost can be kept.

    Args:
        limits: of a sweep.
        resources: of it.

    Raises:
        BadInputError: it has no price.
    """
    if limits.max_cost is not None and resources.price_per_hour is None:
        raise BadInputError(
            f"--max-cost: got {limits.max_cost:g}, but resources.price_per_hour is not set; a "
            "limit of the cost needs the price of an hour of one worker; set it, such as with "
            "--set resources.price_per_hour=2.5, or give --max-hours"
        )


def _room(resources: ResourcesSpec, limits: Limits, address: str | None) -> int:
    """Returns the bytes that a worker may take.

    Raises:
        BadInputError: nobody knows the machines.
    """
    if limits.max_memory_bytes is not None:
        return limits.max_memory_bytes
    if resources.gpus_per_worker and resources.gpu_type is not None:
        return int(_SHARE * GPUS[resources.gpu_type].memory_bytes)
    is_here = (address or ray_address()) is None
    there = memory_there(on_gpu=resources.gpus_per_worker > 0) if is_here else None
    if there is None:
        raise BadInputError(
            "train.batch_size: auto, but the memory of a worker is not known, since it runs on a "
            "cluster; it is chosen by that; give --max-memory, set resources.gpu_type, or give "
            "train.batch_size a number"
        )
    # Workers have a GPU each, or share the machine.
    workers = 1 if resources.gpus_per_worker else resources.workers
    return int(_SHARE * there / workers)


def _require_time(found: SweepForecast, limits: Limits) -> None:
    """Looks whether the forecast keeps the limits of time and cost.

    Raises:
        BadInputError: it does not.
    """
    total, problems, share = found.seconds, [], 1.0
    if limits.max_hours is not None and total.value > 3600 * limits.max_hours:
        share = 3600 * limits.max_hours / total.value
        problems.append(
            f"--max-hours: the sweep takes about {duration(total.value)} ({duration(total.low)} to "
            f"{duration(total.high)}; {found.source}), but {limits.max_hours:g} hours are allowed"
        )
    money = found.money
    if limits.max_cost is not None and money is not None and money.value > limits.max_cost:
        share = min(share, limits.max_cost / money.value)
        problems.append(
            f"--max-cost: the sweep costs about {money.value:,.2f} ({money.low:,.2f} to "
            f"{money.high:,.2f}; {found.source}), but {limits.max_cost:g} is allowed"
        )
    if problems:
        fewer = int(found.trials * share)
        hint = f"about {fewer} of its {found.trials} trials would fit" if fewer else "no trial fits"
        raise BadInputError(
            f"{'; '.join(problems)}; nothing was started; {hint}: lower search.trials, train.steps "
            "or the seeds of a design, or raise the limit"
        )
