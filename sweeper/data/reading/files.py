"""Rows of local files, whatever their layout: JSON lines, JSON, CSV, ConvAI2's text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sweeper.errors import DataError

__all__ = ["ReadRow", "Row", "read_rows"]

Row = Mapping[str, object]
"""One row, by field."""
ReadRow = tuple[str, Row | DataError]
"""The place of a row, for messages, and the row, or why it is none."""

_PERSONA = "your persona: "


def read_rows(path: Path, *, columns: Sequence[str] = ()) -> Iterator[ReadRow]:
    """Yields the rows of a file, each with its place for messages, and what is wrong with bad ones.

    Args:
        path: its suffix says how it is read: .jsonl, .json (a list, or an object with the list
            ``examples``), .csv, or .txt in ConvAI2's form.
        columns: names of a CSV file's columns where it has no header.

    Raises:
        DataError: the file is not of that form, or of none that can be read.
    """
    try:
        yield from _reader(path)(path, columns)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); data files are "
            "UTF-8; convert the file"
        ) from error


def _reader(path: Path) -> Callable[[Path, Sequence[str]], Iterator[ReadRow]]:
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".txt": _dialogues}
    if path.suffix not in readers:
        raise DataError(
            f"{path}: files of type {path.suffix!r} cannot be read; known: {', '.join(readers)}; "
            "convert it"
        )
    return readers[path.suffix]


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[ReadRow]:
    del columns
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, _row(line, where=where)


def _json(path: Path, columns: Sequence[str]) -> Iterator[ReadRow]:
    del columns
    content = _parse(path.read_text(encoding="utf-8"), where=str(path))
    rows = content.get("examples") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: holds a JSON {type(content).__name__} without rows; a file must be a list of "
            "objects, or an object with such a list as 'examples'; correct it"
        )
    for number, row in enumerate(rows):
        where = f"{path}, row {number}"
        yield where, _object(row, where=where)


def _csv(path: Path, columns: Sequence[str]) -> Iterator[ReadRow]:
    # Spreadsheets begin a file with a byte-order mark; fields hold newlines and quotes.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        names = list(columns) or next(reader, [])
        for cells in reader:
            if not cells:
                continue
            where = f"{path}:{reader.line_num}"
            if len(cells) != len(names):
                yield where, _cut(where, len(cells), names)
            else:
                yield where, dict(zip(names, cells, strict=True))


def _cut(where: str, cells: int, names: Sequence[str]) -> DataError:
    return DataError(
        f"{where}: {cells} cells but {len(names)} columns ({', '.join(names)}); every row needs "
        "one cell a column; correct the row"
    )


def _dialogues(path: Path, columns: Sequence[str]) -> Iterator[ReadRow]:
    """Yields one row a dialogue: ``persona``, and ``turns``, pairs of what is said and the reply.

    A line is a number, a space, and either a sentence of the persona or two utterances with a tab
    between them (the file with candidates has more tabs). The number 1 begins a dialogue.
    """
    del columns
    where, persona, turns = str(path), list[str](), list[list[str]]()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            position, _, text = line.rstrip("\n").partition(" ")
            if position == "1" and (persona or turns):
                yield where, {"persona": persona, "turns": turns}
                persona, turns = [], []
            if position == "1":
                where = f"{path}:{number}"
            said, tab, rest = text.partition("\t")
            if text.startswith(_PERSONA):
                persona.append(text.removeprefix(_PERSONA))
            elif tab:
                turns.append([said, rest.partition("\t")[0]])
            elif text.strip():
                raise DataError(
                    f"{path}:{number}: neither a persona nor a turn: {line.strip()!r}; a line is "
                    f"'N {_PERSONA}…' or 'N utterance<TAB>reply'; correct the line"
                )
    if persona or turns:
        yield where, {"persona": persona, "turns": turns}


def _row(text: str, *, where: str) -> Row | DataError:
    try:
        return _object(_parse(text, where=where), where=where)
    except DataError as error:
        return error


def _parse(text: str, *, where: str) -> object:
    try:
        content: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON ({error.msg} at column {error.colno}); each row must be one JSON "
            "object; correct it"
        ) from error
    return content


def _object(row: object, *, where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: a JSON {type(row).__name__}; each row must be one JSON object with its "
            "fields; rewrite the file, one object a row"
        )
    return row
