"""Inputs of metrics: pairs of equal length, and libraries that only one metric needs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from sweeper.errors import BadInputError, MissingError
from sweeper.estimates import no_examples

__all__ = ["import_library", "require_pairs"]


def require_pairs(first: Sequence[object], second: Sequence[object], what: str) -> None:
    """Checks that two sequences have one item for each example.

    Args:
        first: for example the predictions.
        second: for example the references.
        what: both in words: "predictions and references".

    Raises:
        BadInputError: they are empty, or not equally many.
    """
    if len(first) != len(second):
        raise BadInputError(
            f"{what} have different lengths: {len(first)} and {len(second)}; each example needs "
            "one of each; pass equally many"
        )
    if not first:
        raise no_examples()


def import_library(name: str, *, metric: str) -> ModuleType:
    """Returns a module of a library that only one metric needs.

    Args:
        name: of the module, for example ``sacrebleu.metrics``.
        metric: that wants it.

    Raises:
        MissingError: the library is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise MissingError(
            f"the metric {metric} needs the package {package.replace('_', '-')}, which is not "
            "installed; run: pip install 'masa-mosa-sweeper[metrics]'"
        ) from error
