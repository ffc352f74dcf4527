"""Rows of Parquet and Arrow files, and of folders that ``datasets`` has saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.data.reading.places import UNPACKED
from sweeper.data.reading.rows import ReadRow
from sweeper.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_rows", "parquet_rows", "saved_files", "saved_splits"]

_SPLITS = "dataset_dict.json"
_STATE = "state.json"
# How an Arrow file begins that knows where its batches are; others are a stream of them.
_FILE_MARK = b"ARROW1"


def parquet_rows(path: Path) -> Iterator[ReadRow]:
    """Yields the rows of a Parquet file.

    Raises:
        DataError: it is none, or damaged.
    """
    import pyarrow.parquet

    with _told(path, "Parquet"), pyarrow.parquet.ParquetFile(_opened(path)) as file:
        yield from _numbered(path, file.iter_batches())


def arrow_rows(path: Path) -> Iterator[ReadRow]:
    """Yields the rows of an Arrow file, whether it is a file or a stream of batches.

    Raises:
        DataError: it is none, or damaged.
    """
    from pyarrow import ipc

    with _told(path, "Arrow"):
        source = _opened(path)
        head = bytes(source.read(len(_FILE_MARK)))
        source.seek(0)
        if head == _FILE_MARK:
            reader = ipc.open_file(source)
            batches = (reader.get_batch(n) for n in range(reader.num_record_batches))
            yield from _numbered(path, batches)
        else:
            yield from _numbered(path, ipc.open_stream(source))


def saved_files(folder: Path) -> tuple[Path, ...]:
    """Returns the files of a data set that ``save_to_disk`` wrote into a folder, in their order.

    Nothing where the folder is none.

    Raises:
        DataError: it is one, and what it says of its files cannot be read.
    """
    state = _json(folder / _STATE)
    if state is None:
        return ()
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not all(isinstance(x, dict) for x in listed):
        raise _damaged(folder / _STATE, "it lists no '_data_files'")
    return tuple(folder / str(entry.get("filename")) for entry in listed)


def saved_splits(folder: Path) -> tuple[str, ...]:
    """Returns the splits that ``save_to_disk`` wrote into a folder; nothing where it is none.

    Raises:
        DataError: it is one, and what it says of its splits cannot be read.
    """
    found = _json(folder / _SPLITS)
    if found is None:
        return ()
    names = found.get("splits")
    if not isinstance(names, list):
        raise _damaged(folder / _SPLITS, "it lists no 'splits'")
    return tuple(str(name) for name in names)


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    return found if isinstance(found, dict) else None


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read ({why}); it is part of what save_to_disk writes; save the data set "
        "again"
    )


def _opened(path: Path) -> pa.NativeFile:
    """Returns a file to read at any place; a packed one is unpacked into memory."""
    import pyarrow as pa

    opened = UNPACKED.get(path.suffix.lower())
    if opened is None:
        return pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")
    with opened(path, "rb") as file:
        return pa.BufferReader(file.read())


def _numbered(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[ReadRow]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            yield f"{path}, row {number}", row
            number += 1


@contextmanager
def _told(path: Path, kind: str) -> Iterator[None]:
    """Turns an error of Arrow into one that names the file."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        why = " ".join(str(error).split())[:300]
        raise DataError(
            f"{path} cannot be read as {kind} ({why}); a file has the suffix of what it is; fetch "
            "or write it again, or rename it"
        ) from error
