"""What a design can find, before it runs: from how far trainings of an earlier sweep are apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.analysis.conclusions.questions import MOST_PAIRED, questions_of
from sweeper.analysis.conclusions.sweep import unit_of
from sweeper.analysis.score_table import score_table
from sweeper.analysis.statistics import ScoreTable
from sweeper.analysis.statistics.planning import (
    DEFAULTS,
    PlannedContrast,
    VarianceComponents,
    detectable,
    needed_rows,
    needed_seeds,
    row_floor,
    variance_components,
    winner_probability,
)
from sweeper.analysis.statistics.questions import factorial_effects, look_at
from sweeper.analysis.statistics.verdicts import ALPHA, POINTS, Factorial, default_delta
from sweeper.errors import BadInputError
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.sweep import Sweep
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in

__all__ = ["Detection", "Forecast", "detection_of", "forecast_of"]

# Sweeps that are looked into for one that was replicated: the newest.
_MOST_SWEEPS = 20
# Simulated for the probability of a sole winner: it is said to a tenth.
_SIMULATED, _DRAWS = 100, 500
# Configurations; of more it takes long.
_MOST_SIMULATED = 30


@dataclass(frozen=True)
class Detection:
    """Which difference a design finds in four of five sweeps, and what it would take for δ.

    Attributes:
        source: Name of the sweep that the spread is of; empty where it is assumed.
        rows: Test rows.
        difference: What is found in 80 %, in units of the metric: of two configurations, of two
            tuned methods, or of a factorial a main effect.
        floor: What no number of seeds beats with these rows.
        delta: Smallest difference of interest.
        seeds: Seeds that find `delta` in 80 %; None where no number up to 200 does.
        needed_rows: Rows that find it with the seeds of the design; None where no number does.
        winner: How often a best configuration that is `delta` ahead of all others is named the
            best alone; None where methods are tuned, where no best one is asked for, and of many.
        is_fraction: Whether differences are of fractions, such as an accuracy.
    """

    source: str
    rows: int
    difference: float
    floor: float
    delta: float
    seeds: int | None
    needed_rows: int | None
    winner: float | None
    is_fraction: bool


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
    metric = sweep.spec.compared_by
    own = {x.name for x in sweep.spec.evaluation.metrics if not isinstance(x, str)}
    is_fraction = unit_of(metric, own=own) is POINTS
    known = next(_replicated(sweep, home), None)
    if known is None and not is_fraction:
        return None
    source, components, mean = ("", DEFAULTS, 0.0) if known is None else known
    delta = plan.delta or default_delta(is_fraction=is_fraction, control_mean=mean)
    seeds, contrast = len(plan.seeds), _contrast(plan)
    smallest = detectable(components, seeds=seeds, rows=rows, contrast=contrast)
    return Detection(
        source=source,
        rows=rows,
        difference=float(smallest),
        floor=row_floor(components, rows, contrast=contrast),
        delta=delta,
        seeds=needed_seeds(components, delta, rows=rows, contrast=contrast),
        needed_rows=needed_rows(components, delta, seeds=seeds, contrast=contrast),
        winner=_winner(plan, components, delta, rows=rows),
        is_fraction=is_fraction,
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
    metric = sweep.spec.compared_by
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


def _contrast(plan: DesignPlan) -> PlannedContrast:
    """Returns a comparison of the design's largest family."""
    alpha = _alpha(plan)
    for question in questions_of(plan):
        if isinstance(question, Factorial):
            effects = factorial_effects([dict(levels) for _, levels in question.cells])
            return PlannedContrast.of(effects[0].weights, comparisons=len(effects), alpha=alpha)
    number = len(plan.configurations)
    if plan.tuned is not None:
        number = len({x.levels["name"] for x in plan.configurations})
    family = number * (number - 1) // 2
    if plan.question == "one_factor" or number > MOST_PAIRED:
        family = number - 1
    return PlannedContrast(
        # The variances of peaks are not pooled.
        configurations=2 if plan.tuned is not None else max(2, number),
        comparisons=max(1, family),
        alpha=alpha,
    )


def _alpha(plan: DesignPlan) -> float:
    """Returns one minus the level at the last look that a design declares."""
    look = look_at(len(plan.seeds)) if len(plan.looks) > 1 else None
    return ALPHA if look is None else look.alpha


def _winner(
    plan: DesignPlan, components: VarianceComponents, delta: float, *, rows: int
) -> float | None:
    number = len(plan.configurations)
    if plan.question not in ("best", "one_factor") or not 2 <= number <= _MOST_SIMULATED:
        return None
    ahead = (delta, *(0.0 for _ in range(number - 1)))
    return winner_probability(
        components,
        ahead,
        seeds=len(plan.seeds),
        rows=rows,
        alpha=_alpha(plan),
        sweeps=_SIMULATED,
        draws=_DRAWS,
    )
