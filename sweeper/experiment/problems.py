"""pydantic's errors in the words of the one who wrote the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sweeper._spec import reason_of
from sweeper._text import nearest, shorten, written
from sweeper.errors import Problem
from sweeper.experiment.space.distributions import DISTRIBUTIONS
from sweeper_adapters.methods import published_form, reason_against

__all__ = ["problems_of"]

_Location = tuple[int | str, ...]
_AN_INT = "{int: [low, high]}"

# Of pydantic's errors those about one value where a list, or fields with their values, must be.
_SHAPES = {"tuple_type", "list_type", "dict_type", "model_type", "model_attributes_type"}
# By the kinds of errors whose reason says what is allowed, and not yet what to do.
_NUMBER, _ONE, _TEXT = ("give such a number",), ("give one",), ("give such a text",)
_TO_DO = {
    "greater_than": _NUMBER,
    "greater_than_equal": _NUMBER,
    "less_than": _NUMBER,
    "less_than_equal": _NUMBER,
    "multiple_of": _NUMBER,
    "finite_number": _NUMBER,
    "float_type": _ONE,
    "float_parsing": _ONE,
    "int_type": _ONE,
    "int_parsing": _ONE,
    "string_too_short": _TEXT,
    "string_too_long": _TEXT,
    "string_pattern_mismatch": _TEXT,
    "too_short": ("add what is missing",),
    "too_long": ("take some out",),
}


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    *,
    under: str = "",
    is_searchable: Callable[[str], bool] | None = None,
) -> list[Problem]:
    """Returns one problem for each error of a validation of ``model``.

    Args:
        error: what pydantic raised.
        model: the model that was validated: unknown fields are compared with its own.
        under: path put before each problem's own.
        is_searchable: says of a path in the model whether a distribution may stand there; None
            where none may.
    """
    problems = []
    for details in error.errors(include_url=False):
        found = _translate(details, model, under)
        if details["type"] == "int_from_float" and is_searchable and is_searchable(found.path):
            found = replace(found, message=f"{found.message}, or search it with {_AN_INT}")
        problems.append(found)
    return problems


def _translate(details: ErrorDetails, model: type[BaseModel], under: str) -> Problem:
    location = details["loc"]
    keys = [key for key, _ in _walk(location, model) if key is not None]
    path = ".".join([under, *keys] if under else keys)
    return Problem(path, _describe(details, location, model))


def _describe(details: ErrorDetails, location: _Location, model: type[BaseModel]) -> str:
    got, kind = details["input"], details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(_find_fields(model, location[:-1]))
        key = str(location[-1])
        return f"unknown field {shorten(repr(key))}; known: {', '.join(known)}{nearest(key, known)}"
    if kind == "missing":
        return _describe_missing(got, location, model)
    if kind in {"union_tag_invalid", "literal_error"}:
        expected = context.get("expected_tags") or context.get("expected") or ""
        allowed = [part.strip(" '") for part in str(expected).replace(" or ", ", ").split(",")]
        value = context.get("tag", got)
        message = f"unknown value {shorten(written(value))}; allowed: {', '.join(allowed)}"
        if kind == "union_tag_invalid" and (reason := reason_against(str(value))):
            return f"unknown value {shorten(written(value))}; {reason}; mend or remove that package"
        form = published_form(str(value)) if kind == "union_tag_invalid" else None
        return message + (f"; write {form}" if form else nearest(str(value), allowed))
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "'name'")).strip("'")
        return f"does not say which one is meant; give its {tag!r}"
    if isinstance(got, dict) and "type" in kind:
        known = list(DISTRIBUTIONS)
        key = next(iter(got), "")
        hint = nearest(str(key), known)
        said = shorten(written(got))
        return f"got {said}; give a value or a distribution ({', '.join(known)}){hint}"
    if kind in _SHAPES:
        return _describe_shape(got, kind, _find_fields(model, location))
    reason = "; ".join([reason_of(details), *_TO_DO.get(kind, ())])
    if got is None and "error" in context:
        # Our own validators say themselves what is missing.
        return reason
    if kind == "int_from_float":
        reason = "takes whole numbers only; write one"
    return reason if isinstance(got, dict) and "error" in context else _with_value(got, reason)


def _describe_missing(got: object, location: _Location, model: type[BaseModel]) -> str:
    if isinstance(location[-1], int):
        return f"is missing in {shorten(written(got))}; a value must stand there; add it"
    return f"is missing; give {location[-1]!s}{_choices(location, model)}"


def _choices(location: _Location, model: type[BaseModel]) -> str:
    """Returns ``: min or max`` for a field that takes a few texts alone, else nothing."""
    annotation = list(_walk(location, model))[-1][1]
    allowed = get_args(annotation) if get_origin(annotation) is Literal else ()
    return f": {' or '.join(map(str, allowed))}" if allowed else ""


def _with_value(got: object, reason: str) -> str:
    return f"got {shorten(written(got))}: {reason}"


def _describe_shape(got: object, kind: str, fields: set[str]) -> str:
    """Returns the message about a value in the place of a list, or of fields with theirs."""
    said = f"got {shorten(written(got))}"
    if kind in {"tuple_type", "list_type"}:
        is_one = isinstance(got, str | int | float)
        return f"{said}; it must be a list; write {f'[{shorten(got)}]' if is_one else '[…]'}"
    known = f" ({', '.join(sorted(fields))})" if fields else ""
    return f"{said}; it must be fields with their values{known}; write {{field: value}}"


def _find_fields(model: type[BaseModel], location: _Location) -> set[str]:
    annotation: object = model
    for _, below in _walk(location, model):
        annotation = below
    return {name for member in _find_members(annotation) for name in _fields_of(member)}


def _walk(location: _Location, model: type[BaseModel]) -> Iterator[tuple[str | None, object]]:
    """Yields each key of ``location`` as it stands in the file, and the annotation of its value.

    The tag of a union does not stand there: it is None, and with it comes the member that it picks.
    """
    annotation: object = model
    for key in location:
        members = _find_members(annotation)
        tagged = _find_tagged(members, str(key))
        if tagged is not None and not any(key in _fields_of(member) for member in members):
            annotation = tagged
            yield None, annotation
        else:
            annotation = _find_child(members, key)
            yield str(key), annotation


def _find_members(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Annotated, Union, UnionType, tuple, list}:
        return [member for part in get_args(annotation) for member in _find_members(part)]
    return []


def _fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Returns the fields of a model by the names that they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _find_child(members: list[type[BaseModel]], key: int | str) -> object:
    for member in members:
        if key in _fields_of(member):
            return _fields_of(member)[str(key)].annotation
    return members[0] if isinstance(key, int) and members else None


def _find_tagged(members: list[type[BaseModel]], tag: str) -> type[BaseModel] | None:
    for member in members:
        for name in ("name", "kind"):
            field = member.model_fields.get(name)
            is_tag = field is not None and get_origin(field.annotation) is Literal
            if field is not None and is_tag and tag in get_args(field.annotation):
                return member
    return None
