"""Metrics that are Python functions: where they are, and which file they are of."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from sweeper._spec import Spec
from sweeper._text import shorten
from sweeper.errors import BadInputError
from sweeper.experiment.documents.python_files import PythonName
from sweeper.experiment.metrics.modes import MODES, Mode

__all__ = ["PythonMetricSpec"]

# What training and the records call their own numbers.
_KEPT_NAMES = re.compile(r"(eval|train|system)_.*|.*_(se|macro|time_s)|learning_rate|grad_norm")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class PythonMetricSpec(Spec):
    """A metric that is a Python function: ``{python: "my_metrics.py:score", mode: max}``.

    The function is called as ``score(predictions, references)`` with two lists of equally many
    texts: what the model wrote and what the rows have as their answers, without white space around
    them. It returns a finite number for each, in a list or an array of one dimension. The metric is
    their mean.

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
        named = _named(python)
        if not named.is_well_formed:
            raise ValueError(f"it must be {named.forms}; write, for example, my_metrics.py:score")
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
    def named(self) -> PythonName:
        """What ``python`` names; its file is found and read without being run."""
        return _named(self.python)

    @property
    def place(self) -> str:
        """The file or the module."""
        return self.named.place

    @property
    def function(self) -> str:
        """The name of the function there."""
        return self.named.own

    @property
    def is_file(self) -> bool:
        """Whether the function is in a file that is named by its path."""
        return self.named.is_file

    def path(self) -> Path:
        """Returns the file that defines the function; of a module, without importing anything.

        Raises:
            MissingError: there is none.
        """
        return self.named.path()

    def read(self) -> bytes:
        """Returns the source of the file.

        Raises:
            BadInputError: there is none, it cannot be read, or it has changed since its hash was
                taken.
        """
        source = self.named.read()
        found = hashlib.sha256(source).hexdigest()
        if self.sha256 not in {"", found}:
            raise BadInputError(
                f"evaluation.metrics: {self.path()} is not the file that the sweep was made "
                f"with: its hash is {found[:12]}…, and was {self.sha256[:12]}…; all trials of a "
                "sweep are scored by one function; bring the file back, or begin a new sweep"
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
        return {"python": self.named.anywhere, "name": self.name, "sha256": self.sha256}


def _named(text: str) -> PythonName:
    return PythonName(text, field="evaluation.metrics", kind="FUNCTION")
