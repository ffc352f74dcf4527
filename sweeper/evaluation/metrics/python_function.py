"""A metric that is a Python function of one's own: loaded by its path, held to its contract."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from numbers import Real
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from sweeper._text import nearest, shorten
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs
from sweeper.experiment.metrics import PythonMetricSpec
from sweeper_adapters.python_files import importable, run_file

__all__ = ["load_function", "python_metric"]

# What it returns is looked at.
_Function = Callable[[Sequence[str], Sequence[str]], Any]
_CONTRACT = "it must return a finite number for each pair of texts, in a list"


def python_metric(
    spec: PythonMetricSpec, predictions: Sequence[str], references: Sequence[str]
) -> Estimate:
    """Returns the mean of what a function makes of each prediction and its reference.

    Args:
        spec: says where the function is.
        predictions: what was written; white space around it is taken away.
        references: one for each, in the same way.

    Raises:
        BadInputError: predictions and references do not belong together; the function cannot be
            loaded, raises, or does not return a finite number for each.
    """
    require_pairs(predictions, references, "predictions and references")
    function, path = load_function(spec), spec.path()
    got, want = [x.strip() for x in predictions], [x.strip() for x in references]
    try:
        with importable(path.parent if spec.is_file else Path.cwd()):
            returned = function(got, want)
            values: list[Any] | None = list(returned) if _is_list(returned) else None
    except (Exception, SystemExit) as error:
        what = f"raised {type(error).__name__}: {shorten(error)}{_line_of(error, path)}"
        raise _broken(spec, what, path) from error
    if values is None:
        what = f"returned {shorten(repr(returned))}, which is no list and no array of one dimension"
        raise _broken(spec, what, path)
    if len(values) != len(got):
        raise _broken(spec, f"returned {len(values)} values for {len(got)} pairs", path)
    numbers = [_number(value) for value in values]
    for row, number in enumerate(numbers):
        if not math.isfinite(number):
            pair = f"pair {row}, of reference {shorten(repr(want[row]), limit=60)}"
            raise _broken(spec, f"returned {shorten(repr(values[row]))} for {pair}", path)
    return mean_estimate(numbers)


def _line_of(error: BaseException, path: Path) -> str:
    """Returns the last line of the function's file that an error passed, in words."""
    lines = [x.lineno for x in extract_tb(error.__traceback__) if x.filename == str(path)]
    return f" in line {lines[-1]}" if lines else ""


def _is_list(value: object) -> bool:
    """Whether it has values in an order: what one iterates over else, such as keys, is no score."""
    is_array = hasattr(value, "shape") and len(value.shape) == 1
    return is_array or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _number(value: object) -> float:
    """Returns a value as a number, NaN where it is none; scalars of numpy and torch are numbers."""
    try:
        number = value.item() if hasattr(value, "item") else value
        return float(number) if isinstance(number, Real) else math.nan
    except (ValueError, RuntimeError, OverflowError):
        return math.nan


def load_function(spec: PythonMetricSpec) -> _Function:
    """Returns the function that a spec names; its file is run where that has not been done.

    A file that has changed is run again.

    Raises:
        BadInputError: there is no such file or function, or the file cannot be run.
    """
    module = _file_module(spec) if spec.is_file else _package_module(spec)
    function: _Function | None = getattr(module, spec.function, None)
    if not callable(function):
        known = [x for x, value in vars(module).items() if callable(value) and x[:1] != "_"]
        found = "is no function" if function is not None else "is not there"
        raise BadInputError(
            f"evaluation.metrics: {spec.function!r} {found} in {spec.path()}; it must be a "
            f"function (predictions, references); there are {', '.join(known) or 'none'}"
            f"{nearest(spec.function, known)}"
        )
    return function


def _file_module(spec: PythonMetricSpec) -> ModuleType:
    path, source = spec.path(), spec.read()
    try:
        return _run(path, source)
    # Whatever the file does when it is run, an exit of the interpreter among it.
    except (Exception, SystemExit) as error:
        raise _unloaded(spec, path, error) from error


@lru_cache(maxsize=64)
def _run(path: Path, source: bytes) -> ModuleType:
    return run_file(path, source, kind="metric")


def _package_module(spec: PythonMetricSpec) -> ModuleType:
    # Whether it is the file that the sweep was made with.
    spec.read()
    try:
        # Ray's workers look into the folder of the driver, and so does the driver.
        with importable(Path.cwd()):
            return importlib.import_module(spec.place)
    except (Exception, SystemExit) as error:
        raise _unloaded(spec, Path(spec.place), error) from error


def _unloaded(spec: PythonMetricSpec, path: Path, error: BaseException) -> BadInputError:
    return BadInputError(
        f"evaluation.metrics: the metric {spec.name} cannot be loaded: {path} raised "
        f"{type(error).__name__}: {shorten(error)}; it must run without an error, and is run where "
        "the sweep starts and in each worker; correct it, or install what it imports there"
    )


def _broken(spec: PythonMetricSpec, what: str, path: Path) -> BadInputError:
    return BadInputError(
        f"the metric {spec.name} failed: {spec.function} of {path} {what}; {_CONTRACT}; correct "
        "the function, and begin a new sweep: one that has begun keeps to its file"
    )
