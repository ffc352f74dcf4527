"""The one boundary where what a library says of a bad model becomes a message of ours."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeper._text import shorten
from sweeper.data.reading.places import pointer_message
from sweeper.errors import BadInputError, DataError, MissingError, SweeperError

__all__ = [
    "content_hash",
    "local_path",
    "quiet_loading",
    "read_config",
    "reading",
    "require_no_pointer",
]

# A config.json has some kilobytes.
_CONFIG_BYTES = 32 * 2**20
# Of a larger file so many blocks of so many bytes are read: training moves nearly all weights of a
# matrix, and among the matrices of a file this large there are some that several blocks fall into.
_BLOCKS, _BLOCK_BYTES = 1024, 4096
# A pointer has about 130 bytes; transformers' smallest files have fewer than this, too.
_POINTER_BYTES = 1024


@contextmanager
def reading(subject: str, *, remedy: str) -> Iterator[None]:
    """Turns whatever a library raises in the body into bad input, with file and remedy.

    Readers of models raise anything at all on bytes that they do not expect. The sweeper's own
    errors, and the end of the process, pass.

    Args:
        subject: what is read, as the beginning of a sentence: ``the model folder x``.
        remedy: what to do, as the end of it.

    Raises:
        BadInputError: the body has raised.
    """
    try:
        yield
    except SweeperError:
        raise
    except BaseException as error:
        # What panics in the libraries that are written in Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = shorten(f"{type(error).__name__}: {error}", limit=300)
        raise BadInputError(f"{subject} cannot be read ({reason}); {remedy}") from error


def local_path(text: str, *, field: str) -> Path:
    """Returns the path that a field names, with ``~`` and ``~user`` replaced.

    Args:
        text: of the field.
        field: its dotted name, for the message.

    Raises:
        MissingError: there can be no file of this name: it is too long, has a NUL, or its user has
            no home.
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MissingError(
            f"{field} is {shorten(repr(text), limit=120)}, which cannot be opened ({reason}); "
            f"it must be the path of something that is there; correct it: --set {field}=PATH"
        ) from error
    return path


def require_no_pointer(path: Path) -> None:
    """Looks whether a file is the pointer that Git LFS leaves where the file was not fetched.

    Raises:
        MissingError: it is.
    """
    with reading(f"the file {path}", remedy="make it readable, or fetch the model again"):
        if path.stat().st_size > _POINTER_BYTES:
            return
        message = pointer_message(path)
    if message:
        raise MissingError(message)


def content_hash(paths: Iterable[Path]) -> str:
    """Returns the SHA-256 of files: of names, sizes and bytes, of large ones of 4 MiB in blocks.

    Args:
        paths: of the files, whose folder does not count.

    Raises:
        BadInputError: one of them cannot be read.
    """
    found = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        with reading(f"the file {path}", remedy="make it readable"), path.open("rb") as file:
            size = path.stat().st_size
            found.update(f"{path.name}\0{size}\0".encode())
            if size <= _BLOCKS * _BLOCK_BYTES:
                found.update(file.read())
                continue
            for number in range(_BLOCKS):
                file.seek((size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
                found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the content of ``config.json`` in ``folder``.

    Raises:
        MissingError: there is none, or it is a pointer.
        DataError: it is not a JSON object.
    """
    path = folder / "config.json"
    remedy = "save the model there again"
    with reading(str(path), remedy=remedy):
        if not path.is_file():
            raise MissingError(
                f"there is no file {path}; it must be the configuration of a model; {remedy}"
            )
        require_no_pointer(path)
        if path.stat().st_size > _CONFIG_BYTES:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes; a configuration has some thousands; "
                f"{remedy}"
            )
        text = path.read_bytes()
    try:
        config = json.loads(text, object_hook=_plain)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON ({shorten(error)}); it must be the configuration of a model; "
            f"{remedy}"
        ) from error
    if not isinstance(config, dict):
        raise DataError(
            f"{path} holds a {type(config).__name__}; it must be a JSON object; {remedy}"
        )
    return config


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keeps transformers' report of a load, and its bar, off the terminal: we tell what matters."""
    from transformers.utils import logging as their_logging

    logger = logging.getLogger("transformers")
    level, has_bars = logger.level, their_logging.is_progress_bar_enabled()
    logger.setLevel(logging.CRITICAL)
    their_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logger.setLevel(level)
        if has_bars:
            their_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _plain(value: dict[str, Any]) -> object:
    """Returns a JSON object as it is, and transformers' way to write an infinity as the float."""
    text = value.get("__float__")
    if len(value) == 1 and isinstance(text, str) and text in {"Infinity", "-Infinity", "NaN"}:
        return float(text)
    return value
