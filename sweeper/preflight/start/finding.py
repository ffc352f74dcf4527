"""What a user names: a model in a folder or on the Hub, and data in a file, a folder or there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from sweeper import _environment
from sweeper._text import guess, shorten
from sweeper.data.formats import Format
from sweeper.data.reading.files import READABLE, read_rows, text_suffix
from sweeper.data.reading.folders import layout_of, split_rows
from sweeper.data.reading.loading import load_split
from sweeper.data.reading.places import data_path, unread_files, what_is_at
from sweeper.data.sources.hub import HubDataSpec
from sweeper.data.sources.jsonl import JsonlDataSpec
from sweeper.data.sources.rows import RowDataSpec
from sweeper.errors import BadInputError, DataError, MissingError
from sweeper.models import FolderModelSpec, HubModelSpec

__all__ = ["FoundData", "find_data", "find_model"]

# Rows by which a format is recognised.
_MOST_ROWS = 100
_LINES = (".jsonl", ".ndjson")
_MODEL = (
    "a model is a folder with config.json, weights and tokenizer, as save_pretrained writes it, or "
    "owner/name on the Hub"
)
_DATA = (
    "data is a .jsonl file, a folder with train.jsonl or with tables (CSV, TSV, JSON, Parquet), or "
    "owner/name on the Hub"
)
_FOLDER = (
    "put it alone into a folder, such as data/train{suffix}, and name the folder; or make a .jsonl "
    "file of it"
)


@dataclass(frozen=True)
class FoundData:
    """Data whose format is not known yet."""

    spec: type[JsonlDataSpec] | type[HubDataSpec]
    """Kind of the source."""
    place: str
    """Its ``path`` or ``name``."""
    rows: tuple[Mapping[str, object], ...]
    """Its first training rows, at most 100."""

    def with_format(self, chosen: Format) -> RowDataSpec:
        """Returns the data with the format of its rows."""
        if self.spec is HubDataSpec:
            return HubDataSpec(name=self.place, format=chosen)
        return JsonlDataSpec(path=self.place, format=chosen)


def find_model(text: str) -> FolderModelSpec | HubModelSpec:
    """Returns the model that a text names.

    Args:
        text: a folder, or a name on the Hub.

    Raises:
        BadInputError: there is none, or its files are not whole.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        folder = FolderModelSpec(path=text)
        folder.require_available()
        return folder
    if path.exists():
        raise BadInputError(f"--model is {shorten(text)}, which is a file; {_MODEL}; name it")
    try:
        if text.startswith(("/", ".", "~")):
            raise MissingError("there is no such folder")
        hub = HubModelSpec(name=text)
        hub.require_available()
        hub.config()
    except ValidationError as error:
        raise _no_model(text, "there is no such folder, and it is no name of the Hub") from error
    except MissingError as error:
        raise _no_model(text, str(error)) from error
    return hub


def _no_model(text: str, why: str) -> MissingError:
    near = guess(Path(text).name, _beside(Path(text)), otherwise="name one of the two")
    return MissingError(
        f"--model is {shorten(text)}, but there is no model: {why}; {_MODEL}; {near}"
    )


def find_data(text: str) -> FoundData:
    """Returns the data that a text names, with its first rows.

    Args:
        text: a file, a folder, or a name on the Hub.

    Raises:
        BadInputError: there is none, or it cannot be read.
    """
    place = _on_this_machine(text)
    if place is None:
        return _on_the_hub(text)
    path = data_path(place, root=_environment.data_root())
    if what_is_at(path) == "file":
        return _in_file(path, place)
    if _has_lines(path):
        file = next(x for x in sorted(path.iterdir()) if _is_training(x))
        return FoundData(JsonlDataSpec, place, _first(read_rows(file, suffix=".jsonl")))
    return _in_folder(path)


def _on_this_machine(text: str) -> str | None:
    """Returns what ``data.path`` has for a file or folder; None where there is none.

    A path is relative to ``SWEEPER_DATA`` where that is set, and to the current folder where it is
    not; one that the user sees in the current folder is meant in any case.
    """
    here, root = data_path(text), _environment.data_root()
    if what_is_at(here) != "nothing":
        return text if root is None else str(here.absolute())
    if root is not None and what_is_at(data_path(text, root=root)) != "nothing":
        return text
    return None


def _in_file(path: Path, place: str) -> FoundData:
    suffix = text_suffix(path)
    if suffix in _LINES:
        return FoundData(JsonlDataSpec, place, _first(read_rows(path, suffix=".jsonl")))
    if unread_files(path.parent, read=[path]):
        raise DataError(
            f"--data is {path}, which is no .jsonl file, and there are other data files beside it; "
            f"{_DATA}; {_FOLDER.format(suffix=path.suffix)}"
        )
    return _in_folder(path.parent)


def _in_folder(folder: Path) -> FoundData:
    layout = layout_of(folder, remedy="name another folder")
    if "train" not in layout.files:
        raise DataError(
            f"--data is {folder}, which has no training rows, only {', '.join(layout.files)}; "
            f"{_DATA}; call the file of the training rows train{next(iter(READABLE))}"
        )
    if layout.is_text:
        rows = _first((where, row) for where, row in split_rows("train", layout.files))
    else:
        rows = _loaded(str(folder))
    return FoundData(HubDataSpec, str(folder), rows)


def _on_the_hub(text: str) -> FoundData:
    if text.startswith(("/", ".", "~")) or text.count("/") > 1:
        near = guess(Path(text).name, _beside(Path(text)), otherwise="correct the path")
        raise MissingError(f"--data is {shorten(text)}, but there is nothing; {_DATA}; {near}")
    try:
        HubDataSpec(name=text).require_available()
        return FoundData(HubDataSpec, text, _loaded(text))
    except MissingError as error:
        near = guess(Path(text).name, _beside(Path(text)), otherwise="correct it")
        raise MissingError(
            f"--data is {shorten(text)}, but there is no such file or folder, and on the Hub: "
            f"{error}; {_DATA}; {near}"
        ) from error


def _loaded(name: str) -> tuple[Mapping[str, object], ...]:
    rows = load_split({"path": name}, "train", name=name, remedy="name other data")
    return tuple(dict(row) for row in islice(iter(rows), _MOST_ROWS))


def _first(rows: Iterable[tuple[str, object]]) -> tuple[Mapping[str, object], ...]:
    found = []
    for _, row in islice(rows, _MOST_ROWS):
        if isinstance(row, DataError):
            raise row
        assert isinstance(row, Mapping)
        found.append(row)
    return tuple(found)


def _has_lines(folder: Path) -> bool:
    return any(_is_training(path) for path in folder.iterdir())


def _is_training(path: Path) -> bool:
    return path.name.lower() in {f"train{suffix}" for suffix in _LINES[:1]}


def _beside(path: Path) -> list[str]:
    try:
        return [x.name for x in path.expanduser().parent.iterdir()]
    except OSError:
        return []
