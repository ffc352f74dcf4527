"""Cells of a table of learning curves: one method in one size, over learning rates and seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.interpolate import PchipInterpolator

from benchmarks.curves.__main__ import SPACE
from benchmarks.curves.table import CurveTable
from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.documents.yaml_files import read_yaml
from sweeper.experiment.space.budget import BUDGETS, fit_to_budget
from sweeper.models import ModelSpec, shapes
from sweeper_adapters.methods import Method, ModelShape, label_of

__all__ = ["Cell", "cells_of", "content_of", "model_of", "shape_of"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cell:
    """One method in one size on one model; R learning rates, S seeds.

    Attributes:
        model: What the model is called.
        method: With its size.
        rank: Of the LoRA that it is sized to.
        shape: Of the model.
        rates: [R], rising.
        validation: [S, R], validation loss at the end; that of the frozen base after a divergence.
        test: [S, R], test loss, the same.
    """

    model: str
    method: Method
    rank: int
    shape: ModelShape
    rates: _Floats
    validation: _Floats
    test: _Floats

    @property
    def seeds(self) -> int:
        """How many seeds it has."""
        return len(self.validation)

    def of_seeds(self, seeds: Sequence[int]) -> Cell:
        """Returns the cell with some of its seeds alone, by their places."""
        kept = list(seeds)
        return Cell(
            self.model,
            self.method,
            self.rank,
            self.shape,
            self.rates,
            self.validation[kept],
            self.test[kept],
        )

    @cached_property
    def tuned(self) -> int:
        """Place of the rate with the smallest mean validation loss."""
        return int(np.argmin(self.validation.mean(axis=0)))

    @property
    def is_at_end(self) -> bool:
        """Whether that is the lowest or the highest rate."""
        return self.tuned in (0, len(self.rates) - 1)

    @property
    def best_log10_rate(self) -> float:
        """Decimal logarithm of the best rate: the vertex of a parabola through the best three.

        The parabola is of the logarithm of the mean validation loss. The best rate of an end is
        that end: what is beyond was not trained.
        """
        x = np.log10(self.rates)
        place = self.tuned
        if self.is_at_end:
            return float(x[place])
        around = slice(place - 1, place + 2)
        y = np.log(self.validation.mean(axis=0)[around])
        square, slope, _ = np.polyfit(x[around] - x[place], y, 2)
        return float(x[place] - slope / (2 * square)) if square > 0 else float(x[place])

    def nearest(self, rate: float) -> float:
        """Returns the rate of the table that is nearest to one, in its logarithm."""
        return float(self.rates[np.argmin(np.abs(np.log(self.rates / rate)))])

    def losses_at(self, rate: float) -> tuple[_Floats, _Floats]:
        """Returns validation and test loss of each seed at a rate, [S] each.

        Between two rates of the table the logarithm of the loss is a monotone cubic over that of
        the rate (Fritsch and Carlson 1980), which is never below the better one of the two; beyond
        them it is what it is at the end.
        """
        x = np.log10(self.rates)
        at = float(np.clip(np.log10(rate), x[0], x[-1]))
        found = [
            np.array([np.exp(float(PchipInterpolator(x, np.log(row))(at))) for row in losses])
            for losses in (self.validation, self.test)
        ]
        return found[0], found[1]


def model_of(table: CurveTable) -> str:
    """Returns what a table's model is called: its kind, or the last part of its path or name."""
    model = table.about.settings["model"]
    for key in ("path", "name", "architecture"):
        if model.get(key):
            return str(model[key]).rstrip("/").rpartition("/")[2]
    return str(model["kind"])


def shape_of(table: CurveTable) -> ModelShape:
    """Returns the shape of a table's model.

    Raises:
        BadInputError: the table does not say, and the model is not there.
    """
    if table.about.architecture is not None:
        return shapes.shape_of(table.about.architecture)
    adapter: TypeAdapter[ModelSpec] = TypeAdapter(ModelSpec)
    return adapter.validate_python(table.about.settings["model"]).shape()


def content_of(table: CurveTable) -> str:
    """Returns 12 hex digits that name what a table holds."""
    content = hashlib.sha256()
    for array in (table.identity, table.rate, table.seed, table.validation, table.test):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:12]


def cells_of(table: CurveTable) -> list[Cell]:
    """Returns the cells of a table of which all rates and seeds are there.

    Raises:
        BadInputError: the model is not there, or a method is none of ``make curves``.
    """
    shape, model, about = shape_of(table), model_of(table), table.about
    found = []
    for method, label in enumerate(about.methods):
        for size, rank in enumerate(about.ranks):
            places = [
                [table.trials.get(((method, size, rate), seed)) for rate in range(len(about.rates))]
                for seed in range(len(about.seeds))
            ]
            whole = np.array([[-1 if x is None else x for x in row] for row in places])
            if (whole < 0).any():
                continue
            validation, test = _ends(table)
            found.append(
                Cell(
                    model,
                    _sized(label, rank, shape),
                    rank,
                    shape,
                    np.array(about.rates),
                    validation[whole],
                    test[whole],
                )
            )
    return found


def _ends(table: CurveTable) -> tuple[_Floats, _Floats]:
    """Returns validation and test loss of each trial at its end, [n] each."""
    validation = table.losses[:, -1]
    test = table.test.astype(np.float64).mean(axis=1)
    bases = (table.base_validation, table.base_test)
    base_validation, base_test = (float(x.astype(np.float64).mean()) for x in bases)
    return (
        np.where(np.isfinite(validation), validation, base_validation),
        np.where(np.isfinite(test), test, base_test),
    )


def _sized(label: str, rank: int, shape: ModelShape) -> Method:
    """Returns the method of a table in its size, as ``make curves`` trains it."""
    document = read_yaml(SPACE)
    entries = document["methods"]
    assert isinstance(entries, list)
    entry = next((x for x in entries if isinstance(x, dict) and label_of(x) == label), None)
    if entry is None:
        raise BadInputError(
            f"curves: a table has the method {label}, which {SPACE.name} does not list; a prior is "
            "fitted to methods whose settings are known; add it there"
        )
    adapter: TypeAdapter[Method] = TypeAdapter(Method)
    method = adapter.validate_python(entry).resolved(shape)
    return fit_to_budget(BUDGETS["match"].model_validate(_budget(document, rank)), method, shape)


def _budget(document: Document, rank: int) -> Document:
    budget = document["budget"]
    assert isinstance(budget, dict)
    return {**budget, "rank": rank}
