"""The contracts on a method of one's own: ``METHOD=FILE.py:CLASS pytest tests/adapters/contracts``.

The tests of its examples are run, and no others. Its examples are those of the file's ``EXAMPLES``,
specs by their names, as the methods of this package have them; without any, the class with its
defaults.
"""

import os
import sys
from pathlib import Path

import pytest

from sweeper_adapters.methods import AnyMethodSpec, is_own, own_kind

NAMED = os.environ.get("METHOD", "")
"""Which method it is; empty where those of this package are tested."""


def examples_of_own() -> dict[str, AnyMethodSpec]:
    """Returns the examples of the method that is named; none without one."""
    return _examples_of(NAMED) if NAMED else {}


def _examples_of(named: str) -> dict[str, AnyMethodSpec]:
    file, _, name = named.rpartition(":")
    kind = own_kind(f"{Path(file).absolute()}:{name}")
    module = sys.modules[kind.__module__]
    given = getattr(module, "EXAMPLES", {})
    found = {key: kind.model_validate(spec.model_dump()) for key, spec in given.items()}
    return found or {str(kind.model_fields["name"].default): kind()}


def is_of_own(item: pytest.Item) -> bool:
    """Returns whether a test is one of the method that is named."""
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return any(isinstance(value, AnyMethodSpec) and is_own(type(value)) for value in values)
