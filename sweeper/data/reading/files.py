"""Rows of local files, whatever their layout: JSON lines, JSON, tables, Parquet, Arrow, text."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from sweeper.data.reading.columnar import arrow_rows, parquet_rows
from sweeper.data.reading.json_rows import json_document, json_lines
from sweeper.data.reading.places import UNPACKED, open_text, require_file
from sweeper.data.reading.rows import ReadRow
from sweeper.data.reading.tables import table_rows
from sweeper.errors import DataError

__all__ = ["READABLE", "ROW_FILES", "Parting", "read_rows", "text_rows", "text_suffix"]

READABLE = frozenset((".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt"))
"""Suffixes of the text files that :func:`read_rows` reads."""
ROW_FILES = READABLE | {".parquet", ".arrow"}
"""Suffixes of all files that hold rows; each may be packed besides."""

Parting = Literal["line", "paragraph", "file"]
"""What one text of a text file is."""

_PERSONA = "your persona: "
# What the first bytes of a file say of its encoding, or of what it is.
_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
_BINARY = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\xff\xff\xff\xff": "Arrow",
    b"SQLite format 3": "SQLite",
    b"\x89HDF": "HDF5",
    b"\xd0\xcf\x11\xe0": "Excel",
}
_HEAD = 16


def read_rows(
    path: Path, *, columns: Sequence[str] = (), suffix: str | None = None
) -> Iterator[ReadRow]:
    """Yields the rows of a file, each with its place for messages, and what is wrong with bad ones.

    Args:
        path: of a regular file; one that ends in .gz, .bz2 or .xz is unpacked.
        columns: names of a table's columns where it has no header.
        suffix: says how it is read: .jsonl or .ndjson, .json (a list, or an object with the list
            ``examples``), .csv, .tsv, .parquet, .arrow, or .txt in ConvAI2's form; that of the
            path where None, of ``a.csv.gz`` ``.csv``.

    Raises:
        DataError: the file is not of that form, or of none that can be read.
    """
    yield from _read(path, _reader(path, suffix or text_suffix(path), columns))


def text_rows(path: Path, *, parted_by: Parting) -> Iterator[ReadRow]:
    """Yields the texts of a text file, each as a row with the field ``text``.

    Args:
        path: of a regular file; one that ends in .gz, .bz2 or .xz is unpacked.
        parted_by: what one text is; a paragraph ends at an empty line. Empty texts are none.

    Raises:
        DataError: the file cannot be read.
    """
    yield from _read(path, partial(_texts, parted_by=parted_by))


def _texts(path: Path, parted_by: Parting) -> Iterator[ReadRow]:
    begun, lines = 1, list[str]()
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            is_empty = not line.strip()
            if parted_by == "line" or (is_empty and parted_by == "paragraph"):
                lines += [] if is_empty else [line]
                if lines:
                    yield f"{path}:{begun}", {"text": "".join(lines).removesuffix("\n")}
                begun, lines = number + 1, []
            else:
                lines.append(line)
    if any(line.strip() for line in lines):
        # A file keeps its last newline: it is the text.
        text = "".join(lines)
        yield f"{path}:{begun}", {"text": text if parted_by == "file" else text.rstrip("\n")}


def _read(path: Path, reader: Callable[[Path], Iterator[ReadRow]]) -> Iterator[ReadRow]:
    """Yields what a reader does; what goes wrong is told in our words."""
    require_file(path)
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise _not_utf_8(path) from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(
            f"{path} cannot be unpacked ({error}); the file is cut or damaged; fetch it again"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}); correct the file or its place"
        ) from error


def text_suffix(path: Path) -> str:
    """Returns a file's suffix in small letters, that of packing left out."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in UNPACKED else suffix


def _reader(path: Path, suffix: str, columns: Sequence[str]) -> Callable[[Path], Iterator[ReadRow]]:
    readers: dict[str, Callable[[Path], Iterator[ReadRow]]] = {
        ".jsonl": json_lines,
        ".ndjson": json_lines,
        ".json": json_document,
        ".csv": partial(table_rows, columns=columns),
        ".tsv": partial(table_rows, columns=columns, separator="\t"),
        ".txt": _dialogues,
        ".parquet": parquet_rows,
        ".arrow": arrow_rows,
    }
    if suffix not in readers:
        raise DataError(
            f"{path}: files of type {suffix!r} cannot be read; known: {', '.join(readers)}; "
            "convert it"
        )
    return readers[suffix]


def _not_utf_8(path: Path) -> DataError:
    """Returns the message that says in which line a file is not UTF-8."""
    with UNPACKED.get(path.suffix.lower(), open)(path, "rb") as file:
        head: bytes = file.read(_HEAD)
        file.seek(0)
        where, what = str(path), "some of its bytes are not"
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"{path}:{number}"
                what = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
                break
    kind = next((name for mark, name in _BINARY.items() if head.startswith(mark)), None)
    if kind is not None:
        return DataError(
            f"{path}: not UTF-8 text but a file of {kind}; data files have the name of what they "
            "are; rename it, such as data.parquet, or convert it"
        )
    if head.startswith(_PACKED):
        return DataError(
            f"{path}: not UTF-8 text but a packed file; data files are text; unpack it"
        )
    encoding = next((name for mark, name in _ENCODINGS.items() if head.startswith(mark)), "LATIN1")
    return DataError(
        f"{where}: not UTF-8 text ({what}); data files are UTF-8; convert the file, for example: "
        f"iconv -f {encoding} -t UTF-8 {path} > CONVERTED"
    )


def _dialogues(path: Path) -> Iterator[ReadRow]:
    """Yields one row a dialogue: ``persona``, and ``turns``, pairs of what is said and the reply.

    A line is a number, a space, and either a sentence of the persona or two utterances with a tab
    between them (the file with candidates has more tabs). The number 1 begins a dialogue.
    """
    where, persona, turns = str(path), list[str](), list[list[str]]()
    with open_text(path) as file:
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
