"""What a program gives to the sweeper, as the command line takes it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml

from sweeper._text import shorten
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.experiment.comparing import Comparison

__all__ = [
    "SpaceSource",
    "comparison_asked",
    "fields_of",
    "options_of",
    "settings_of",
    "space_file",
]

SpaceSource = str | Path | Mapping[str, Any]
"""A search-space file, the name of a packaged one, or its content."""


@contextmanager
def space_file(space: SpaceSource) -> Iterator[Path]:
    """Yields the file of a search space; a mapping is written to one."""
    if not isinstance(space, Mapping):
        yield Path(space)
        return
    with tempfile.TemporaryDirectory(prefix="sweeper-space-") as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(yaml.safe_dump(_plain(space, "space"), sort_keys=False), encoding="utf-8")
        yield path


def comparison_asked(
    *,
    methods: Sequence[str] | None,
    seeds: int | str | None,
    delta: float | None,
    rates: Sequence[float] | None,
) -> Comparison:
    """Returns a comparison as the command ``compare`` reads it from its options.

    Args:
        methods: names; those of the file where None.
        seeds: how many, or the looks ``3/5/10``; three where None.
        delta: smallest difference of interest.
        rates: the lowest, the highest and, where it is given, how many.

    Raises:
        BadInputError: one of them is of no such kind.
    """
    from sweeper.experiment.comparing import Comparison

    smallest = None if delta is None else _number("delta", delta)
    return Comparison.read(
        methods=None if methods is None else _names(methods),
        seeds="3" if seeds is None else _count_or_looks(seeds),
        delta=smallest,
        rates=None if rates is None else _rates(rates),
    )


def _names(methods: object) -> str:
    # A text is a sequence, too: of letters.
    names = list(methods) if isinstance(methods, list | tuple) else None
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise BadInputError(
            f"methods: got {shorten(repr(methods), limit=80)}; it is a list of names, such as "
            "['masa', 'lora']; give two or more, or None for the methods of the file"
        )
    return ",".join(names)


def _count_or_looks(seeds: object) -> str:
    value = _plain(seeds, "seeds")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadInputError(
            f"seeds: got {shorten(repr(seeds), limit=80)}; it is a whole number, or a text of "
            "looks; give for example 3 or '3/5/10'"
        )
    return str(value)


def _rates(rates: object) -> str:
    values = _plain(rates, "rates")
    if not isinstance(values, list) or len(values) not in (2, 3):
        raise BadInputError(
            f"rates: got {shorten(repr(rates), limit=80)}; they are the lowest learning rate, the "
            "highest and, if you like, how many; give for example (1e-4, 3e-2, 8)"
        )
    return ",".join(str(value) for value in values)


def _number(name: str, given: object) -> float:
    value = _plain(given, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(
            f"{name}: got {shorten(repr(given), limit=80)}; it is a number in units of the metric; "
            "give for example 0.05"
        )
    return float(value)


def fields_of(overrides: Mapping[str, Any] | None) -> list[str]:
    """Returns overrides as ``path=value`` each.

    Raises:
        BadInputError: YAML of a search space has no such value.
    """
    # JSON is YAML, and says of a text that it is one.
    plain = {field: _plain(value, field) for field, value in (overrides or {}).items()}
    return [f"{field}={json.dumps(value)}" for field, value in plain.items()]


def _plain(value: object, field: str) -> object:
    """Returns a value as YAML has it; a path is its text, and a number of NumPy's a number.

    Raises:
        BadInputError: YAML of a search space has no such value.
    """
    import numpy as np

    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{field}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{field}.{number}") for number, item in enumerate(value)]
    raise BadInputError(
        f"{field}: is {shorten(repr(value), limit=80)}, a {type(value).__name__}; a search space "
        "is made of texts, numbers, true, false, None, lists, mappings and paths; give one of those"
    )


def settings_of(overrides: Mapping[str, Any] | None) -> list[str]:
    """Returns overrides as options of a command."""
    return [word for field in fields_of(overrides) for word in ("--set", field)]


def options_of(**given: object) -> list[str]:
    """Returns the options that are given, as the command line has them."""
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    return [word for key, value in named.items() if value is not None for word in (key, str(value))]
