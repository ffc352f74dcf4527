"""What `make test` leaves out: further examples of a kind, all of which `make test-whole` tries."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["IS_WHOLE", "few", "only_whole"]

IS_WHOLE = os.environ.get("TESTS") == "whole"
"""Whether everything runs."""


def only_whole(condition: bool) -> tuple[pytest.MarkDecorator, ...]:
    """Returns the marks of a parameter that `make test` leaves out where the condition holds."""
    return (pytest.mark.whole,) if condition else ()


def few(values: Iterable[Any], *always: Any) -> list[Any]:
    """Returns parameters of which `make test` takes those in ``always`` alone."""
    found = list(values)
    missing = [value for value in always if value not in found]
    assert not missing, f"no such parameters: {missing}"
    return [pytest.param(value, marks=only_whole(value not in always)) for value in found]
