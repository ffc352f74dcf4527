"""What is left of a sweep's limits, which a search and its confirmation share."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

from sweeper._text import duration
from sweeper.analysis.confirmation import found_confirmation, search_of
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.sweep import ResourcesSpec
from sweeper.preflight.forecast import ENDING_S
from sweeper.tracking.owner import Limits, Usage, joined, usage_of
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "price_per_hour",
    "refusal_of_more",
    "require_time_left",
    "sentence_of_limit",
    "shared_usage",
    "usage_in_all",
]

logger = logging.getLogger(__name__)


def shared_usage(folder: SweepFolder) -> Usage:
    """Returns what other sweeps have taken that share the limits of one.

    They are the search that it confirms, or the confirmation that it has. What cannot be read is
    not counted, and a warning says so.

    Args:
        folder: of the sweep.
    """
    found = []
    for other in (search_of(folder), found_confirmation(folder)):
        try:
            found.append(Usage() if other is None else usage_of(other.path))
        except DamagedFileError as error:
            logger.warning("%s; what %s has taken is not counted", error, error.path.parent.name)
    return joined(found)


def usage_in_all(folder: SweepFolder) -> Usage:
    """Returns what a sweep has taken, and what those have that share its limits.

    Args:
        folder: of the sweep.

    Raises:
        DamagedFileError: its own file cannot be read.
    """
    return joined([usage_of(folder.path), shared_usage(folder)])


def price_per_hour(resources: ResourcesSpec, *, replicas: int) -> float | None:
    """Returns the price of an hour of all workers; None without one.

    Args:
        resources: of a replica.
        replicas: that train at once.
    """
    price = resources.price_per_hour
    return None if price is None else price * resources.workers * replicas


def require_time_left(folder: SweepFolder, limits: Limits, resources: ResourcesSpec) -> None:
    """Looks whether a sweep that is to go on has time left.

    Args:
        folder: of the sweep.
        limits: all of them, those that are new among them.
        resources: of a replica.

    Raises:
        BadInputError: the limits are used up, or nobody knows what was used.
    """
    if not limits.has_time or folder.status == "complete":
        return
    usage = usage_in_all(folder)
    per_hour = price_per_hour(resources, replicas=1)
    lefts_s = [(one, one.alone.left_s(usage, per_hour=per_hour)) for one in _parts(limits, usage)]
    short = [one for one, left_s in lefts_s if left_s is not None and left_s <= ENDING_S]
    if short:
        more = " ".join(f"{one.option} {2 * max(one.allowed, one.used):g}" for one in short)
        raise BadInputError(
            f"resume: sweep {folder.name} has used up its limit of {limits} "
            f"({_used(folder, usage)}); a trial needs time; nothing was started; give more: "
            f"'resume {_holder(folder)} {more}'"
        )


def refusal_of_more(
    folder: SweepFolder, limits: Limits, resources: ResourcesSpec, *, lacking_s: float
) -> str:
    """Returns why a sweep does not go on whose limits leave no time for a trial, and what would do.

    Args:
        folder: of the sweep.
        limits: all of them, one of the time among them.
        resources: of a replica.
        lacking_s: seconds more that the shortest trial needs, with the start and the end of a run.
    """
    usage = usage_in_all(folder)
    per_hour = price_per_hour(resources, replicas=1)
    left_s = limits.left_s(usage, per_hour=per_hour)
    assert left_s is not None
    needed_s = left_s + lacking_s
    more = []
    for part in _parts(limits, usage):
        alone_s = part.alone.left_s(usage, per_hour=per_hour)
        if alone_s is not None and alone_s < needed_s:
            rate = 1.0 if part.option == "--max-hours" else per_hour or 0.0
            enough = part.allowed + rate * (needed_s - alone_s) / 3600
            more.append(f"{part.option} {_rounded_up(enough)}")
    return (
        f"resume: sweep {folder.name} has {duration(left_s)} left of its limit of {limits} "
        f"({_used(folder, usage)}); a start, its shortest trial and its end take "
        f"{duration(needed_s)} by the forecast; nothing was started; give more: "
        f"'resume {_holder(folder)} {' '.join(more)}'"
    )


def _rounded_up(value: float) -> str:
    """Returns a number above 0 in two digits, no less than it is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / unit) * unit:g}"


class _Part(NamedTuple):
    """One of the limits of a sweep's time."""

    option: str
    allowed: float
    used: float
    alone: Limits


def _parts(limits: Limits, usage: Usage) -> list[_Part]:
    """Returns the limits of the time, each with what was used of it."""
    found = []
    if limits.max_hours is not None:
        hours = limits.max_hours
        found.append(_Part("--max-hours", hours, usage.seconds / 3600, Limits(max_hours=hours)))
    if limits.max_cost is not None:
        cost = limits.max_cost
        found.append(_Part("--max-cost", cost, usage.cost, Limits(max_cost=cost)))
    return found


def sentence_of_limit(folder: SweepFolder, limits: Limits, usage: Usage, *, left: int) -> str:
    """Returns sentences on what was not begun, for whoever reads how a sweep stands.

    Args:
        folder: of the sweep.
        limits: that are reached.
        usage: what was taken of them.
        left: trials that were not begun or not ended.
    """
    asked = max(_parts(limits, usage), key=lambda one: one.used / one.allowed).option
    what, they = ("1 trial was", "it") if left == 1 else (f"{left} trials were", "them")
    if not left:
        what, they = "the evaluation after the trials was", "it"
    return (
        f"The limit of {limits} is reached ({_used(folder, usage)}): {what} not begun or not "
        f"ended. 'resume {_holder(folder)} {asked} MORE' goes on with {they}."
    )


def _used(folder: SweepFolder, usage: Usage) -> str:
    cost = f" and {usage.cost:,.2f}" if usage.cost else ""
    search = search_of(folder)
    with_search = "" if search is None else f", with what the search {search.name} took"
    return f"{duration(usage.seconds)}{cost} used{with_search}"


def _holder(folder: SweepFolder) -> str:
    """Returns the name of the sweep that the limits are given to."""
    return (search_of(folder) or folder).name
