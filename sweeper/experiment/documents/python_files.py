"""Python files of a user's own, by name: what their code is, without running any of it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from sweeper._text import nearest, shorten
from sweeper.errors import MissingError
from sweeper.experiment.documents.yaml_files import is_file
from sweeper_adapters.python_files import is_path

__all__ = ["PythonName", "find_beside"]

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SUFFIX = ".py"


@dataclass(frozen=True)
class PythonName:
    """What ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME`` names."""

    text: str
    """As it is written."""
    field: str
    """Where it stands in a search space, ``train.callbacks``."""
    kind: str
    """What it names, in capitals: ``CLASS``."""

    @property
    def place(self) -> str:
        """The file or the module."""
        return self.text.rpartition(":")[0]

    @property
    def own(self) -> str:
        """The name there."""
        return self.text.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        """Whether it is in a file that is named by its path."""
        return self.place.endswith(_SUFFIX)

    @property
    def is_well_formed(self) -> bool:
        """Whether it has a place that can be, and a name."""
        is_place = is_path(self.place) and (self.is_file or _MODULE.fullmatch(self.place))
        return bool(is_place) and self.own.isidentifier()

    @property
    def forms(self) -> str:
        """How it may be written."""
        return f"FILE.py:{self.kind} or PACKAGE.MODULE:{self.kind}"

    @property
    def anywhere(self) -> str:
        """It without the folder that the file lies in."""
        return f"{Path(self.place).name if self.is_file else self.place}:{self.own}"

    def beside(self, space: Path) -> PythonName:
        """Returns it with the absolute path of its file, so that workers find it; modules stay.

        Args:
            space: a search-space file, beside which the file is looked for first, and then in the
                current folder; the last place stands for a file that is in none.
        """
        if not self.is_file:
            return self
        places = _places(self.place, space.parent)
        found = next(filter(is_file, places), places[-1])
        return replace(self, text=f"{found}:{self.own}")

    def path(self) -> Path:
        """Returns the file; of a module, without importing anything.

        Raises:
            MissingError: there is none.
        """
        found = Path(self.place) if self.is_file else _module_file(self.place)
        if found is None or not is_file(found):
            raise MissingError(
                f"{self.field}: {self.text!r} cannot be found: there is no "
                f"{'file' if self.is_file else 'Python module'} {self.place}; it must be "
                f"{self.forms}; "
                f"{'correct the path' if self.is_file else 'install the package, or name a file'}"
            )
        return found

    def read(self) -> bytes:
        """Returns the source of the file.

        Raises:
            MissingError: there is none, or it cannot be read.
        """
        path = self.path()
        try:
            return path.read_bytes()
        except OSError as error:
            raise MissingError(
                f"{self.field}: {path} cannot be read ({error.strerror or error}); it must be a "
                "file with Python code; correct its permissions"
            ) from error

    def sha256(self) -> str:
        """Returns the hash of the file as it is now.

        Raises:
            MissingError: as of :meth:`read`.
        """
        return hashlib.sha256(self.read()).hexdigest()


def find_beside(text: str, place: str, folder: Path) -> Path:
    """Returns the absolute path of a file that a search space names.

    Args:
        text: as it is named there, for the message.
        place: its path.
        folder: of the search-space file, in which it is looked for first, and then in the current
            one.

    Raises:
        MissingError: there is none.
    """
    tried = _places(place, folder)
    found = next(filter(is_file, tried), None)
    if found is None:
        raise MissingError(
            f"got {shorten(repr(text))}, and there is no file {' or '.join(map(str, tried))}; it "
            "is looked for beside the search-space file, then in the current folder; correct the "
            f"path{nearest(Path(place).name, _python_files(tried))}"
        )
    return found


def _places(place: str, folder: Path) -> list[Path]:
    """Returns where a file that is named by its path is looked for, in this order."""
    return list(dict.fromkeys((home / place).absolute() for home in (folder, Path())))


def _python_files(beside: Iterable[Path]) -> list[str]:
    try:
        return [other.name for file in beside for other in file.parent.glob("*.py")]
    except (OSError, ValueError):
        return []


def _module_file(module: str) -> Path | None:
    """Returns the file of a module that could be imported, the current folder looked at first."""
    name, *inner = module.split(".")
    # Importing the packages around it would run them.
    found = PathFinder.find_spec(name, [str(Path.cwd()), *sys.path]) or _hooked(name)
    for part in inner:
        places = found.submodule_search_locations if found is not None else None
        # By its own name alone: the whole one is looked up among what has been imported.
        found = PathFinder.find_spec(part, list(places)) if places is not None else None
    has_file = found is not None and found.has_location and found.origin is not None
    return Path(str(found.origin)) if found is not None and has_file else None


def _hooked(name: str) -> ModuleSpec | None:
    """Returns a module that is installed in another way, such as one in development."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
