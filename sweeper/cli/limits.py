"""The options by which a sweep is limited, and what comes of them before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper._text import shorten, size_of
from sweeper.cli.output import Output
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.execution.driver import SweepDriver
    from sweeper.experiment.sweep import Sweep
    from sweeper.preflight.forecast import Costs
    from sweeper.tracking.owner import Limits
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "MaxCost",
    "MaxHours",
    "MaxMemory",
    "admitted",
    "go_on_within",
    "limits_asked",
    "require_at_rest",
    "require_no_url",
]

MaxHours = Annotated[
    float | None,
    typer.Option(
        "--max-hours",
        help="Hours that the sweep may run for, over all of its runs: no trial begins that would "
        "not end in them.",
    ),
]

MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost", help="The same as a cost, by resources.price_per_hour for every worker."
    ),
]

MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", help="Memory that a worker may take, such as 22GiB."),
]


# A hundred years, a price in any currency, and more memory than a machine has.
_MOST_HOURS, _MOST_COST, _MOST_BYTES = 1e6, 1e15, 2**50


def limits_asked(hours: float | None, cost: float | None, memory: str | None) -> Limits:
    """Returns the limits of the options, which may be none.

    Args:
        hours: of ``--max-hours``.
        cost: of ``--max-cost``.
        memory: of ``--max-memory``.

    Raises:
        BadInputError: one of them is no limit.
    """
    from sweeper.tracking.owner import Limits

    for name, value, most in (
        ("--max-hours", hours, _MOST_HOURS),
        ("--max-cost", cost, _MOST_COST),
    ):
        if value is not None and not 0 < value <= most:
            raise BadInputError(
                f"{name}: got {value:g}; allowed is a number above 0 and at most {most:,.0f}; give "
                "one, or leave it out"
            )
    size = None if memory is None else size_of(memory)
    if memory is not None and (not size or size > _MOST_BYTES):
        raise BadInputError(
            f"--max-memory: got {shorten(repr(memory))}; allowed is a size above 0 and at most "
            "1,024 TiB with its unit: KB, MB, GB, TB or KiB, MiB, GiB, TiB; give one such as 22GiB"
        )
    return Limits(max_hours=hours, max_cost=cost, max_memory_bytes=size)


def admitted(
    sweep: Sweep,
    limits: Limits | None,
    out: Output,
    *,
    root: Path,
    hashed: str,
    address: str | None,
) -> tuple[Sweep, Costs | None]:
    """Returns a sweep that keeps its limits by the forecast, and the costs of its trials.

    Args:
        sweep: checked; its micro-batch may be open.
        limits: what it may take.
        out: where it is told.
        root: folder of all sweeps.
        hashed: fingerprint of the data, and of a model at a path.
        address: the cluster it shall run on.

    Raises:
        BadInputError: it does not keep them.
    """
    from sweeper._environment import calibration_s
    from sweeper.preflight.forecast import admit
    from sweeper.preflight.plan import finished_trials
    from sweeper.report.terminal import batch_text, costs_text
    from sweeper.search import count_trials
    from sweeper.tracking.owner import Limits

    limits = Limits() if limits is None else limits
    if limits == Limits() and not sweep.is_batch_open:
        return sweep, None
    left = count_trials(sweep)
    if not sweep.is_batch_open:
        left -= len(finished_trials(sweep, root, data_fingerprint=hashed))
    with out.waiting("measuring a few steps"):
        found = admit(
            sweep,
            limits,
            fingerprint=hashed,
            left=max(0, left),
            address=address,
            within_s=calibration_s(),
        )
    lines = [batch_text(found.sweep.document)] if sweep.is_batch_open else []
    if found.forecast is not None:
        lines.append(costs_text(found.forecast.document()))
    for line in lines:
        out.console.print(line, markup=False, highlight=False)
    return found.sweep, found.costs


def go_on_within(driver: SweepDriver, asked: Limits, out: Output) -> None:
    """Takes up the limits of a sweep that goes on, and new ones; nothing is written if refused.

    Args:
        driver: of the sweep.
        asked: the new limits.
        out: where it is told.

    Raises:
        BadInputError: they are used up, no trial would end in them, one would not fit in memory, or
            the sweep is a confirmation, whose limits are those of its search.
    """
    from sweeper.execution.confirm import take_limits
    from sweeper.execution.owner import require_time_left, require_trial_fits
    from sweeper.preflight.forecast import kept_costs, require_price
    from sweeper.tracking.owner import limits_of

    folder, sweep = driver.folder, driver.sweep
    take_limits(folder, asked)
    limits = asked.over(limits_of(folder.path))
    # Its owner may have taken the price away since.
    require_price(limits, sweep.spec.resources)
    require_time_left(folder, limits, sweep.spec.resources)
    if asked == type(asked)() and limits.max_memory_bytes is None:
        if limits.has_time:
            require_trial_fits(folder, sweep, limits, kept_costs(folder.path))
        return
    from sweeper._environment import calibration_s
    from sweeper.execution.owner import keep_limits, require_clones_fit
    from sweeper.preflight.forecast import admit

    with out.waiting("measuring a few steps"):
        # Not the whole sweep: as much as fits into what is left is run.
        memory = limits.model_copy(update={"max_hours": 1e9, "max_cost": None})
        found = admit(
            sweep,
            memory,
            fingerprint=driver.data_fingerprint,
            address=driver.address,
            within_s=calibration_s(),
        )
    if limits.max_memory_bytes is not None and found.costs is not None:
        require_clones_fit(folder, found.costs, room=limits.max_memory_bytes)
    if found.costs is not None:
        require_trial_fits(folder, sweep, limits, found.costs)
    keep_limits(folder.path, limits, found.costs)


def require_at_rest(folder: SweepFolder, asked: Limits) -> None:
    """Checks that new limits are for a sweep that does not run: its driver has read the old ones.

    Args:
        folder: of the sweep.
        asked: the new limits, which may be none.

    Raises:
        BadInputError: it runs.
    """
    from sweeper.tracking.owner import driver_of

    if asked != type(asked)() and driver_of(folder.path).is_alive:
        raise BadInputError(
            f"resume: got a limit of {asked} for sweep {folder.name}, which runs; a limit is read "
            f"when a sweep starts; nothing was changed; 'stop {folder.name}', and resume it with "
            "the limit"
        )


def require_no_url(folder: SweepFolder, what: str) -> None:
    """Checks that what is written into a sweep's folder is not undone by what is at a URL.

    Args:
        folder: of the sweep.
        what: is asked for.

    Raises:
        BadInputError: the sweep is kept at a URL.
    """
    from sweeper.tracking.mirror import is_at_url

    if is_at_url(folder.path):
        raise BadInputError(
            f"{what}: sweep {folder.name} is kept at a URL, whose copy would undo the change when "
            "another machine has run the sweep last; so far only a sweep in a folder takes it; "
            "begin a new sweep there with the changed search space"
        )
