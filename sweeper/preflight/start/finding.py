"""What a user names: a model in a folder or on the Hub, and data in a file, a folder or there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from sweeper import _environment
from sweeper._text import guess, shorten
from sweeper.data.formats import Format
from sweeper.data.reading import ReadRow, Row, read_rows, text_rows
from sweeper.data.reading.files import text_suffix
from sweeper.data.reading.places import data_path, what_is_at
from sweeper.data.sources.files import RowsDataSpec
from sweeper.data.sources.hub import HubDataSpec
from sweeper.data.sources.split_files import split_files
from sweeper.errors import BadInputError, DataError, MissingError
from sweeper.models import FolderModelSpec, HubModelSpec

__all__ = ["FoundData", "find_data", "find_model"]

# Rows by which a format is recognised.
_MOST_ROWS = 100
_MODEL = (
    "a model is a folder with config.json, weights and tokenizer, as save_pretrained writes it, or "
    "owner/name on the Hub"
)
_DATA = (
    "data is a file with rows (JSON lines, JSON, CSV, TSV, Parquet, Arrow, text), a folder of such "
    "files, or owner/name on the Hub"
)


@dataclass(frozen=True)
class FoundData:
    """Data whose format is not known yet."""

    place: str
    """Its path; of data on the Hub, its name."""
    is_on_hub: bool
    """Whether it is a name on the Hub."""
    rows: tuple[Row, ...]
    """Its first training rows, at most 100."""

    def with_format(self, chosen: Format) -> RowsDataSpec:
        """Returns the data with the format of its rows."""
        if self.is_on_hub:
            return RowsDataSpec(hub=self.place, format=chosen)
        return RowsDataSpec(path=self.place, format=chosen)


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
    files = (path,) if what_is_at(path) == "file" else split_files(path)["train"]
    return FoundData(place, False, _first(row for file in files for row in _read(file)))


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


def _on_the_hub(text: str) -> FoundData:
    near = guess(Path(text).name, _beside(Path(text)), otherwise="correct it")
    if text.startswith(("/", ".", "~")) or text.count("/") > 1:
        raise MissingError(f"--data is {shorten(text)}, but there is nothing; {_DATA}; {near}")
    hub = HubDataSpec(name=text)
    try:
        hub.require_available()
        rows = _first(hub.split_rows(hub.train_split))
    except MissingError as error:
        raise MissingError(
            f"--data is {shorten(text)}, but there is no such file or folder, and on the Hub: "
            f"{error}; {_DATA}; {near}"
        ) from error
    return FoundData(text, True, rows)


def _read(file: Path) -> Iterator[ReadRow]:
    if text_suffix(file) == ".txt":
        return text_rows(file, parted_by="line")
    return read_rows(file)


def _first(rows: Iterable[ReadRow]) -> tuple[Row, ...]:
    found: list[Mapping[str, object]] = []
    for _, row in islice(rows, _MOST_ROWS):
        if isinstance(row, DataError):
            raise row
        found.append(row)
    return tuple(found)


def _beside(path: Path) -> list[str]:
    try:
        return [x.name for x in path.expanduser().parent.iterdir()]
    except OSError:
        return []
