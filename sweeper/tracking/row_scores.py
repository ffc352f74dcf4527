"""What each row of an evaluation contributes to each metric, on disk: a few bytes a row.

The file is numpy's (``numpy.load``), compressed. ``about`` is a JSON text with names and numbers.
A metric of a part of the rows, such as a task's, mostly repeats one of all rows: each *column* of
numbers is kept once, and a metric is a column on a set of rows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from sweeper._files import write_bytes
from sweeper.data.row_order import RowOrder
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate
from sweeper.tracking.stored import MAX_COUNT, STORED, Keep, nothing_kept, read_stored_arrays

__all__ = [
    "FINAL_ROWS",
    "VALIDATION_ROWS",
    "RowScores",
    "read_row_scores",
    "row_scores_damage",
    "rows_at",
    "write_row_scores",
]

VALIDATION_ROWS = "validation_rows.npz"
"""Name of the file of a trial's last evaluation in training, and of the frozen base on its rows."""
FINAL_ROWS = "final_rows.npz"
"""Name of the file of the evaluation after the search."""


def rows_at(step: int) -> str:
    """Returns the name of the file of one evaluation of a trial in training.

    A trial has it where ``evaluation.keep_rows`` is ``every``.

    Args:
        step: optimiser steps done, at least 1.
    """
    return f"validation_rows-{step:08d}.npz"


_Ints: TypeAlias = NDArray[np.int64]
_Floats: TypeAlias = NDArray[np.float64]
_Bits: TypeAlias = NDArray[np.bool_]

# From small to large: a column takes the first that holds its numbers.
_TYPES: tuple[np.dtype[np.generic], ...] = (np.dtype("u1"), np.dtype("f2"), np.dtype("f4"))
# More rows than any data set has; a damaged number must not fill the memory.
_MAX_ROWS = 10**8


@dataclass(frozen=True, eq=False)
class RowScores:
    """What the n rows of one evaluation contribute to its metrics.

    Attributes:
        split: "validation" or "test".
        step: Optimiser steps done; 0 of the frozen base and after the search.
        fingerprint: Names the rows and their order.
        tasks: Names of the tasks that the rows are of, sorted.
        strata: int64 [n], which of the tasks a row is of.
        clusters: int64 [n], which cluster a row belongs to; None where each stands for itself.
        metrics: By name: int64 [m], the rows in rising order, and float64 [m], what each
            contributes, to seven digits.
    """

    split: str
    step: int
    fingerprint: str
    tasks: tuple[str, ...]
    strata: _Ints
    clusters: _Ints | None
    metrics: Mapping[str, tuple[_Ints, _Floats]]

    @classmethod
    def of(
        cls, estimates: Mapping[str, Estimate], order: RowOrder, *, split: str, step: int = 0
    ) -> RowScores:
        """Returns what an evaluation says of single rows.

        Args:
            estimates: by name; those that do not know what each row contributes are left out.
            order: of the rows.
            split: that they are of.
            step: optimiser steps done.
        """
        names = tuple(sorted(set(order.tasks)))
        number = {name: place for place, name in enumerate(names)}
        return cls(
            split=split,
            step=step,
            fingerprint=order.fingerprint,
            tasks=names,
            strata=np.array([number[task] for task in order.tasks], np.int64),
            clusters=None if order.clusters is None else np.array(order.clusters, np.int64),
            metrics={
                name: _sorted(found.rows, found.contributions)
                for name, found in estimates.items()
                if found.rows is not None and found.contributions is not None
            },
        )


def _sorted(rows: Sequence[int], contributions: Sequence[float]) -> tuple[_Ints, _Floats]:
    places = np.array(rows, np.int64)
    order = np.argsort(places)
    with np.errstate(over="ignore"):
        # Float32 made them; more digits would say nothing.
        values = np.array(contributions, np.float64).astype(np.float32).astype(np.float64)
    return places[order], values[order]


class _Metric(BaseModel):
    """Where a metric is found."""

    model_config = STORED

    column: int = Field(ge=0, le=MAX_COUNT)
    rows: int = Field(ge=0, le=MAX_COUNT)


class _About(BaseModel):
    """All of a file that is no array of numbers by row."""

    model_config = STORED

    split: str
    step: int = Field(ge=0, le=MAX_COUNT)
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    rows: int = Field(ge=0, le=_MAX_ROWS)
    tasks: tuple[str, ...]
    columns: tuple[str, ...]
    """Types of the columns, as numpy names them."""
    metrics: dict[str, _Metric]


