"""The table of learning curves: what a file of it holds, and the one way to read it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from sweeper._files import write_bytes
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking.stored import read_stored_arrays

__all__ = [
    "MOST_BYTES",
    "PATH",
    "About",
    "Cell",
    "CurveTable",
    "halved",
    "read_table",
    "write_table",
]

PATH = Path(__file__).parent / "curves.npz"
"""The table that is part of this repository."""
MOST_BYTES = 8_000_000
"""Bytes that its file may have."""

Cell = tuple[int, int, int]
"""A configuration: places of its method, its size and its rate in their lists."""

# The largest number of float16: what a row loses is cut there.
_LARGEST = float(np.finfo(np.float16).max)


class About(BaseModel):
    """All of a table that is no number of a curve."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    metric: str
    """What a row contributes to: a mean over rows, lower is better."""
    methods: tuple[str, ...] = Field(min_length=1)
    """Names of the methods."""
    ranks: tuple[int, ...] = Field(min_length=1)
    """Sizes, rising: the LoRA of this rank on all linear layers has as many parameters."""
    rates: tuple[float, ...] = Field(min_length=1)
    """Peak learning rates, rising."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Seeds of the trials, rising."""
    evaluation_steps: tuple[int, ...] = Field(min_length=1)
    """Optimiser steps at the evaluations of a trial, rising; the last one is its end."""
    validation_rows: str
    """Fingerprint of the validation rows and their order."""
    test_rows: str
    """Fingerprint of the test rows and their order."""
    settings: dict[str, Any]
    """What all trials share: model, data, training without rate and seed, identity version."""
    architecture: dict[str, Any] | None = None
    """What the ``config.json`` of a model in a folder says, for readers who have not the folder."""
    sweeps: tuple[dict[str, Any], ...]
    """Name, identity, start, commit and machine of each sweep that the trials are of."""
    versions: dict[str, str]
    """Versions of packages by name."""


@dataclass(frozen=True, eq=False)
class CurveTable:
    """Learning curves of n trials with E evaluations on V validation rows, and T test rows.

    Attributes:
        about: What the numbers are of.
        method: int64 [n], place of the trial's method in ``about.methods``.
        size: int64 [n], place of its size in ``about.ranks``.
        rate: int64 [n], place of its learning rate in ``about.rates``.
        seed: int64 [n], place of its seed in ``about.seeds``.
        steps: int64 [n], optimiser steps that it took; less than all where it diverged.
        trainable: int64 [n], trained parameters.
        step_time_s: float32 [n], seconds a step, on the machine of its sweep.
        identity: str [n], the 12 hex digits that name it.
        validation: float16 [n, E, V], what each row loses at each evaluation, in nats a token; not
            a number after a divergence.
        test: float16 [n, T], what each test row loses at its end; not a number where it diverged.
        base_validation: float16 [V], of the frozen base.
        base_test: float16 [T], of the frozen base.
    """

    about: About
    method: NDArray[np.int64]
    size: NDArray[np.int64]
    rate: NDArray[np.int64]
    seed: NDArray[np.int64]
    steps: NDArray[np.int64]
    trainable: NDArray[np.int64]
    step_time_s: NDArray[np.float32]
    identity: NDArray[np.str_]
    validation: NDArray[np.float16]
    test: NDArray[np.float16]
    base_validation: NDArray[np.float16]
    base_test: NDArray[np.float16]

    def __post_init__(self) -> None:
        """Checks that the arrays are of one table; ValueError where they are not."""
        n, about = len(self.method), self.about
        shape = (n, len(about.evaluation_steps), len(self.base_validation))
        for name in ("method", "size", "rate", "seed", "steps", "trainable", "step_time_s"):
            _require(getattr(self, name).shape == (n,), name)
        _require(self.identity.shape == (n,), "identity")
        _require(self.validation.shape == shape, "validation")
        _require(self.test.shape == (n, len(self.base_test)), "test")
        for name, known in _axes(about).items():
            places = getattr(self, name)
            _require(bool(((places >= 0) & (places < known)).all()), name)
        keys = np.stack([self.method, self.size, self.rate, self.seed])
        _require(len(np.unique(keys, axis=1).T) == n, "method, size, rate and seed")

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Mean over the validation rows at each evaluation, [n, E]; not a number as above."""
        return np.asarray(self.validation.astype(np.float64).mean(axis=2))

    @cached_property
    def standard_errors(self) -> NDArray[np.float64]:
        """Standard errors of ``losses`` over the choice of rows, [n, E]."""
        rows = self.validation.astype(np.float64)
        return np.asarray(rows.std(axis=2, ddof=1) / np.sqrt(rows.shape[2]))

    @cached_property
    def trials(self) -> Mapping[tuple[Cell, int], int]:
        """The place of the trial of each configuration and seed (its place, too)."""
        keys = zip(self.method, self.size, self.rate, self.seed, strict=True)
        return {((int(m), int(z), int(r)), int(s)): n for n, (m, z, r, s) in enumerate(keys)}

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The configurations of which every seed of the table is there, in their order."""
        seeds = range(len(self.about.seeds))
        found = sorted({cell for cell, _ in self.trials})
        return tuple(x for x in found if all((x, seed) in self.trials for seed in seeds))

    @cached_property
    def scores(self) -> Mapping[Cell, float]:
        """The test loss of each of ``cells``, a mean over its seeds; lower is better.

        A seed that diverged has left its owner with the frozen base, and counts with its loss.
        """
        base = float(self.base_test.astype(np.float64).mean())
        means = self.test.astype(np.float64).mean(axis=1)
        means = np.where(np.isfinite(means), means, base)
        seeds = range(len(self.about.seeds))
        return {x: float(np.mean([means[self.trials[x, s]] for s in seeds])) for x in self.cells}

    def name(self, cell: Cell) -> str:
        """Returns ``lora, size 8, rate 0.0045``."""
        method, size, rate = cell
        about = self.about
        return f"{about.methods[method]}, size {about.ranks[size]}, rate {about.rates[rate]:g}"


