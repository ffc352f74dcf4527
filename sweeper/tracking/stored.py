"""What the files of a sweep hold, and the one way to read them.

Whoever reads a file of a sweep gets what its type says, or a :class:`DamagedFileError` that names
the file: a file may have been cut, emptied or changed, or be of a version that is still to come.
Fields that a type does not know are dropped.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    RootModel,
    SkipValidation,
    ValidationError,
)

from sweeper._files import read_bytes, read_json
from sweeper._spec import reason_of
from sweeper.errors import DamagedFileError

__all__ = [
    "DATA_FILE",
    "FIGURES",
    "LEADERBOARD_FILE",
    "MAX_COUNT",
    "MAX_WORD",
    "PAGE_FILE",
    "SAID_FILE",
    "STORED",
    "ConfirmedSearch",
    "DataNote",
    "GitCommit",
    "Keep",
    "LeftOut",
    "Observation",
    "Observations",
    "Protocol",
    "Said",
    "Scores",
    "Summary",
    "SweepAbout",
    "SweepState",
    "SweepStatus",
    "TakenFrom",
    "TrialDescription",
    "nothing_kept",
    "read_stored",
    "read_stored_arrays",
]

PAGE_FILE = "report.html"
"""Name of the report page in the folder of its sweep."""
FIGURES = "figures"
"""Name of the folder beside it with its charts."""
SAID_FILE = "verdicts.json"
"""Name of the file beside it with its sentences."""
LEADERBOARD_FILE = "leaderboard.json"
"""Name of the file beside it with all trials as a table, in the form of ``mlflow.log_table``."""
DATA_FILE = "data.json"
"""Name of the file that names the rows that a sweep's trials see."""

# Above it a number in JSON is not exact everywhere, and SQLite's columns end soon after.
MAX_COUNT = 2**53

# Characters of a name: more would fill a terminal.
MAX_WORD = 200
# Characters of a field's path that a message shows: a key may be anything.
MAX_SHOWN = 80

SweepStatus = Literal["running", "complete", "stopped"]


# Unknown fields are dropped, not refused: an older report can read a newer file.
STORED = ConfigDict(
    frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
)
"""Settings of the models of a sweep's files."""


class GitCommit(BaseModel):
    """The commit that a sweep was started from."""

    model_config = STORED

    commit: str = Field(pattern="^[0-9a-f]{7,64}$")
    """Its hash."""
    is_dirty: bool
    """Whether a tracked file was changed."""


class ConfirmedSearch(BaseModel):
    """The search that a sweep confirms."""

    model_config = STORED

    name: str = Field(max_length=MAX_WORD)
    """Its name."""
    sweep_id: str = Field(pattern="^[0-9a-f]{32}$")
    """Its identity."""


class SweepAbout(BaseModel):
    """``sweep.json``: what was asked for, and by which code."""

    model_config = STORED

    name: str
    """Name of the sweep when it was made."""
    sweep_id: str = Field(pattern="^[0-9a-f]{32}$")
    """Its identity, by which MLflow's runs are found."""
    created_at: AwareDatetime
    """When it was made, UTC."""
    git: GitCommit | None = None
    """The commit, where there is one."""
    versions: dict[str, str] = {}
    """Versions of packages by name."""
    machine: dict[str, str] = {}
    """What it was started on: system, processor, accelerators."""
    confirms: ConfirmedSearch | None = None
    """The search that it confirms, if it confirms one."""
    rate_prior: dict[str, JsonValue] | None = None
    """What was expected of learning rates when it was made; null of a sweep of an earlier version.
    A report that does not look at it reads the file whatever a later version has here."""
    document: dict[str, JsonValue]
    """The resolved sweep."""


class SweepState(BaseModel):
    """``state.json``: how a sweep stands."""

    model_config = STORED

    status: SweepStatus
    """The status."""
    since: AwareDatetime
    """Since when, UTC."""
    note: str = ""
    """What there is to say of it, a sentence or nothing."""


