"""What earlier versions read otherwise, so that its fingerprint is another one.

A trial is named by its data's fingerprint, which is of the files' bytes. Where the same bytes give
other rows than they once did, the name must change; where they give the same ones, sweeps of an
earlier version are gone on with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from sweeper._text import is_number
from sweeper.data.reading.json_rows import WrittenNumber
from sweeper.data.reading.rows import Row

__all__ = ["Changes"]

# Earlier versions left a name with white space as it stood, and put a field within doubled braces.
_NEW_SPELLING = re.compile(r"\{\{|\}\}|\{[^{}]*\s[^{}]*\}")
# Earlier versions took a special token's text in a row for that token, and wrote a second begin or
# end where a template has one. The tokenizer is not known here: these are the usual ones.
_SPECIAL = re.compile(
    r"<(?:/?s|unk|pad|eos|bos|mask|endoftext|(?:start|end)_of_turn|\|[^<>|]{1,40}\|)>"
    r"|\[(?:CLS|SEP|MASK|PAD|UNK|BOS|EOS|/?INST)\]"
)
# What pandas takes for nothing.
_NO_NUMBERS = ("-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "NaN", "nan")
_NOTHING = frozenset(
    (*_NO_NUMBERS, "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null")
)


class Changes:
    """Whether rows, or how they are put into templates, were read otherwise."""

    def __init__(
        self, fields: Sequence[str], templates: Sequence[str] = (), *, is_table: bool = False
    ) -> None:
        """Begins without rows.

        Args:
            fields: those that are read; others do not count.
            templates: what they are put into.
            is_table: whether rows are of a table whose types were guessed.
        """
        self._fields = tuple(fields)
        self._are_rows_anew = any(
            _NEW_SPELLING.search(text) or _SPECIAL.search(text) for text in templates
        )
        self._columns = {name: _Column() for name in fields} if is_table else {}

    def note(self, row: Row) -> None:
        """Looks at a row."""
        for name in self._fields:
            value = row.get(name)
            self._are_rows_anew |= isinstance(value, str) and bool(_SPECIAL.search(value))
            if name in self._columns:
                self._columns[name].note(str(value or ""))
            elif isinstance(value, bool):
                self._are_rows_anew = True
            elif isinstance(value, WrittenNumber):
                is_same = not math.isnan(value) and value.text == float.__repr__(value)
                self._are_rows_anew |= not is_same
            elif isinstance(value, float):
                self._are_rows_anew |= math.isnan(value)

    @property
    def are_there(self) -> bool:
        """Whether anything was read otherwise."""
        return self._are_rows_anew or any(c.was_guessed for c in self._columns.values())


class _Column:
    """A column of a table, as pandas would have taken it."""

    def __init__(self) -> None:
        self._has_gap = self._has_nothing = self._has_text = self._has_other_number = False

    def note(self, text: str) -> None:
        self._has_gap |= not text
        if text in _NOTHING:
            self._has_nothing = True
        elif text:
            is_a_number = is_number(text)
            self._has_text |= not is_a_number
            self._has_other_number |= is_a_number and not (text.isascii() and text == _whole(text))

    @property
    def was_guessed(self) -> bool:
        """Whether a cell came out as another text."""
        if self._has_nothing:
            return True
        return not self._has_text and (self._has_other_number or self._has_gap)


def _whole(text: str) -> str:
    """Returns how a whole number is written; nothing where the text is none."""
    digits = text.removeprefix("-")
    return f"{'-' * (text != digits)}{digits.lstrip('0') or '0'}" if digits.isdecimal() else ""
