"""Metrics that are Python functions: where they are, and which file they are of."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from sweeper._spec import Spec
from sweeper._text import shorten
from sweeper.errors import BadInputError, MissingError
from sweeper.experiment.documents.yaml_files import is_file
from sweeper.experiment.metrics.modes import MODES, Mode

__all__ = ["PythonMetricSpec"]

# What training and the records call their own numbers.
_KEPT_NAMES = re.compile(r"(eval|train|system)_.*|.*_(se|macro|time_s)|learning_rate|grad_norm")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FILE = ".py"


class PythonMetricSpec(Spec):
    """A metric that is a Python function: ``{python: "my_metrics.py:score", mode: max}``.

    The function is called as ``score(predictions, references)`` with two lists of equally many
    texts: what the model wrote and what the rows have as their answers, without white space around
    them. It returns a finite number for each. The metric is their mean.

    The function is code that runs with your rights, in the process that checks the sweep and in the
    workers that evaluate.
    """

    python: str
    """``FILE.py:FUNCTION`` or ``PACKAGE.MODULE:FUNCTION``. A relative file is looked for beside the
    search-space file, then in the current folder, and its absolute path is kept. On a cluster it
    must lie at the same path on every node, or the module must be installed there."""
    mode: Mode
    """Whether lower or higher values are better."""
    # None is what has not been given; the validator puts the function's name in its place.
    name: str = Field(default=None, validate_default=True)
    """What the metric is called in reports: letters, digits and ``_``. It must not be the name of a
    metric of the sweeper."""
    sha256: str = Field(
        default="", pattern="^([0-9a-f]{64})?$", exclude_if=lambda sha256: not sha256
    )
    """Hash of the file; filled in when a sweep is made of the search space. From then on a file
    with another one is refused, so that all trials are scored by one function. It is part of a
    trial's identity; what the file imports is not, nor where the file lies."""

    @field_validator("python")
    @classmethod
    def _names_a_function(cls, python: str) -> str:
        place, _, function = python.rpartition(":")
        is_place = _is_path(place) and (place.endswith(_FILE) or _MODULE.fullmatch(place))
        if not is_place or not function.isidentifier():
            raise ValueError(
                "it must be FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION; write, for example, "
                "my_metrics.py:score"
            )
        return python

    @field_validator("name", mode="before")
    @classmethod
    def _is_the_functions(cls, name: object, info: ValidationInfo) -> object:
        python = info.data.get("python")
        # What is wrong with the function is told by itself.
        return name or ("own" if python is None else python.rpartition(":")[2])

    @field_validator("name")
    @classmethod
    def _is_nobody_elses(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"the metric's name {shorten(repr(name))} must be letters, digits and _, and begin "
                "with a letter; give it another one in name"
            )
        if name in MODES or _KEPT_NAMES.fullmatch(name):
            raise ValueError(
                f"{name!r} is the name of a number of the sweeper's own, or could be; such are its "
                "metrics, and names that begin with eval_, train_ or system_, or end in _se, "
                "_macro or _time_s; rename the function, or give the metric another name"
            )
        return name

    @property
    def place(self) -> str:
        """The file or the module."""
        return self.python.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The name of the function there."""
        return self.python.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        """Whether the function is in a file that is named by its path."""
        return self.place.endswith(_FILE)

    def path(self) -> Path:
        """Returns the file that defines the function; of a module, without importing anything.

        Raises:
            MissingError: there is none.
        """
        if self.is_file:
            path: Path | None = Path(self.place)
        else:
            path = _module_file(self.place)
        if path is None or not is_file(path):
            raise MissingError(
                f"evaluation.metrics: {self.python!r} cannot be found: there is no "
                f"{'file' if self.is_file else 'Python module'} {self.place}; it must be "
                "FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION; "
                f"{'correct the path' if self.is_file else 'install the package, or name a file'}"
            )
        return path

    def read(self) -> bytes:
        """Returns the source of the file.

        Raises:
            BadInputError: there is none, it cannot be read, or it has changed since its hash was
                taken.
        """
        path = self.path()
        try:
            source = path.read_bytes()
        except OSError as error:
            raise MissingError(
                f"evaluation.metrics: {path} cannot be read ({error.strerror or error}); it must "
                "be a file with Python code; correct its permissions"
            ) from error
        found = hashlib.sha256(source).hexdigest()
        if self.sha256 not in {"", found}:
            raise BadInputError(
                f"evaluation.metrics: {path} is not the file that the sweep was made with: its "
                f"hash is {found[:12]}…, and was {self.sha256[:12]}…; all trials of a sweep are "
                "scored by one function; bring the file back, or begin a new sweep"
            )
        return source

    def with_hash(self) -> PythonMetricSpec:
        """Returns the same with the hash of the file as it is now.

        Raises:
            BadInputError: as of :meth:`read`.
        """
        found = hashlib.sha256(self.read()).hexdigest()
        return self.model_copy(update={"sha256": found})

    def content(self) -> dict[str, str]:
        """Returns all of it that decides a value, for a trial's identity.

        What a trial has reported, and what its adapter scored on the test split, is kept under its
        identity; another function would have made other numbers. Where the file lies and which
        values are better change none.
        """
        place = Path(self.place).name if self.is_file else self.place
        return {"python": f"{place}:{self.function}", "name": self.name, "sha256": self.sha256}


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


def _is_path(text: str) -> bool:
    """Whether a file can have this path: a NUL and a lone surrogate are in none."""
    try:
        os.fsencode(text)
    except ValueError:
        return False
    return "\0" not in text