class TrialDescription(BaseModel):
    """``spec.json``: what a trial is, and of its record what never changes."""

    model_config = STORED

    id: str
    """Identity by content, which is the folder's name."""
    number: int = Field(ge=0, le=MAX_COUNT)
    """Position in the order of suggestion."""
    method: str = Field(max_length=MAX_WORD)
    """Name of the method."""
    origin: str = Field(default="search", max_length=MAX_WORD)
    """Origin of the suggestion."""
    # Whatever comes from a file is JSON: to look at each value is most of the reading.
    params: dict[str, SkipValidation[JsonValue]] = {}
    """Searched parameters and the method's fields, by dotted path."""
    steps_total: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Optimiser steps of the whole trial; 0 if unknown."""
    spec: dict[str, SkipValidation[JsonValue]]
    """The trial's spec."""


class TakenFrom(BaseModel):
    """``taken_from.json``: where the results of a trial that was not trained here are from."""

    model_config = STORED

    sweep: str = Field(max_length=MAX_WORD)
    """Name of the sweep that trained it."""
    sweep_id: str = Field(pattern="^[0-9a-f]{32}$")
    """Identity of that sweep."""
    number: int = Field(ge=0, le=MAX_COUNT)
    """The trial's number there."""
    taken_at: AwareDatetime
    """When its results were taken over, UTC."""


class Observation(BaseModel):
    """A trial of an earlier sweep that a search learns from."""

    model_config = STORED

    sweep: str = Field(max_length=MAX_WORD)
    """Name of its sweep."""
    sweep_id: str = Field(pattern="^[0-9a-f]{32}$")
    """Identity of that sweep."""
    trial: str = Field(max_length=MAX_WORD)
    """Identity of the trial."""
    point: dict[str, JsonValue]
    """The point of the search's space that it is."""
    values: tuple[float, ...] = Field(min_length=1)
    """The objective at its evaluations, in their order."""


class LeftOut(BaseModel):
    """Trials of an earlier sweep that are no observations."""

    model_config = STORED

    sweep: str = Field(max_length=MAX_WORD)
    """Name of their sweep."""
    why: str
    """Why not, the end of a sentence about each of them."""
    trials: int = Field(ge=1, le=MAX_COUNT)
    """How many they are."""


class Observations(BaseModel):
    """``observations.json``: what a search has taken of earlier sweeps."""

    model_config = STORED

    taken: tuple[Observation, ...] = ()
    """Trials that its study begins with."""
    left_out: tuple[LeftOut, ...] = ()
    """The others of these sweeps."""


class Scores(RootModel[dict[str, float]]):
    """``base.json``: metrics by name."""


class Protocol(RootModel[dict[str, JsonValue]]):
    """``evaluation.json``: on which rows trials are evaluated, and how."""


class DataNote(BaseModel):
    """``data.json``: which rows the trials of a sweep see."""

    model_config = STORED

    fingerprint: str = Field(max_length=MAX_WORD)
    """Hash of the rows and, after a space, that of a model at a path."""


