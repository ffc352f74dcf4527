"""JSON in a cell of a row: read and written, with one error for all that can be wrong with it."""

from __future__ import annotations

import json

from sweeper.errors import DataError

__all__ = ["read_json", "write_json"]


def read_json(text: str) -> object:
    """Returns what a text says that is JSON.

    Raises:
        ValueError: it is no JSON, or JSON that Python cannot read: lists in lists without end, or a
            number of thousands of digits. The message says which, in a few words.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(error.msg) from error
    except RecursionError as error:
        raise ValueError("its lists and objects are nested too deeply") from error


def write_json(value: object, *, where: str) -> str:
    """Returns a value of a row as JSON.

    Raises:
        DataError: it has none, such as a date, or is nested too deeply.
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: it cannot be written as JSON ({error}); chats are made of texts, numbers, "
            "true, false, null, lists and objects; write the value as a text, or leave it out"
        ) from error
