"""Methods of one's own in a document: each gets its name, its absolute path and its file's hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic_core import to_jsonable_python

from sweeper._text import shorten
from sweeper.errors import MissingError, Problem, SpecError
from sweeper.experiment.documents.python_files import find_beside
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper_adapters.methods import own_kind, split_own

__all__ = ["locate_methods"]

# Sections whose entries are methods, and those whose entries have one.
_METHODS, _WITH_METHODS = ("methods",), ("trials", "baselines")


def locate_methods(document: Document, *, path: Path) -> Document:
    """Returns a document whose methods in files have their name, absolute path and hash.

    The files are run: a method's fields are known from its class alone. Without such a method
    nothing is run.

    Args:
        document: of a search space.
        path: of its file, beside which a relative path is looked for first, and then in the
            current folder.

    Raises:
        SpecError: there is no such file or class, it is no method or cannot be run, or it is not
            the file of the hash that is given.
    """
    problems: list[Problem] = []
    factors = get_path(document.get("design"), ("factors", "method"))
    varied = tuple(factors) if isinstance(factors, dict) else ()

    def located(entry: Json, place: str) -> Json:
        if not isinstance(entry, dict) or "python" not in entry:
            return entry
        try:
            return _located(entry, path.parent, varied=varied)
        except _WrongNameError as error:
            problems.append(Problem(f"{place}.name", str(error)))
        except (MissingError, ValueError) as error:
            problems.append(Problem(f"{place}.python", str(error)))
        return entry

    changed = dict(document)
    for section in _METHODS:
        changed |= _each(document, section, located)
    for section in _WITH_METHODS:
        changed |= _each(document, section, lambda entry, place: _inside(entry, place, located))
    if problems:
        raise SpecError(str(path), problems)
    return changed


class _WrongNameError(ValueError):
    """A name is given that is not the class's own."""


def _each(document: Document, section: str, change: Callable[[Json, str], Json]) -> Document:
    """Returns a section with each entry of its list changed; nothing where there is no list."""
    entries = document.get(section)
    if not isinstance(entries, list):
        return {}
    return {section: [change(entry, f"{section}.{at}") for at, entry in enumerate(entries)]}


def _inside(entry: Json, place: str, located: Callable[[Json, str], Json]) -> Json:
    if not isinstance(entry, dict) or "method" not in entry:
        return entry
    return {**entry, "method": located(entry["method"], f"{place}.method")}


def _located(entry: Document, folder: Path, *, varied: Iterable[str]) -> Document:
    """Returns the fields of a method with its name, its absolute path and its file's hash.

    Args:
        entry: of the document.
        folder: of its file.
        varied: fields that a design varies; they are written with their defaults, on which the
            number of its configurations hangs, so that nobody runs the file to count them.

    Raises:
        MissingError: there is no such file.
        ValueError: it is no method, or not the one that its name says.
    """
    python, sha256 = entry["python"], entry.get("sha256")
    if not isinstance(python, str):
        raise ValueError(f"got {shorten(repr(python))}; it must be text; write FILE.py:CLASS")
    place, own = split_own(python)
    named = f"{find_beside(python, place, folder)}:{own}"
    if not isinstance(sha256, str | None):
        raise ValueError(
            f"sha256 is {shorten(repr(sha256))}; it must be the hash of the file, as text; leave "
            "it out"
        )
    kind = own_kind(named, sha256=sha256 or "")
    fields = kind.model_fields
    name = fields["name"].default
    if entry.get("name", name) != name:
        raise _WrongNameError(
            f"is {shorten(repr(entry['name']))}, but {own} is called {name!r}; a method of your "
            "own has the name of its class; leave name out"
        )
    rest = {key: value for key, value in entry.items() if key != "name"}
    defaults = {
        field: to_jsonable_python(fields[field].get_default(call_default_factory=True))
        for field in varied
        if field in fields and not fields[field].is_required()
    }
    file = {"python": named, "sha256": fields["sha256"].default}
    return {"name": name, **defaults, **rest, **file}
