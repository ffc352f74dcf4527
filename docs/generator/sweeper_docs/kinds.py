"""What a field may hold, in words."""

from __future__ import annotations

import types
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["default_of", "kind_of"]

_WORDS: dict[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "`true` or `false`",
    type(None): "`null`",
    datetime: "time",
}
_PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}
# What a distribution may draw.
_SCALARS = {bool, int, float, str}
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def kind_of(field: FieldInfo) -> str:
    """Returns what a field takes, with its bounds."""
    return _kind(field.annotation, field.metadata)


def default_of(field: FieldInfo) -> str:
    """Returns the default of a field as it would stand in YAML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "its defaults" if isinstance(value, BaseModel) else f"`{_yaml(value)}`"


def _kind(annotation: Any, metadata: Sequence[object] = ()) -> str:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        own = [item.metadata if isinstance(item, FieldInfo) else [item] for item in more]
        return _kind(inner, [*metadata, *chain.from_iterable(own)])
    if get_origin(annotation) in {Union, types.UnionType}:
        return _one_of(get_args(annotation), metadata)
    word = _word(annotation)
    bounds = _bounds(metadata)
    return f"{word}, {bounds}" if bounds else word


def _one_of(members: Sequence[Any], metadata: Sequence[object]) -> str:
    specs = [member for member in members if _is_spec(member)]
    if len(specs) > 1 and len(specs) == len(members):
        return f"section with one of {len(specs)} kinds"
    if set(members) >= _SCALARS:
        rest = [_kind(member) for member in members if member not in _SCALARS]
        return " or ".join(["value", *rest])
    # The bounds are the number's; of nothing there are none.
    words = [_kind(member, () if member is type(None) else metadata) for member in members]
    return " or ".join(words)


def _word(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{_yaml(value)}`" for value in arguments)
    if origin is tuple:
        inner = [argument for argument in arguments if argument is not Ellipsis]
        count = "" if len(inner) < len(arguments) else f"{len(inner)} "
        return f"list of {count}{_PLURALS.get(inner[0], 'values')}"
    if origin is dict:
        return f"mapping from {_kind(arguments[0])} to {_kind(arguments[1])}"
    return "section" if _is_spec(annotation) else "value"


def _is_spec(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _bounds(metadata: Sequence[object]) -> str:
    found = []
    for item in metadata:
        for name, words in _BOUNDS:
            value = getattr(item, name, None)
            if value is not None:
                found.append(f"{words} {_number(value)}")
        if isinstance(item, annotated_types.MinLen):
            found.append("not empty")
        pattern = getattr(item, "pattern", None)
        if pattern:
            found.append(f"matching `{pattern}`")
    return ", ".join(found)


def _number(value: float) -> str:
    return "2³¹" if value == 2**31 else f"{value:g}" if isinstance(value, float) else f"{value:,}"


def _yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{}" if not value else str(value)
    return '""' if value == "" else str(value).replace("\n", r"\n")
