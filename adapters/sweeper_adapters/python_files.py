"""Python files of a user's own, run by their path: methods, metrics and callbacks alike."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

__all__ = ["importable", "is_path", "run_file"]


def is_path(text: str) -> bool:
    """Returns whether a file can have this path: a NUL and a lone surrogate are in none."""
    try:
        os.fsencode(text)
    except ValueError:
        return False
    return "\0" not in text


def run_file(path: Path, source: bytes, *, kind: str) -> ModuleType:
    """Returns the module of a file, run anew; its name has the hash of the source that is run.

    Python's own import would take the compiled file of a source that was changed within a second.
    What lies beside the file can be imported by it meanwhile. A file that fails leaves no module.

    Args:
        path: of the file, absolute.
        source: what it holds.
        kind: what it is of, for the module's name: ``method``, ``metric`` or ``callback``.

    Raises:
        BaseException: whatever the file raises.
    """
    found = hashlib.sha256(str(path).encode() + source).hexdigest()
    module = ModuleType(f"_sweeper_{kind}_{found[:16]}")
    module.__file__ = str(path)
    # pydantic, dataclasses and pickle look there for what the file defines.
    sys.modules[module.__name__] = module
    try:
        with importable(path.parent):
            exec(compile(source, str(path), "exec"), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets modules of a folder be imported by their names."""
    place = str(folder)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
