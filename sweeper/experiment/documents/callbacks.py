"""Callbacks of trials by name: where the class is, what its file holds, whether it is there."""

from __future__ import annotations

import ast
from pathlib import Path

from sweeper._text import guess
from sweeper.errors import MissingError
from sweeper.experiment.documents.python_files import PythonName
from sweeper.experiment.documents.tree import Document, get_path, set_path

__all__ = [
    "callback_content",
    "callback_name",
    "locate_callbacks",
    "require_callback_name",
    "require_callbacks",
]

_FIELD = ("train", "callbacks")


def callback_name(text: str) -> PythonName:
    """Returns what a callback's text names; its file is found and read without being run."""
    return PythonName(text, field=".".join(_FIELD), kind="CLASS")


def require_callback_name(text: str) -> None:
    """Checks how a callback is named.

    Raises:
        ValueError: it is neither ``FILE.py:CLASS`` nor ``PACKAGE.MODULE:CLASS``.
    """
    named = callback_name(text)
    if not named.is_well_formed:
        raise ValueError(
            f"callback {text!r} must be {named.forms}; write, for example, my_hooks.py:Hook"
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
    found = [callback_name(x).beside(path).text if isinstance(x, str) else x for x in named]
    located = set_path(document, _FIELD, found)
    return located if isinstance(located, dict) else document


def callback_content(name: str) -> dict[str, str]:
    """Returns what stands for a callback in a trial's identity: its name, and its file's SHA-256.

    Where the file lies changes nothing.

    Raises:
        MissingError: there is no such file.
    """
    named = callback_name(name)
    return {"callback": named.anywhere, "sha256": named.sha256()}


def require_callbacks(document: Document) -> None:
    """Checks that the callbacks of a checked document are there, without running their code.

    Raises:
        MissingError: a file is not there or no Python, or it defines no such name.
    """
    named = get_path(document, _FIELD)
    for name in map(str, named if isinstance(named, list) else ()):
        callback = callback_name(name)
        path, own = callback.path(), callback.own
        try:
            tree = ast.parse(callback.read())
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
