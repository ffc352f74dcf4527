"""What a sweep will cost: wall time, memory of a worker, disk, money; each with its range."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from sweeper._environment import ray_address
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import ResourcesSpec, SearchSpec, Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast.costs import Costs
from sweeper.preflight.room import Cluster
from sweeper.search.draws import count_trials

__all__ = [
    "ENDING_S",
    "Figure",
    "SweepForecast",
    "designed_share",
    "final_s",
    "finalists_s",
    "forecast_sweep",
]

# Both on two cores (docs/measurements/sweep.md). A cluster that starts machines takes longer.
STARTING_S = 12.0
"""Seconds from the command to the first replica, besides the base that it loads."""
ENDING_S = 8.0
"""Seconds from the last result until the command has ended."""
# Of a worker's memory around what was measured, and around what was computed.
_MEASURED, _COMPUTED = (0.9, 1.1), (0.7, 1.5)
# An answer that is written takes so many times as long as one that is only scored.
_WRITTEN = 20
# Of a test split that is not here.
_ROWS = 500


@dataclass(frozen=True)
class Figure:
    """A forecast with its range."""

    value: float
    """The most likely value."""
    low: float
    """What the true one is hardly below."""
    high: float
    """What it is hardly above."""


@dataclass(frozen=True)
class SweepForecast:
    """What a sweep will cost."""

    seconds: Figure
    """Wall time of the whole run. ``high`` is without a trial that ends early."""
    trial_s: Figure
    """Of a trial that is trained to its end, on average."""
    step_s: Figure
    """Of an optimiser step, on average over the trials."""
    memory_bytes: Figure
    """Most memory of a worker, of the trial that needs most."""
    disk_bytes: float
    """Of all trials."""
    money: Figure | None
    """In the currency of ``resources.price_per_hour``; None without that."""
    trials: int
    """That are to be trained."""
    replicas: int
    """That train at once."""
    kept_share: float
    """Share of the steps that are trained, of the finalists' rest apart: where ASHA stops trials as
    it is designed to, in a long search, or at the share; 1 where nothing is stopped."""
    finalists: int
    """Trials that go on to their end from that share; 0 without one."""
    source: str
    """``calibrated``, by real steps of each method; ``scaled``, of some of them by real steps of
    others; ``computed``, by operations and rates."""
    rates: str
    """What computed times rest on, or that the machine was busy; else empty."""

    def document(self) -> dict[str, Any]:
        """Returns the same as plain JSON."""
        return asdict(self)


def forecast_sweep(
    sweep: Sweep, trials: Sequence[TrialSpec], costs: Costs, *, left: int, address: str | None
) -> SweepForecast:
    """Returns what a sweep will cost.

    Args:
        sweep: to be run.
        trials: of it, all or examples; at least one.
        costs: of its trials.
        left: how many are to be trained.
        address: the cluster it shall run on; None for this machine.
    """
    replicas = _replicas_of(sweep, left, address=address)
    each = [costs.of(trial) for trial in trials]
    search, evaluations = sweep.spec.search, trials[0].train.evaluations
    kept = designed_share(search, evaluations=evaluations)
    # ASHA may stop none, and a share stops all: of one trial alone, too.
    most = kept if search.stop == "share" else 1.0
    low, high = (
        fmean(getattr(x, f"step_{end}_s") for x in each) / fmean(x.step_s for x in each)
        for end in ("low", "high")
    )
    whole_s = fmean(x.trial_s for x in each)
    around_s = STARTING_S + costs.load_s + ENDING_S
    at_end_s = final_s(sweep, costs, trials, replicas=replicas)
    at_end_s += finalists_s(sweep, costs, trials, replicas=replicas)

    def seconds(factor: float, share: float) -> float:
        if not left:
            return around_s + factor * at_end_s
        busy_s = max(left * share / replicas, most) * whole_s
        return around_s + factor * (busy_s + at_end_s)

    total = Figure(seconds(1, kept), seconds(low, kept), seconds(high, most))
    peak = max(x.peak_bytes for x in each)
    sources = {x.source for x in each}
    below, above = _COMPUTED if "computed" in sources else _MEASURED
    return SweepForecast(
        seconds=total,
        trial_s=Figure(whole_s, low * whole_s, high * whole_s),
        step_s=_scaled(fmean(x.step_s for x in each), low, high),
        memory_bytes=_scaled(peak, below, above),
        disk_bytes=left * fmean(x.disk_bytes for x in each),
        money=_money(sweep.spec.resources, total, replicas=replicas),
        trials=left,
        replicas=replicas,
        kept_share=kept,
        finalists=_finalists_of(sweep, left) if kept < 1 else 0,
        source=next(x for x in ("computed", "scaled", "calibrated") if x in sources),
        rates=costs.rates,
    )


def _money(resources: ResourcesSpec, seconds: Figure, *, replicas: int) -> Figure | None:
    if resources.price_per_hour is None:
        return None
    rate = resources.price_per_hour * resources.workers * replicas / 3600
    return Figure(rate * seconds.value, rate * seconds.low, rate * seconds.high)


def _scaled(value: float, low: float, high: float) -> Figure:
    return Figure(value, low * value, high * value)


def _replicas_of(sweep: Sweep, trials: int, *, address: str | None) -> int:
    """Returns how many replicas train at once, on this machine or at most on a cluster."""
    resources, wanted = sweep.spec.resources, max(1, trials)
    if (address or ray_address()) is not None:
        return min(resources.max_replicas, wanted)
    gpus = 0
    if resources.gpus_per_worker:
        import torch

        gpus = torch.cuda.device_count()
    machine = Cluster(is_local=True, cpus=os.cpu_count() or 1, gpus=gpus, has_trial_resource=False)
    try:
        return machine.replicas(resources, trials=wanted)
    except BadInputError:
        # It needs a cluster.
        return min(resources.max_replicas, wanted)


def designed_share(search: SearchSpec, *, evaluations: int) -> float:
    """Returns the share of all steps that is trained before trials are stopped, as designed.

    With ASHA one trial in ``reduction`` passes a rung. That is what it comes to in a long search;
    in a short one it stops fewer.

    Args:
        search: says what stops trials.
        evaluations: of a trial, evenly over its steps.
    """
    rungs = search.rungs
    if rungs is None:
        return search.compared_at(evaluations) / evaluations
    share, left, rung = 0.0, 1.0, rungs.grace
    before = 0
    while rung < evaluations:
        share += left * (rung - before) / evaluations
        left /= rungs.reduction
        before, rung = rung, max(rung + 1, math.floor(rung * rungs.reduction))
    return share + left * (evaluations - before) / evaluations


def _finalists_of(sweep: Sweep, trials: int) -> int:
    """Returns how many of some trials go on to their end after all were stopped."""
    return min(sweep.spec.finalists, trials) if sweep.spec.search.stop == "share" else 0


def finalists_s(sweep: Sweep, costs: Costs, trials: Sequence[TrialSpec], *, replicas: int) -> float:
    """Returns the seconds in which the best trials go on to their end.

    Args:
        sweep: to be run.
        costs: of its trials.
        trials: of it, all or examples; at least one.
        replicas: that train at once.
    """
    search, evaluations = sweep.spec.search, trials[0].train.evaluations
    if search.stop != "share":
        return 0.0
    rest = 1 - search.compared_at(evaluations) / evaluations
    rounds = math.ceil(_finalists_of(sweep, count_trials(sweep)) / replicas)
    return rounds * rest * fmean(costs.of(x).trial_s for x in trials)


def final_s(sweep: Sweep, costs: Costs, trials: Iterable[TrialSpec], *, replicas: int) -> float:
    """Returns the seconds of the evaluation after the search.

    Args:
        sweep: to be run.
        costs: of its trials.
        trials: of it, all or examples.
        replicas: that evaluate at once.
    """
    final, listed = sweep.spec.final, list(trials)
    if final.trials == 0:
        return 0.0
    trained = count_trials(sweep)
    trained = _finalists_of(sweep, trained) or trained
    jobs = min(final.trials or trained, trained) + 1
    row_s = fmean(costs.of(x).evaluation_s / x.train.eval_examples for x in listed)
    rows, written = _final_rows(sweep)
    return math.ceil(jobs / replicas) * rows * row_s * (_WRITTEN if written else 1)


def _final_rows(sweep: Sweep) -> tuple[int, bool]:
    """Returns on how many rows a trial is evaluated at the end, and whether it writes answers."""
    final = sweep.spec.final
    try:
        sweep.spec.data.require_available()
        splits = sweep.spec.data.load().scored_by(sweep.spec.evaluation.metric_names)
    except BadInputError:
        return final.rows or _ROWS, False
    rows = splits.test if final.split == "test" else splits.validation
    number = len(rows) if final.rows is None else min(final.rows, len(rows))
    return number, any(x.is_written for x in rows)
