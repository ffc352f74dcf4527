"""Which fields of a spec are numbers: true is none, though Python and pydantic take it for 1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

__all__ = ["require_numbers"]


def require_numbers(spec: type[BaseModel], values: object) -> None:
    """Refuses truth values in the place of numbers.

    Args:
        spec: class of the spec.
        values: what it is to be made of; only a mapping is looked at.

    Raises:
        ValidationError: a field is a number, and its value is true or false.
    """
    if not isinstance(values, Mapping):
        return
    found = [name for name, value in values.items() if isinstance(value, bool)]
    wrong = [name for name in found if name in _number_fields(spec)]
    if wrong:
        kind = PydanticCustomError("no_number", _NO_NUMBER)
        errors = [InitErrorDetails(type=kind, loc=(x,), input=values[x]) for x in wrong]
        raise ValidationError.from_exception_data(spec.__name__, errors)


_NO_NUMBER = "a number is needed, and true and false are none; write the number"


@cache
def _number_fields(spec: type[BaseModel]) -> frozenset[str]:
    fields = spec.model_fields.items()
    return frozenset(name for name, field in fields if _leaves(field.annotation) <= _NUMBERS)


_NUMBERS: frozenset[object] = frozenset({int, float, NoneType})


def _leaves(annotation: object) -> frozenset[object]:
    """Returns the types that a value may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _leaves(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return frozenset[object]().union(*map(_leaves, get_args(annotation)))
    return frozenset({annotation if origin is None else origin})
