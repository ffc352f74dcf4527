"""Which fields of a spec are numbers: true is none, though Python and pydantic take it for 1."""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["require_number"]


def require_number(spec: type[BaseModel], field: str | None, value: object) -> None:
    """Refuses a truth value in the place of a number.

    Args:
        spec: class of the spec.
        field: name of the field.
        value: as it was given.

    Raises:
        ValueError: the field is a number, and the value is true or false.
    """
    if isinstance(value, bool) and field in _number_fields(spec):
        raise ValueError("a number is needed, and true and false are none; write the number")


@cache
def _number_fields(spec: type[BaseModel]) -> frozenset[str]:
    fields = spec.model_fields.items()
    return frozenset(name for name, field in fields if _leaves(field.annotation) <= _NUMBERS)


_NUMBERS = frozenset({int, float, NoneType})


def _leaves(annotation: object) -> frozenset[object]:
    """Returns the types that a value may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _leaves(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return frozenset().union(*map(_leaves, get_args(annotation)))
    return frozenset({annotation if origin is None else origin})