class Summary(BaseModel):
    """A sweep in numbers."""

    model_config = STORED

    objective: str = Field(max_length=MAX_WORD)
    """Name of the metric that it optimises."""
    best: float | None = None
    """Value of the best trial, which validation chose."""
    best_final: float | None = None
    """Value of that trial in the evaluation after the search."""
    split: str = Field(default="test", max_length=MAX_WORD)
    """Split of that evaluation."""
    base: float | None = None
    """Value of the frozen base on validation."""
    trials: dict[str, int] = {}
    """Number of trials by their status."""
    wall_time_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds from begin to end, summed over the trials."""


class Said(BaseModel):
    """``verdicts.json``: what the report page of a sweep says, in sentences."""

    model_config = STORED

    parity: tuple[str, ...] = ()
    """In what the configurations are alike, or are not."""
    verdicts: tuple[str, ...] = ()
    """What follows."""
    remarks: tuple[str, ...] = ()
    """What compares nothing."""
    summary: Summary | None = None
    """The sweep in numbers."""


_Model = TypeVar("_Model", bound=BaseModel)

Keep = Callable[[Path, str, object], None]
"""Takes what a file holds that was read to find damage: folder, name of the file, what is in it."""


def nothing_kept(folder: Path, name: str, found: object) -> None:
    """Drops what was read."""


def read_stored(path: Path, model: type[_Model]) -> _Model | None:
    """Returns what a file of a sweep holds, None where there is no such file.

    Args:
        path: the file.
        model: what it must hold.

    Raises:
        DamagedFileError: it holds something else.
    """
    content = read_json(path)
    return None if content is None else _validated(path, model.model_validate, content)


# What numpy raises at a file that is not one of its own, or no longer.
_UNREADABLE = (
    *(EOFError, KeyError, MemoryError, NotImplementedError, OSError, OverflowError),
    *(AttributeError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
# Bytes of a file when it is unpacked; a damaged length must not fill the memory.
_MOST_BYTES = 2**31


def read_stored_arrays(
    path: Path, model: type[_Model]
) -> tuple[_Model, dict[str, NDArray[Any]]] | None:
    """Returns the JSON text ``about`` of one of numpy's files, and its other arrays by name.

    None where there is no such file.

    Args:
        path: the file.
        model: what the text must hold.

    Raises:
        DamagedFileError: it holds something else.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        arrays = _unpacked(content)
        about = arrays.pop("about").tobytes()
    except _UNREADABLE as error:
        why = "it is empty" if not content.strip(b"\0 \n") else f"it holds no arrays ({error})"
        raise DamagedFileError(path, why) from error
    return _validated(path, model.model_validate_json, about), arrays


def _unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    # numpy.load takes the fourfold: it makes a syntax tree of each array's header.
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        if sum(info.file_size for info in found.infolist()) > _MOST_BYTES:
            raise ValueError(f"it would have more than {_MOST_BYTES} bytes")
        members = {each.filename: _member(content, each) for each in found.infolist()}
    return {name.removesuffix(".npy"): _array(member) for name, member in members.items()}


def _member(content: bytes, info: zipfile.ZipInfo) -> bytes:
    """Returns one member of an archive; of each zipfile makes a stream, which takes its time."""
    name, extra = struct.unpack_from("<HH", content, info.header_offset + 26)
    start = info.header_offset + 30 + name + extra
    packed = content[start : start + info.compress_size]
    if info.compress_type == zipfile.ZIP_DEFLATED:
        # A byte more than there should be shows that there are more.
        packed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    elif info.compress_type != zipfile.ZIP_STORED:
        # What zipfile raises, too: whoever reads the archive tells it as damage.
        raise NotImplementedError(f"compression of type {info.compress_type}")
    if len(packed) != info.file_size or zlib.crc32(packed) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return packed


def _array(content: bytes) -> NDArray[Any]:
    """Returns the array of a file in numpy's format, version 1, as :func:`numpy.savez` writes."""
    length = int.from_bytes(content[8:10], "little")
    shape, kind = _header(content[: 10 + length])
    return np.frombuffer(content, kind, math.prod(shape), 10 + length).reshape(shape)


@lru_cache(maxsize=256)
def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Returns shape and type; thousands of files have the same few headers."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it is of another version of numpy's format")
    shape, is_transposed, kind = np.lib.format.read_array_header_1_0(file)
    if kind.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    if is_transposed:
        raise ValueError("its numbers are in Fortran's order")
    return shape, kind


def _validated(path: Path, validate: Callable[[Any], _Model], content: object) -> _Model:
    try:
        return validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))[:MAX_SHOWN]
        raise DamagedFileError(path, f"{field}: {reason_of(first)}".removeprefix(": ")) from error
