"""Rows read by templates over their fields: the format of most data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from sweeper._spec import Spec
from sweeper.data.examples import Example
from sweeper.data.templates import require_field, template_of
from sweeper.errors import DataError

__all__ = ["FieldsFormat"]


class FieldsFormat(Spec):
    """Templates over the fields of a row: ``{name}`` stands for the text of field ``name``.

    A name may have spaces and any characters but braces: ``{Question Text}``. A brace that is meant
    as a brace is written twice, ``{{`` or ``}}``. A line of a template whose fields are all empty
    is dropped, so an empty optional field leaves no blank line. Text and numbers are put in as they
    are written, true and false as ``true`` and ``false``; null and NaN are empty.
    """

    name: Literal["fields"] = "fields"
    """Rows are read by templates."""
    prompt: str = "{prompt}"
    """Template of the prompt, for example ``"{instruction}\\n{context}\\nAnswer:"``."""
    answer: str = "{answer}"
    """Template of the answer, including the space that separates it from the prompt."""
    domain: str = ""
    """Template of the domain; empty if the data has only one."""

    @field_validator("domain")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        template_of(template)
        return template

    @field_validator("prompt", "answer")
    @classmethod
    def _names_a_field(cls, template: str) -> str:
        return require_field(template, example="{instruction}")

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a field is missing or not text, or the answer is empty.
        """
        answer, answer_marks = template_of(self.answer).render_marked(row, where=where)
        if not answer.strip():
            raise DataError(
                f"{where}: the answer is empty (template {self.answer!r}); every row needs an "
                "answer to train on; remove the row or correct data.format.answer"
            )
        return replace(
            self.prompt_of(row, where=where),
            answer=answer,
            domain=template_of(self.domain).render(row, where=where),
            answer_marks=answer_marks,
        )

    def asked(self) -> dict[str, str]:
        """Returns the fields that a prompt is made of, each with a word on how it is written."""
        return dict.fromkeys(template_of(self.prompt).fields, "")

    def prompt_of(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the prompt of a row that has no answer.

        Args:
            row: with the fields of :meth:`asked`.
            where: place of the row, for messages.

        Raises:
            DataError: a field is missing or not text.
        """
        prompt, marks = template_of(self.prompt).render_marked(row, where=where)
        return Example(prompt=prompt, answer="", prompt_marks=marks)

    def fields(self) -> tuple[str, ...]:
        """Returns the fields that it reads, each once."""
        found = (name for text in self.templates() for name in template_of(text).fields)
        return tuple(dict.fromkeys(found))

    def templates(self) -> tuple[str, ...]:
        """Returns its templates."""
        return (self.prompt, self.answer, self.domain)

    def files(self) -> tuple[Path, ...]:
        """Returns nothing: it needs no file besides the rows."""
        return ()
