"""Which files of a folder are of which split, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeper._text import listed, nearest
from sweeper.data.reading.columnar import saved_files, saved_splits
from sweeper.data.reading.files import ROW_FILES, text_suffix
from sweeper.data.reading.places import UNPACKED, data_path, unread_files, what_is_at
from sweeper.errors import DataError, MissingError

__all__ = ["NAMES", "entry_files", "split_files"]

NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""Names of each split; the first that is there counts. ``eval`` is not among them: some call the
validation split so, and others the test split."""

_SHARD = r"[-_.]?\d+(?:-of-\d+)?"
_WORDS = re.compile(r"[^a-z0-9]+")
_KINDS = ", ".join(sorted(ROW_FILES))
_FORMS = (
    f"a folder needs files ({_KINDS}; also .gz, .bz2, .xz) named train, and optionally validation "
    "(or valid, val, dev) and test; or name the files in data.train, data.validation, data.test"
)


def split_files(
    folder: Path, named: Mapping[str, Sequence[Path]] | None = None
) -> dict[str, tuple[Path, ...]]:
    """Returns the files of each split that a folder has; ``train`` is among them, unless named.

    A file is of a split if that is its name (``train.csv``), with a number (``train-00001``); else
    if its folder has that name; else if the name is a word of its own in the file's
    (``squad-train-v2``). A folder that ``save_to_disk`` wrote says itself what is in it. A single
    file with rows, of whatever name, is the training rows.

    Args:
        folder: to look into, its sub-folders included.
        named: files of splits that are known; others are found for the other splits.

    Raises:
        MissingError: there are no files with rows.
        DataError: it cannot be told which of them are of a split.
    """
    named = named or {}
    taken = {path for files in named.values() for path in files}
    wanted = [split for split in NAMES if split not in named]
    if own := saved_files(folder):
        return {} if named else {"train": own}
    if names := saved_splits(folder):
        saved = {name: saved_files(folder / name) for name in names}
        free = {name: files for name, files in saved.items() if not taken & set(files)}
        found = _of_saved(free, wanted, folder)
        there = [folder / name for name in names]
    else:
        there = _row_files(folder)
        if not there:
            raise MissingError(f"no data: {folder} has no file with rows; {_FORMS}")
        if len(there) == 1 and not named:
            return {"train": tuple(there)}
        found = {}
        for split in wanted:
            if own := _of_split(split, [path for path in there if path not in taken], folder):
                found[split] = own
                taken |= set(own)
    if "train" in found or "train" in named:
        return found
    others = [str(path.relative_to(folder)) for path in there]
    raise DataError(
        f"{folder}: none of {listed(others, most=5)} is the training split by its name; {_FORMS}"
    )


def entry_files(folder: Path, entry: str) -> tuple[Path, ...]:
    """Returns the files that an entry of ``data.train`` and its like names.

    Args:
        folder: that the entry is relative to.
        entry: a file, a folder, a pattern such as ``part-*.parquet``, or the name of files without
            their suffixes.

    Raises:
        MissingError: there are none.
        DataError: a file cannot be looked at.
    """
    path = data_path(entry, root=folder)
    at = what_is_at(path)
    if at == "file":
        return (path,)
    if at == "folder":
        found = list(saved_files(path) or _row_files(path))
    elif any(letter in entry for letter in "*?["):
        found = [x for x in sorted(folder.glob(entry)) if _is_of_rows(x) and x.is_file()]
    else:
        found = [x for x in _row_files(folder) if re.fullmatch(_named(entry), _stem(x))]
    if found:
        return tuple(found)
    there = [str(x.relative_to(folder)) for x in _row_files(folder)] if folder.is_dir() else []
    raise MissingError(
        f"no data: {entry!r} is no file with rows below {folder}{nearest(entry, there)}; files "
        f"there: {', '.join(there[:5]) or 'none'}; known types are {_KINDS}, also packed (.gz, "
        ".bz2, .xz); correct data.path or the name"
    )


def _of_saved(
    saved: Mapping[str, Sequence[Path]], wanted: Sequence[str], folder: Path
) -> dict[str, tuple[Path, ...]]:
    """Returns the files of each split among those that ``save_to_disk`` wrote."""
    found: dict[str, tuple[Path, ...]] = {}
    for split in wanted:
        names = NAMES[split]
        exact = [name for name in names if name in saved]
        words = [name for name in saved if set(names) & set(_WORDS.split(name.lower()))]
        if exact or len(words) == 1:
            found[split] = tuple(saved[(exact or words)[0]])
        elif words:
            raise DataError(
                f"{folder}: {' and '.join(words)} could each be the {split} split; name one in "
                f"data.{split}"
            )
    return found


def _of_split(split: str, there: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Returns the files of a split, those with the plainest name of it."""
    for name in NAMES[split]:
        exact = [path for path in there if _stem(path) == name]
        if len(exact) > 1:
            listed = " and ".join(str(path.relative_to(folder)) for path in exact[:3])
            raise DataError(
                f"{folder}: {listed} could each be the {split} split; one is read for it; name it "
                f"in data.{split}, all of them where both are meant"
            )
        shards = [path for path in there if re.fullmatch(_named(name), _stem(path))]
        inside = [path for path in there if name in _folders(path, folder)]
        words = [path for path in there if name in _WORDS.split(_stem(path))]
        for found in (exact, shards, inside, words):
            if found:
                return tuple(found)
    return ()


def _named(name: str) -> str:
    """Returns the pattern of the names of a split's files, with or without a number."""
    return f"{re.escape(name.lower())}(?:{_SHARD})?"


def _folders(path: Path, folder: Path) -> list[str]:
    return [part.lower() for part in path.relative_to(folder).parts[:-1]]


def _stem(path: Path) -> str:
    """Returns a file's name in small letters, without its suffixes."""
    name = path.name.lower()
    if path.suffix.lower() in UNPACKED:
        name = name.removesuffix(path.suffix.lower())
    return name.removesuffix(text_suffix(path))


def _row_files(folder: Path) -> list[Path]:
    return [path for path in unread_files(folder, read=()) if _is_of_rows(path)]


def _is_of_rows(path: Path) -> bool:
    return text_suffix(path) in ROW_FILES
