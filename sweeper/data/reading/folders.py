"""A data set in a folder of this machine: which file is of which split, and the rows of each.

Which files form a split is the decision of ``datasets``: by their names (``val``, ``dev-00000``),
by folders, or as the folder's card says. Text files are read here then, row by row and as they are
written; ``datasets`` would guess types, and tells no line of a row that it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.data.reading.files import READABLE, read_rows, text_suffix
from sweeper.data.reading.loading import builder_of
from sweeper.data.reading.places import require_file, unread_files, what_is_at
from sweeper.data.reading.rows import Row, sound_rows

if TYPE_CHECKING:
    from datasets import BuilderConfig

__all__ = ["Layout", "layout_of", "split_rows"]

# Of a builder's options these say which files, or nothing of how they are read. The separator
# follows from the suffix.
_OF_FILES = frozenset(
    ("name", "version", "data_dir", "data_files", "description", "sep", "delimiter")
)
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Layout:
    """The files of a data set in a folder."""

    files: Mapping[str, tuple[Path, ...]]
    """Those of each split."""
    is_text: bool
    """Whether all of them are text that is read row by row."""
    unread: tuple[Path, ...]
    """Files of the folder that hold data by their names and are of no split."""


def layout_of(folder: Path, *, subset: str | None = None, remedy: str) -> Layout:
    """Returns which files a folder's splits are made of.

    Args:
        folder: with data files, and perhaps a card (README.md) that names splits and subsets.
        subset: name of a configuration where the card names several.
        remedy: what to do where ``datasets`` cannot tell.

    Raises:
        MissingError: there are no data files.
        DataError: ``datasets`` cannot tell, or a file is none that can be read.
    """
    config = builder_of(
        {"path": str(folder), "name": subset}, name=str(folder), remedy=remedy
    ).config
    found = {
        str(split): tuple(Path(path) for path in paths)
        for split, paths in (config.data_files or {}).items()
    }
    read = [path for paths in found.values() for path in paths]
    for path in read:
        # A card may name files that are elsewhere.
        if what_is_at(path) == "file":
            require_file(path)
    is_text = bool(read) and all(_is_plain(path, config) for path in read)
    return Layout(found, is_text, unread_files(folder, read=read))


def split_rows(split: str, files: Mapping[str, tuple[Path, ...]]) -> list[tuple[str, Row]]:
    """Returns the rows of a split's text files; each has all fields that one of them has.

    Raises:
        DataError: a row cannot be read.
    """
    rows = [entry for path in files[split] for entry in sound_rows(read_rows(path))]
    names = dict.fromkeys(name for _, row in rows for name in row)
    return [(where, {**dict.fromkeys(names), **row}) for where, row in rows]


def _is_plain(path: Path, config: BuilderConfig) -> bool:
    """Whether a file is text, and the card says nothing of how it is read."""
    suffix = text_suffix(path)
    # ConvAI2's form of .txt is of its task alone.
    if suffix not in READABLE - {".txt"}:
        return False
    if getattr(config, "sep", ",") != _SEPARATORS.get(suffix, ","):
        return False
    default: dict[str, Any] = {field.name: field.default for field in fields(config)}
    return all(
        getattr(config, name) == value for name, value in default.items() if name not in _OF_FILES
    )
