"""The turns of a chat: read from a field, and each made what a chat template takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper._text import guess, shorten
from sweeper.data.formats.cells import read_json
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["ROLES", "message_of", "turns_of"]

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Roles of a chat."""


def turns_of(row: Mapping[str, object], field: str, *, where: str) -> list[Mapping[str, object]]:
    """Returns the objects that a field lists; JSON is read.

    Args:
        row: one row, by field.
        field: its name.
        where: place of the row, for messages.

    Raises:
        DataError: there is no such field, or it is no list of objects.
    """
    value = row.get(field)
    if value is None or isinstance(value, str):
        # Says which fields there are where it is missing.
        text = text_of(row, field, where=where)
        try:
            value = read_json(text) if text else []
        except ValueError:
            value = text
    if not isinstance(value, list | tuple) or not all(isinstance(x, Mapping) for x in value):
        raise DataError(
            f"{where}: field {field!r} is {shorten(repr(value), limit=80)}; it must be a list of "
            "objects, or JSON of one; correct the row, or name another field in data.format.field"
        )
    if not value:
        raise DataError(
            f"{where}: field {field!r} is empty; it must be a list with at least one object; "
            "remove the row, or name another field in data.format.field"
        )
    return list(value)


def message_of(turn: Mapping[str, object], *, where: str) -> dict[str, Any]:
    """Returns a message as chat templates take it.

    Null is left out, as if it were not there; parts of text become one text; arguments of a call
    that are JSON become the object, since templates write them as JSON themselves.

    Args:
        turn: with ``role`` and ``content``.
        where: place of the turn, for messages.

    Raises:
        DataError: the role is unknown, or there is nothing that is said.
    """
    message: dict[str, Any] = {name: value for name, value in turn.items() if value is not None}
    role = message.get("role")
    if role not in ROLES:
        hint = guess(str(role), ROLES, otherwise="ShareGPT's turns are data.format.name: sharegpt")
        raise DataError(
            f"{where}: the role is {shorten(repr(role), limit=80)}; it must be one of "
            f"{', '.join(ROLES)}; {hint}"
        )
    weight = message.get("weight", 1)
    if isinstance(weight, bool) or weight not in (0, 1):
        raise DataError(f"{where}: weight is {weight!r}; it must be 0 or 1; correct the row")
    message["content"] = _content(message.get("content", ""), where=where)
    calls = message.pop("tool_calls", None)
    if calls:
        if not isinstance(calls, list | tuple):
            raise DataError(
                f"{where}: tool_calls is {shorten(repr(calls), limit=80)}; it must be a list of "
                "calls; correct the row"
            )
        message["tool_calls"] = [_call(call, where=where) for call in calls]
    if role == "assistant" and not message["content"].strip() and not calls:
        raise DataError(
            f"{where}: the assistant says nothing; each of its turns needs a content or "
            "tool_calls; remove the turn, or the row"
        )
    return message


def _content(content: object, *, where: str) -> str:
    if isinstance(content, list | tuple):
        parts = [_part(part, where=where) for part in content]
        return "".join(parts)
    if not isinstance(content, str):
        raise DataError(
            f"{where}: the content is a {type(content).__name__}; it must be a text, or a list of "
            "parts of type text; correct the row"
        )
    # Says where half of a character is.
    return text_of({"content": content}, "content", where=where)


def _part(part: object, *, where: str) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        raise DataError(
            f"{where}: the content has a part of type {kind!r}; only parts of type text can be "
            "trained on; leave the row out"
        )
    return text


def _call(call: object, *, where: str) -> dict[str, Any]:
    """Returns a call of a tool; its arguments are an object."""
    found = {k: v for k, v in call.items() if v is not None} if isinstance(call, Mapping) else {}
    function = found.get("function", found)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise DataError(
            f"{where}: a tool call is {shorten(repr(call), limit=80)}; it must have a 'function' "
            "with 'name' and 'arguments'; correct the row"
        )
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = read_json(arguments) if arguments.strip() else {}
        except ValueError as error:
            raise DataError(
                f"{where}: the arguments of the tool call {function['name']!r} are not JSON "
                f"({error}); correct the row"
            ) from error
    called = {"name": function["name"], "arguments": arguments}
    rest = {name: value for name, value in found.items() if name not in ("function", *called)}
    return {**rest, "type": "function", "function": called}
