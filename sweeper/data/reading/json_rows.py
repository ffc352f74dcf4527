"""Rows of JSON: one object a line, or a document with a list of them.

A number keeps its text: ``1.0`` and ``1e5`` are put into a template as they are written. ``NaN`` is
what a table without a value becomes in JSON (pandas writes it so), and is nothing, like ``null``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sweeper.data.reading.places import open_text
from sweeper.data.reading.rows import ReadRow, Row
from sweeper.errors import DataError

__all__ = ["WrittenNumber", "json_document", "json_lines"]

# Beyond 4,300 digits Python makes no whole number of a text.
_MOST_DIGITS = 4000


class WrittenNumber(float):
    """A number that knows how it was written."""

    text: str
    """As it stands in the file."""

    def __new__(cls, text: str) -> WrittenNumber:
        """Returns the number of a text, infinite where it is too large for a float."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def json_lines(path: Path) -> Iterator[ReadRow]:
    """Yields the rows of a file with one JSON object a line; lines of white space are none."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, _row(line.rstrip(), where=where)


def json_document(path: Path) -> Iterator[ReadRow]:
    """Yields the rows of a JSON document.

    It is a list of objects, an object with such a list as ``examples``, or an object of columns:
    lists of the same length. A file of several objects is one of JSON lines with another name.

    Raises:
        DataError: it is none of these.
    """
    with open_text(path) as file:
        text = file.read()
    try:
        content = _parse(text, where=str(path))
    except DataError:
        lines = text.lstrip().partition("\n")
        if not (lines[1] and lines[0].rstrip().endswith("}")):
            raise
        yield from json_lines(path)
        return
    for number, row in enumerate(_listed(content, path)):
        where = f"{path}, row {number}"
        try:
            yield where, _object(row, where=where)
        except DataError as error:
            yield where, error


def _listed(content: object, path: Path) -> list[object]:
    rows = content.get("examples") if isinstance(content, dict) else content
    if rows is None and isinstance(content, dict):
        columns = list(content.values())
        if columns and all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
            rows = [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: holds a JSON {type(content).__name__} without rows; a file must be a list of "
            "objects, or an object with such a list as 'examples'; correct it"
        )
    return rows


def _row(text: str, *, where: str) -> Row | DataError:
    try:
        return _object(_parse(text, where=where), where=where)
    except DataError as error:
        return error


def _parse(text: str, *, where: str) -> object:
    try:
        content: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); each row must be one JSON "
            "object; correct it"
        ) from error
    except _TwiceError as error:
        raise DataError(
            f"{where}: the field {str(error)[:80]!r} is there twice; which one is meant is not "
            "known; each field of a row has a name of its own; remove one of them"
        ) from error
    except RecursionError as error:
        raise DataError(
            f"{where}: not JSON that can be read (it is nested too deeply); each row must be one "
            "JSON object; correct it"
        ) from error
    return content


def _object(row: object, *, where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: a JSON {type(row).__name__}; each row must be one JSON object with its "
            "fields; rewrite the file, one object a row"
        )
    return row


class _TwiceError(Exception):
    """A name stands twice in one object."""


def _named(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found


def _whole(text: str) -> int | WrittenNumber:
    return int(text) if len(text) <= _MOST_DIGITS and text != "-0" else WrittenNumber(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_named,
    parse_float=WrittenNumber,
    parse_int=_whole,
    parse_constant=WrittenNumber,
)
