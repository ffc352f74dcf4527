"""What a design can find, before it runs: from how far trainings of an earlier sweep are apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.analysis.conclusions.questions import MOST_PAIRED
from sweeper.analysis.conclusions.sweep import unit_of
from sweeper.analysis.score_table import score_table
from sweeper.analysis.statistics import ScoreTable
from sweeper.analysis.statistics.planning import (
    DEFAULTS,
    VarianceComponents,
    detectable,
    needed_rows,
    needed_seeds,
    row_floor,
    variance_components,
)
from sweeper.analysis.statistics.verdicts import POINTS, default_delta
from sweeper.errors import BadInputError
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.sweep import Sweep
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in

__all__ = ["Detection", "Forecast", "detection_of", "forecast_of"]

# Sweeps that are looked into for one that was replicated: the newest.
_MOST_SWEEPS = 20


@dataclass(frozen=True)
class Detection:
    """Which difference a design finds in four of five sweeps, and what it would take for δ.

    Attributes:
        source: Name of the sweep that the spread is of; empty where it is assumed.
        rows: Test rows.
        difference: What is found in 80 %, in units of the metric.
        floor: What no number of seeds beats with these rows.
        delta: Smallest difference of interest.
        seeds: Seeds that find `delta` in 80 %; None where no number up to 200 does.
        needed_rows: Rows that find it with the seeds of the design; None where no number does.
    """

    source: str
    rows: int
    difference: float
    floor: float
    delta: float
    seeds: int | None
    needed_rows: int | None


@dataclass(frozen=True)
class Forecast:
    """How long the trials of a design take.

    Attributes:
        source: Name of the sweep whose trials took so long.
        trials: That are to be trained.
        seconds: Of one replica, for all of them.
    """

    source: str
    trials: int
    seconds: float


def detection_of(sweep: Sweep, *, home: Path | None, rows: int) -> Detection | None:
    """Returns what a design finds; None of a search, with one seed, or where nothing is known.

    The spread is that of the newest sweep of the same model, data and metric that has several
    seeds. Where there is none, an accuracy's is assumed
    (:data:`sweeper.analysis.statistics.planning.DEFAULTS`); a loss has no scale of its own, and
    nothing is said.

    Args:
        sweep: with a design.
        home: folder of all sweeps; None looks nowhere.
        rows: of the test split that are evaluated.
    """
    plan = sweep.design
    if plan is None or len(plan.seeds) < 2 or rows < 2:
        return None
    metric = sweep.spec.objective.metric
    is_fraction = unit_of(metric) is POINTS
    known = next(_replicated(sweep, home), None)
    if known is None and not is_fraction:
        return None
    source, components, mean = ("", DEFAULTS, 0.0) if known is None else known
    delta = plan.delta or default_delta(is_fraction=is_fraction, control_mean=mean)
    number, family = max(2, _compared(plan)), _comparisons(plan)
    smallest = detectable(
        components, seeds=len(plan.seeds), rows=rows, configurations=number, comparisons=family
    )
    return Detection(
        source=source,
        rows=rows,
        difference=float(smallest),
        floor=row_floor(components, rows),
        delta=delta,
        seeds=needed_seeds(components, delta, rows=rows, configurations=number, comparisons=family),
        needed_rows=needed_rows(
            components, delta, seeds=len(plan.seeds), configurations=number, comparisons=family
        ),
    )


def forecast_of(sweep: Sweep, *, home: Path | None, trials: int) -> Forecast | None:
    """Returns how long some trials take, by the newest sweep of the same model and training.

    Args:
        sweep: that is planned.
        home: folder of all sweeps; None looks nowhere.
        trials: that are to be trained.

    Returns:
        None where nothing is to be trained, or no such sweep has a complete trial.
    """
    if not trials:
        return None
    for folder in _alike(sweep, home, ("model", "data", "train", "engine")):
        times = [x.wall_time_s for x in folder.trials() if x.status == "complete" and x.attempts]
        if times:
            return Forecast(folder.name, trials, trials * sum(times) / len(times))
    return None


def _replicated(sweep: Sweep, home: Path | None) -> Iterator[tuple[str, VarianceComponents, float]]:
    """Yields the sweeps with several seeds: name, components, mean of the first configuration."""
    metric = sweep.spec.objective.metric
    for folder in _alike(sweep, home, ("model", "data")):
        try:
            table = score_table(folder, metric, sweep.spec.final.split)
            components = variance_components(table)
        except BadInputError:
            continue
        if components is not None:
            yield folder.name, components, _mean(table)


def _alike(sweep: Sweep, home: Path | None, sections: tuple[str, ...]) -> Iterator[SweepFolder]:
    """Yields the newest sweeps that have the same as this one in some sections."""
    if home is None:
        return
    for path in reversed(sweeps_in(home)[-_MOST_SWEEPS:]):
        folder = SweepFolder(path)
        try:
            document: dict[str, Any] = folder.document
        except BadInputError:
            continue
        if all(document.get(name) == sweep.document.get(name) for name in sections):
            yield folder


def _mean(table: ScoreTable) -> float:
    return float(table.configurations[0].scores.mean())


def _compared(plan: DesignPlan) -> int:
    """Returns how many configurations, or tuned methods, are compared."""
    if plan.tuned is None:
        return len(plan.configurations)
    return len({x.levels["name"] for x in plan.configurations})


def _comparisons(plan: DesignPlan) -> int:
    """Returns how many comparisons hold together in the largest family."""
    number = _compared(plan)
    if plan.question == "one_factor" or number > MOST_PAIRED:
        return max(1, number - 1)
    return max(1, number * (number - 1) // 2)
