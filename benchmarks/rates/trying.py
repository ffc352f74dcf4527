"""Ways of finding a cell's learning rate, each a few trials of one seed, and what they choose.

A trial is a rate; its losses are looked up in the cell. What is chosen is the trial with the
smallest validation loss, and it is judged by its test loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.rates.cells import Cell
from sweeper.experiment.space.distributions import LogUniform
from sweeper.experiment.space.space import RATE, Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search import Suggestions, enqueue_fixed

__all__ = ["STEP", "bracket", "chosen", "climb", "search"]

_Floats = NDArray[np.float64]

STEP = 3.0
"""Factor between two trials of a small design."""


def chosen(cell: Cell, rates: Sequence[float]) -> _Floats:
    """Returns the test loss of what is chosen after each of some trials, of a cell of one seed.

    Args:
        cell: of one seed.
        rates: of the trials, in their order; n.

    Returns:
        [n]
    """
    found = [tuple(float(x[0]) for x in cell.losses_at(rate)) for rate in rates]
    best = [min(found[: number + 1])[1] for number in range(len(found))]
    return np.array(best)


def bracket(rate: float) -> tuple[float, ...]:
    """Returns a rate, a higher one and a lower one."""
    return rate, rate * STEP, rate / STEP


def climb(cell: Cell, rate: float) -> tuple[float, ...]:
    """Returns a rate, a higher one, and one more on the side that is better.

    Args:
        cell: of one seed.
        rate: the first.
    """
    here, higher = (float(cell.losses_at(x)[0][0]) for x in (rate, rate * STEP))
    return rate, rate * STEP, rate * STEP**2 if higher < here else rate / STEP


def search(cell: Cell, *, trials: int, seed: int, start: float | None = None) -> tuple[float, ...]:
    """Returns the rates that the sweep's own search tries in a cell.

    Args:
        cell: of one seed.
        trials: how many.
        seed: of the search.
        start: the rate of the first trial, clipped to the cell's; it is drawn where None.
    """
    low, high = float(cell.rates[0]), float(cell.rates[-1])
    axis = Axis(".".join(RATE), RATE, LogUniform(loguniform=(low, high)))
    name = cell.method.label
    rates = {} if start is None else {name: min(high, max(low, start))}
    space = Space((MethodSpace(name, {}, (axis,)),), start_rates=rates)
    return tuple(_tried(cell, space, SearchSpec(trials=trials, seed=seed), axis.name))


def _tried(cell: Cell, space: Space, search: SearchSpec, name: str) -> Iterator[float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    enqueue_fixed(study, space, search)

    def identify(point: Point) -> str:
        return repr(point[name])

    suggestions = Suggestions(study, space=space, search=search, identify=identify)
    for _ in range(search.trials):
        found = suggestions.next()
        assert found is not None, "a range has infinitely many rates"
        rate = float(str(found.point[name]))
        value = float(cell.losses_at(rate)[0][0])
        suggestions.end(found.number, evaluation=1, value=value, is_complete=True)
        yield rate
