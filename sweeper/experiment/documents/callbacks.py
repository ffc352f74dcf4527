"""Callbacks of trials by name: where the class is, what its file holds, whether it is there."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from pathlib import Path

from sweeper._text import guess
from sweeper.errors import MissingError
from sweeper.experiment.documents.tree import Document, get_path, set_path

__all__ = [
    "callback_content",
    "callback_path",
    "locate_callbacks",
    "require_callback_name",
    "require_callbacks",
]

_FILE = ".py"
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FIELD = ("train", "callbacks")


def require_callback_name(name: str) -> None:
    """Checks how a callback is named.

    Raises:
        ValueError: it is neither ``FILE.py:CLASS`` nor ``PACKAGE.MODULE:CLASS``.
    """
    place, _, own = name.rpartition(":")
    if not (place.endswith(_FILE) or _MODULE.fullmatch(place)) or not own.isidentifier():
        raise ValueError(
            f"callback {name!r} must be FILE.py:CLASS or PACKAGE.MODULE:CLASS; write, for example, "
            "my_hooks.py:Hook"
        )


def locate_callbacks(document: Document, *, path: Path) -> Document:
    """Returns a document whose callbacks in files have absolute paths, so that workers find them.

    Args:
        document: of a sweep.
        path: of its search-space file, beside which a relative file is looked for first, and then
            in the current folder.
    """
    named = get_path(document, _FIELD)
    if not isinstance(named, list):
        return document
    found = [_located(name, path.parent) if isinstance(name, str) else name for name in named]
    located = set_path(document, _FIELD, found)
    return located if isinstance(located, dict) else document


def _located(name: str, folder: Path) -> str:
    place, colon, own = name.rpartition(":")
    if not place.endswith(_FILE) or Path(place).is_absolute():
        return name
    beside = (folder / place).absolute()
    return f"{beside if beside.is_file() else Path(place).absolute()}{colon}{own}"


def callback_path(name: str) -> Path:
    """Returns the file that defines a callback; a module's without running the module.

    Raises:
        MissingError: there is none.
    """
    place = name.rpartition(":")[0]
    is_file = place.endswith(_FILE)
    found = Path(place) if is_file else _module_file(place)
    if found is None or not found.is_file():
        raise MissingError(
            f"train.callbacks: {name!r} cannot be found: there is no "
            f"{'file' if is_file else 'Python module with a source'} {place}; it must be "
            "FILE.py:CLASS or PACKAGE.MODULE:CLASS; "
            f"{'correct the path' if is_file else 'install the package, or name a file'}"
        )
    return found


def callback_content(name: str) -> dict[str, str]:
    """Returns what stands for a callback in a trial's identity: its name, and its file's SHA-256.

    Where the file lies changes nothing.

    Raises:
        MissingError: there is no such file.
    """
    place, _, own = name.rpartition(":")
    shown = Path(place).name if place.endswith(_FILE) else place
    return {"callback": f"{shown}:{own}", "sha256": hashlib.sha256(_source(name)).hexdigest()}


def require_callbacks(document: Document) -> None:
    """Checks that the callbacks of a checked document are there, without running their code.

    Raises:
        MissingError: a file is not there or no Python, or it defines no such name.
    """
    named = get_path(document, _FIELD)
    for name in map(str, named if isinstance(named, list) else ()):
        path, own = callback_path(name), name.rpartition(":")[2]
        try:
            tree = ast.parse(_source(name))
        except (SyntaxError, ValueError) as error:
            raise MissingError(
                f"train.callbacks: {path} is no Python ({error}); it must define {own}; correct "
                "the file"
            ) from error
        defined = _defined(tree)
        if own not in defined:
            raise MissingError(
                f"train.callbacks: {path} defines no {own!r}; it must be a class of that file; "
                f"{guess(own, defined, otherwise='correct the name')}"
            )


def _source(name: str) -> bytes:
    path = callback_path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingError(
            f"train.callbacks: {path} cannot be read ({error.strerror or error}); it must be a "
            "file with Python code; correct its permissions"
        ) from error


def _module_file(module: str) -> Path | None:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(found.origin) if found is not None and found.has_location and found.origin else None


def _defined(tree: ast.Module) -> list[str]:
    """Returns the names that a module binds at its top."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    return names