def write_row_scores(path: Path, scores: RowScores) -> None:
    """Writes what each row contributes, in the place of what is there."""
    columns = _Columns(len(scores.strata))
    found = {
        name: columns.place(*scores.metrics[name])
        # What is of more rows comes first, so that parts find themselves in it.
        for name in sorted(scores.metrics, key=lambda name: -len(scores.metrics[name][0]))
    }
    about = _About(
        split=scores.split,
        step=scores.step,
        fingerprint=scores.fingerprint,
        rows=len(scores.strata),
        tasks=scores.tasks,
        columns=tuple(kind.name for kind in columns.types()),
        metrics=found,
    )
    arrays: dict[str, NDArray[np.generic]] = {
        "about": np.frombuffer(about.model_dump_json().encode(), np.uint8),
        "strata": _narrow(scores.strata),
        "row_sets": columns.row_sets(),
        **columns.by_type(),
    }
    if scores.clusters is not None:
        arrays["clusters"] = _narrow(scores.clusters)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def _narrow(numbers: _Ints) -> NDArray[np.unsignedinteger]:
    """Returns the same numbers in as few bytes as the largest needs."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


class _Columns:
    """The columns of a file, each once, and the sets of rows that metrics are of."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._columns: list[tuple[_Bits, _Floats]] = []
        self._sets: dict[bytes, int] = {}

    def place(self, rows: _Ints, values: _Floats) -> _Metric:
        """Returns where a metric is found; adds what is missing."""
        is_member = np.zeros(self._rows, np.bool_)
        is_member[rows] = True
        row_set = self._sets.setdefault(np.packbits(is_member).tobytes(), len(self._sets))
        for number, (is_known, column) in enumerate(self._columns):
            if np.array_equal(column[rows], values, equal_nan=True) and is_known[rows].all():
                return _Metric(column=number, rows=row_set)
        whole = np.zeros(self._rows, np.float64)
        whole[rows] = values
        self._columns.append((is_member, whole))
        return _Metric(column=len(self._columns) - 1, rows=row_set)

    def row_sets(self) -> NDArray[np.uint8]:
        """Returns the bits of each set of rows, [sets, ceil(n / 8)]."""
        found = np.zeros((len(self._sets), -(-self._rows // 8)), np.uint8)
        for bits, number in self._sets.items():
            found[number] = np.frombuffer(bits, np.uint8)
        return found

    def types(self) -> list[np.dtype[np.generic]]:
        """Returns the smallest type of each column that loses nothing."""
        return [_type_of(column) for _, column in self._columns]

    def by_type(self) -> dict[str, NDArray[np.generic]]:
        """Returns the columns of each type together, by its name, [columns, n]."""
        found: dict[str, list[NDArray[np.generic]]] = {}
        for kind, (_, column) in zip(self.types(), self._columns, strict=True):
            found.setdefault(kind.name, []).append(column.astype(kind))
        return {kind: np.stack(columns) for kind, columns in found.items()}


def _type_of(column: _Floats) -> np.dtype[np.generic]:
    for kind in _TYPES[:-1]:
        with np.errstate(over="ignore", invalid="ignore"):
            is_kept = np.array_equal(column.astype(kind).astype(np.float64), column, equal_nan=True)
        if is_kept:
            return kind
    return _TYPES[-1]


def read_row_scores(path: Path) -> RowScores | None:
    """Returns what a file holds, None where there is no such file.

    Args:
        path: the file.

    Raises:
        DamagedFileError: it holds something else.
    """
    found = read_stored_arrays(path, _About)
    if found is None:
        return None
    about, arrays = found
    try:
        return _scores(about, arrays)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DamagedFileError(path, f"its numbers are not those of its rows ({error})") from error


def _scores(about: _About, arrays: Mapping[str, NDArray[np.generic]]) -> RowScores:
    """Returns the scores of a file; KeyError, IndexError, TypeError or ValueError if damaged."""
    strata = _by_row(arrays["strata"], about.rows)
    if strata.size and int(strata.max()) >= len(about.tasks):
        raise ValueError(f"row of task {int(strata.max())}, of {len(about.tasks)}")
    clusters = _by_row(arrays["clusters"], about.rows) if "clusters" in arrays else None
    seen: dict[str, int] = {}
    columns = []
    for kind in about.columns:
        place = seen[kind] = seen.get(kind, -1) + 1
        columns.append(_shaped(arrays[kind], about.rows)[place])
    bits = _shaped(arrays["row_sets"], -(-about.rows // 8)).astype(np.uint8, casting="safe")
    sets = [np.flatnonzero(one) for one in np.unpackbits(bits, axis=1, count=about.rows)]
    metrics = {
        name: (sets[found.rows], columns[found.column][sets[found.rows]].astype(np.float64))
        for name, found in about.metrics.items()
    }
    return RowScores(
        about.split, about.step, about.fingerprint, about.tasks, strata, clusters, metrics
    )


def _by_row(numbers: NDArray[np.generic], rows: int) -> _Ints:
    if numbers.shape != (rows,) or numbers.dtype.kind != "u":
        raise ValueError(f"{numbers.dtype} {numbers.shape} for {rows} rows")
    return numbers.astype(np.int64)


def _shaped(numbers: NDArray[np.generic], width: int) -> NDArray[np.generic]:
    if numbers.ndim != 2 or numbers.shape[1] != width or numbers.dtype.kind not in "uf":
        raise ValueError(f"{numbers.dtype} {numbers.shape} for a width of {width}")
    return numbers


def row_scores_damage(folder: Path, *, keep: Keep = nothing_kept) -> list[DamagedFileError]:
    """Returns what is wrong with the files of a folder that hold rows; nothing where all is well.

    Args:
        folder: of a trial, or of a sweep.
        keep: called with each file, and the rows in it.
    """
    found = []
    for name in (VALIDATION_ROWS, FINAL_ROWS):
        try:
            scores = read_row_scores(folder / name)
            if scores is not None:
                keep(folder, name, scores)
        except DamagedFileError as error:
            found.append(error)
    return found
