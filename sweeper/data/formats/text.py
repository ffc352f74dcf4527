"""Plain text, for continued pretraining: every token of a row has a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from sweeper._spec import Spec
from sweeper.data.examples import Example
from sweeper.data.templates import template_of, text_of
from sweeper.data.units import row_unit
from sweeper.errors import DataError

__all__ = ["TextFormat"]


class TextFormat(Spec):
    """Texts to go on with: there is no prompt, and every token has a loss.

    A text is tokenised whole and ends in the end-of-text token. One of more than
    ``train.max_length`` tokens is parted into rows of that length, so that nothing of it is lost;
    all of them stay in one split, and are one unit of the statistics.
    """

    name: Literal["text"] = "text"
    """Rows are plain text."""
    field: str = Field(default="text", min_length=1)
    """Field with the text; of a ``.txt`` file it is ``text``."""
    parted_by: Literal["line", "paragraph", "file"] = "paragraph"
    """What one text of a ``.txt`` file is: a line, a paragraph (what stands between empty lines),
    or the whole file."""
    domain: str = ""
    """Template of the domain; empty if the data has only one."""

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: the field is missing, empty, or not text.
        """
        text = text_of(row, self.field, where=where)
        if not text.strip():
            raise DataError(
                f"{where}: the text is empty (field {self.field!r}); every row needs a text to "
                "train on; remove the row or name another field in data.format.field"
            )
        domain = template_of(self.domain).render(row, where=where)
        found = Example(prompt="", answer=text, domain=domain, is_document=True)
        return replace(found, unit=row_unit(found))

    def asked(self) -> dict[str, str]:
        """Returns the field that is gone on with."""
        return {self.field: ""}

    def prompt_of(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the beginning of a text as a prompt.

        Args:
            row: with the field of :meth:`asked`.
            where: place of the row, for messages.

        Raises:
            DataError: the field is missing or not text.
        """
        return Example(prompt=text_of(row, self.field, where=where), answer="")

    def fields(self) -> tuple[str, ...]:
        """Returns the fields that it reads, each once."""
        return tuple(dict.fromkeys((self.field, *template_of(self.domain).fields)))

    def templates(self) -> tuple[str, ...]:
        """Returns its templates."""
        return (self.domain,)

    def files(self) -> tuple[Path, ...]:
        """Returns nothing: it needs no file besides the rows."""
        return ()
