"""Templates over the fields of a row, and what a field's value is as text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from sweeper._text import nearest, shorten
from sweeper.data.examples import Marks
from sweeper.errors import DataError

__all__ = ["Template", "require_field", "template_of", "text_of"]

_PIECE = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_BRACKET = re.compile(r"[<>\[\]]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Template:
    """A text with the names of fields in it."""

    lines: tuple[tuple[tuple[str, bool], ...], ...]
    """Of each line its pieces in their order, and whether a piece names a field."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it names, each once."""
        return tuple(
            dict.fromkeys(text for line in self.lines for text, is_field in line if is_field)
        )

    def render(self, row: Mapping[str, object], *, where: str) -> str:
        """Returns the text of a row; a line whose fields are all empty is left out.

        Args:
            row: by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a field is missing, or its value cannot be put into a text.
        """
        return self.render_marked(row, where=where)[0]

    def render_marked(self, row: Mapping[str, object], *, where: str) -> tuple[str, Marks]:
        """Returns :meth:`render` and, of what the template itself wrote, where it stands.

        Only the parts that could be of a special token are told, which have a bracket.
        """
        lines: list[str] = []
        marks: list[tuple[int, int]] = []
        length = 0
        for line in self.lines:
            values = [_named(row, text, where) if is_field else text for text, is_field in line]
            named = [value for value, (_, is_field) in zip(values, line, strict=True) if is_field]
            if named and not any(named):
                continue
            for value, (_, is_field) in zip(values, line, strict=True):
                if not is_field and _BRACKET.search(value):
                    marks.append((length, length + len(value)))
                length += len(value)
            lines.append("".join(values))
            length += 1
        return "\n".join(lines), tuple(marks)


def require_field(template: str, *, example: str) -> str:
    """Returns a template that names a field.

    Args:
        template: as a search space has it.
        example: a template that does, for the message.

    Raises:
        ValueError: it names none, or is no template.
    """
    if not template_of(template).fields:
        raise ValueError(
            f"the template {template!r} names no field; write a field of the rows in braces, "
            f"for example {example!r}"
        )
    return template


@lru_cache(maxsize=256)
def template_of(text: str) -> Template:
    """Returns the template that a text is: ``{name}`` names a field, ``{{`` and ``}}`` are braces.

    Raises:
        ValueError: a brace belongs to no field.
    """
    lines: list[list[tuple[str, bool]]] = [[]]
    for piece in _PIECE.split(text):
        if piece in ("{", "}", "{}"):
            raise ValueError(
                f"the template {text!r} has a brace that names no field ({piece!r}); a field of "
                "the rows stands in braces, for example '{instruction}'; a brace that is meant as "
                "a brace is written twice, '{{' or '}}'"
            )
        if piece in ("{{", "}}"):
            lines[-1].append((piece[0], False))
        elif piece.startswith("{"):
            lines[-1].append((piece[1:-1], True))
        else:
            first, *rest = piece.split("\n")
            lines[-1].append((first, False))
            lines += [[(line, False)] for line in rest]
    return Template(tuple(tuple(line) for line in lines))


def text_of(row: Mapping[str, object], field: str, *, where: str) -> str:
    """Returns a field of a row as text.

    Text and numbers are as they are written, and true and false are ``true`` and ``false``, as in
    JSON. Null, and NaN, which stands for it in tables, are nothing.

    Raises:
        DataError: there is no such field, or it is neither text nor a number.
    """
    if field not in row:
        raise DataError(
            f"{where}: no field {field!r}; its fields are {_listed(row)}; "
            "name those in data.format, or choose the data.format.name that fits the rows"
        )
    value = row[field]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        raise DataError(
            f"{where}: field {field!r} is a {type(value).__name__}; only text and numbers can be "
            "put into a template; name another field in data.format, or flatten the rows"
        )
    text = str(value)
    if not text.isascii() and (found := _SURROGATE.search(text)):
        raise DataError(
            f"{where}: field {field!r} has half of a character (\\u{ord(found[0]):04x}, a lone "
            f"surrogate) after {found.start()} letters; a text has whole characters; correct the "
            "row or remove it"
        )
    return text


def _named(row: Mapping[str, object], field: str, where: str) -> str:
    if field not in row:
        raise DataError(
            f"{where}: no field {field!r}{nearest(field, sorted(row))}; its fields are "
            f"{_listed(row)}; name those in data.format, in braces; a brace that is meant as a "
            "brace is written twice, '{{' or '}}'"
        )
    return text_of(row, field, where=where)


def _listed(row: Mapping[str, object]) -> str:
    return shorten(", ".join(sorted(row)) or "(none)", limit=600)