def _axes(about: About) -> dict[str, int]:
    lists = (about.methods, about.ranks, about.rates, about.seeds)
    return dict(zip(("method", "size", "rate", "seed"), map(len, lists), strict=True))


def _require(is_so: bool, name: str) -> None:
    if not is_so:
        raise ValueError(f"{name}: not of these trials")


def halved(values: NDArray[np.float64]) -> NDArray[np.float16]:
    """Returns losses as float16; what is larger than its largest number, 65,504, is that."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)


def write_table(path: Path, table: CurveTable) -> int:
    """Writes a table in the place of what is there; returns the bytes of the file.

    Args:
        path: of the file; its folder is made.
        table: what is written.

    Raises:
        BadInputError: the file would be larger than :data:`MOST_BYTES`.
    """
    numbers = {x.name: getattr(table, x.name) for x in fields(table) if x.name != "about"}
    for name in ("method", "size", "rate", "seed"):
        numbers[name] = numbers[name].astype(np.uint8)
    numbers["steps"] = numbers["steps"].astype(np.uint32)
    numbers["trainable"] = numbers["trainable"].astype(np.uint32)
    about = np.frombuffer(table.about.model_dump_json().encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, about=about, **numbers)
    content = buffer.getvalue()
    if len(content) > MOST_BYTES:
        raise BadInputError(
            f"{path}: a table of {len(table.method)} trials would have {len(content):,} bytes; at "
            f"most {MOST_BYTES:,} are allowed, for it is part of the repository; pack fewer seeds"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return len(content)


def read_table(path: Path = PATH) -> CurveTable:
    """Returns the table in a file.

    Args:
        path: the file.

    Raises:
        BadInputError: there is no such file.
        DamagedFileError: it holds something else.
    """
    found = read_stored_arrays(path, About)
    if found is None:
        raise BadInputError(
            f"curves: there is no table at {path}; the replay needs one; train it with make "
            "curves, or name the file of another one with --table"
        )
    about, arrays = found
    try:
        arrays["identity"] = arrays["identity"].astype(np.str_)
        for name in ("method", "size", "rate", "seed", "steps", "trainable"):
            arrays[name] = arrays[name].astype(np.int64, casting="safe")
        named = {x.name: arrays[x.name] for x in fields(CurveTable) if x.name != "about"}
        return CurveTable(about=about, **named)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(path, f"its arrays are not those of a table ({error})") from error
