"""Markdown out of plain text and docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["code", "page", "paragraphs", "plain", "table"]

WIDTH = 110
GENERATED = "<!-- Made by `make docs` from the code. Change the code, not this page. -->"

# `~` before a dotted name shows its last part alone.
_ROLE = re.compile(r":(?:class|meth|mod|func|data|attr):`(?:~[\w.]*\.)?([\w.]+)`")
# What would begin a list or a heading where a wrapped line begins with it.
_MARK = re.compile(r"^([-+*#>])(?= )")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)


def page(title: str, *parts: str) -> str:
    """Returns a whole page: title, parts, each parted by an empty line."""
    return "\n\n".join([f"# {title}", GENERATED, *(part.strip() for part in parts if part)]) + "\n"


def plain(docstring: str | None) -> str:
    """Returns the text of a docstring in Markdown: one line a paragraph, no roles of Sphinx."""
    text = inspect.cleandoc(docstring or "")
    text = _LITERAL.sub(r"`\1`", _ROLE.sub(r"`\1`", text))
    found = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
    return "\n\n".join(found)


def paragraphs(text: str) -> str:
    """Returns the paragraphs of a text with no line longer than it may be."""
    return "\n\n".join(map(_wrapped, text.split("\n\n")))


def code(text: object) -> str:
    """Returns a text as code."""
    return f"`{text}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; a paragraph break in a cell becomes a space."""
    lines = [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _wrapped(paragraph: str) -> str:
    lines = textwrap.wrap(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines[:1], *(_MARK.sub(r"\\\1", line) for line in lines[1:])])


def _row(cells: Sequence[str]) -> str:
    joined = " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return f"| {joined} |"
