"""What a user names: a model in a folder or on the Hub, and data in a file, a folder or there."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from sweeper import _environment
from sweeper._text import guess, shorten
from sweeper.data import RowsDataSpec
from sweeper.data.reading.places import data_path, what_is_at
from sweeper.errors import BadInputError, MissingError
from sweeper.models import FolderModelSpec, HubModelSpec

__all__ = ["find_data", "find_model"]

_MODEL = (
    "a model is a folder with config.json, weights and tokenizer, as save_pretrained writes it, or "
    "owner/name on the Hub"
)
_DATA = (
    "data is a file with rows (JSON lines, JSON, CSV, TSV, Parquet, Arrow, text), a folder of such "
    "files, or owner/name on the Hub"
)


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


def find_data(text: str) -> RowsDataSpec:
    """Returns the data that a text names; its format is not looked at.

    Args:
        text: a file, a folder, or a name on the Hub.

    Raises:
        BadInputError: there is none.
    """
    place = _on_this_machine(text)
    return _on_the_hub(text) if place is None else RowsDataSpec(path=place)


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


def _on_the_hub(text: str) -> RowsDataSpec:
    near = guess(Path(text).name, _beside(Path(text)), otherwise="correct it")
    if text.startswith(("/", ".", "~")) or text.count("/") > 1:
        raise MissingError(f"--data is {shorten(text)}, but there is nothing; {_DATA}; {near}")
    data = RowsDataSpec(hub=text)
    try:
        data.require_available()
        data.first_rows(1)
    except MissingError as error:
        raise MissingError(
            f"--data is {shorten(text)}, but there is no such file or folder, and on the Hub: "
            f"{error}; {_DATA}; {near}"
        ) from error
    return data


def _beside(path: Path) -> list[str]:
    try:
        return [x.name for x in path.expanduser().parent.iterdir()]
    except OSError:
        return []
