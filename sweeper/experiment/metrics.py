"""Metrics by name: which values are better, and which ones score data of one's own."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from sweeper._spec import Spec
from sweeper._text import nearest, shorten
from sweeper.errors import MissingError, Problem, SpecError
from sweeper.experiment.documents.tree import Document, Json, get_path, set_path
from sweeper.experiment.documents.yaml_files import is_file

__all__ = [
    "MODES",
    "MetricEntry",
    "Mode",
    "PythonMetricSpec",
    "locate_functions",
    "metric_name",
    "mode_of",
    "own_modes",
]

Mode = Literal["min", "max"]

_REPORTED: Mapping[str, Mode] = {
    "eval_loss": "min",
    "loss": "min",
    "accuracy": "max",
    "accuracy_per_character": "max",
    "greedy_exact": "max",
}
_METRICS: Mapping[str, Mode] = {
    "bert_score": "max",
    "bert_score_precision": "max",
    "bert_score_recall": "max",
    "bleu": "max",
    "choice": "max",
    "dialogue_mean": "max",
    "exact": "max",
    "final_answer": "max",
    "final_number": "max",
    "meteor": "max",
    "option": "max",
    "pass_at_1": "max",
    "perplexity": "min",
    "rouge_l": "max",
}
MODES: Mapping[str, Mode] = {**_REPORTED, **_METRICS}
"""Whether lower or higher values of a metric are better, for all that evaluations report."""

# It runs programs on the tests of HumanEval's rows, which no other rows have.
_OF_TASKS_ALONE = {"pass_at_1"}
# What training and the records call their own numbers.
_KEPT_NAMES = re.compile(r"(eval|train|system)_.*|.*_(se|macro|time_s)|learning_rate|grad_norm")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FILE = ".py"


def mode_of(metric: str, *, own: Mapping[str, Mode] | None = None) -> Mode | None:
    """Returns whether lower or higher values of a reported metric are better; None if unknown.

    Reported are ``<metric>``, ``<metric>/<domain>`` and ``<task>/<metric>``, and means over parts
    with ``_macro`` at the end. ``<task>/<domain>`` does not say which metric it is.

    Args:
        metric: name of what is reported.
        own: the modes of metrics that are Python functions, by name.
    """
    first, _, last = metric.partition("/")
    if own and first in own:
        return own[first]
    names = (first, last.rpartition("/")[2])
    return next((MODES[x] for name in names if (x := name.removesuffix("_macro")) in MODES), None)


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
    must lie at the same path on every node, or the module must be installed there. A trial's
    identity has the hash of this one file, not of what it imports, and not of where it lies."""
    mode: Mode
    """Whether lower or higher values are better."""
    # None is what has not been given; the validator puts the function's name in its place.
    name: str = Field(default=None, validate_default=True)
    """What the metric is called in reports: letters, digits and ``_``. It must not be the name of a
    metric of the sweeper."""

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
        return "own" if name is None and python is None else name or python.rpartition(":")[2]

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
            MissingError: there is none, or it cannot be read.
        """
        path = self.path()
        try:
            return path.read_bytes()
        except OSError as error:
            raise MissingError(
                f"evaluation.metrics: {path} cannot be read ({error.strerror or error}); it must "
                "be a file with Python code; correct its permissions"
            ) from error

    def digest(self) -> str:
        """Returns the SHA-256 of the file that defines the function, in hexadecimal digits.

        Raises:
            MissingError: there is none.
        """
        return hashlib.sha256(self.read()).hexdigest()

    def content(self) -> dict[str, str]:
        """Returns all of it that decides a value, its file's content aside (:meth:`digest`).

        Where the file lies and which values are better change no value.
        """
        place = Path(self.place).name if self.is_file else self.place
        return {"python": f"{place}:{self.function}", "name": self.name}


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


def _entry(value: object) -> object:
    """Returns one metric of ``evaluation.metrics``, checked; ValueError where it is none."""
    if isinstance(value, Mapping):
        # Its own errors have their places within the entry.
        return PythonMetricSpec.model_validate(value)
    if isinstance(value, PythonMetricSpec):
        return value
    known = [name for name in _METRICS if name not in _OF_TASKS_ALONE]
    if not isinstance(value, str):
        raise ValueError("a metric is a name, or {python: FILE.py:FUNCTION, mode: max}; write one")
    if value in _OF_TASKS_ALONE:
        raise ValueError(
            f"{value} runs programs on the tests that HumanEval's rows have; other rows have none; "
            "use data: {kind: tasks, evaluate: [humaneval]}, or another metric"
        )
    if value not in known:
        instead = {"accuracy": "choice", "rouge": "rouge_l", "em": "exact", "exact_match": "exact"}
        hint = nearest(value, known)
        if value.lower() in instead:
            hint = f"; did you mean {instead[value.lower()]!r}?"
        own = "" if hint else "; a function of your own is {python: FILE.py:FUNCTION, mode: max}"
        raise ValueError(f"no metric of this name; known: {', '.join(known)}{hint}{own}")
    return value


MetricEntry = Annotated[str | PythonMetricSpec, BeforeValidator(_entry)]
"""One metric of ``evaluation.metrics``: a name, or a Python function."""


def metric_name(entry: str | PythonMetricSpec) -> str:
    """Returns the name of a metric of ``evaluation.metrics``."""
    return entry if isinstance(entry, str) else entry.name


def own_modes(document: Mapping[str, Json]) -> dict[str, Mode]:
    """Returns whether lower or higher values are better, by name of each metric of one's own.

    Args:
        document: of a sweep; what is wrong in it is passed over.
    """
    found: dict[str, Mode] = {}
    for entry in _functions(document):
        python, mode = entry.get("python"), entry.get("mode")
        name = entry.get("name") or str(python).rpartition(":")[2]
        if isinstance(name, str) and (mode == "min" or mode == "max"):
            found[name] = mode
    return found


def _functions(document: Mapping[str, Json]) -> Iterable[dict[str, Json]]:
    entries = get_path(document.get("evaluation"), ("metrics",))
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))


def locate_functions(document: Document, *, path: Path) -> Document:
    """Returns the document with the absolute path of each file in ``evaluation.metrics``.

    The objective gets the mode of such a metric where it has none of its own. What is wrong
    otherwise is left to those who read the sections.

    Args:
        document: with its profile and its overrides.
        path: of the search-space file, beside which a relative path is looked for first.

    Raises:
        SpecError: there is no such file.
    """
    entries = get_path(document.get("evaluation"), ("metrics",))
    problems: list[Problem] = []
    if isinstance(entries, list):
        located = partial(_located, homes=(path.parent, Path()), problems=problems)
        found = [located(entry, number) for number, entry in enumerate(entries)]
        document = _changed(document, ("evaluation", "metrics"), found)
    if problems:
        raise SpecError(str(path), problems)
    metric = get_path(document.get("objective"), ("metric",))
    mode = own_modes(document).get(metric.partition("/")[0]) if isinstance(metric, str) else None
    if mode is None or get_path(document["objective"], ("mode",)) is not None:
        return document
    return _changed(document, ("objective", "mode"), mode)


def _located(entry: Json, number: int, *, homes: tuple[Path, ...], problems: list[Problem]) -> Json:
    python = get_path(entry, ("python",))
    if not isinstance(entry, dict) or not isinstance(python, str):
        return entry
    place, _, function = python.rpartition(":")
    if not place.endswith(_FILE) or not _is_path(place):
        return entry
    tried = list(dict.fromkeys((home / Path(place)).absolute() for home in homes))
    there = [file for file in tried if is_file(file)]
    if not there:
        message = (
            f"got {shorten(repr(python))}, and there is no file {' or '.join(map(str, tried))}; it "
            "is looked for beside the search-space file, then in the current folder; correct the "
            f"path{nearest(Path(place).name, _python_files(tried))}"
        )
        problems.append(Problem(f"evaluation.metrics.{number}.python", message))
        return entry
    return {**entry, "python": f"{there[0]}:{function}"}


def _python_files(beside: Iterable[Path]) -> list[str]:
    try:
        return [other.name for file in beside for other in file.parent.glob(f"*{_FILE}")]
    except (OSError, ValueError):
        return []


def _is_path(text: str) -> bool:
    """Whether a file can have this path: a NUL and a lone surrogate are in none."""
    try:
        os.fsencode(text)
    except ValueError:
        return False
    return "\0" not in text


def _changed(document: Document, keys: tuple[str, ...], value: Json) -> Document:
    changed = set_path(document, keys, value)
    assert isinstance(changed, dict)
    return changed
