"""Questions with options, one of which is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from string import ascii_uppercase
from typing import Literal

from pydantic import Field, field_validator

from sweeper._spec import Spec
from sweeper.data.examples import Example
from sweeper.data.formats.cells import read_json
from sweeper.data.templates import require_field, template_of, text_of
from sweeper.errors import DataError

__all__ = ["ChoicesFormat"]


class ChoicesFormat(Spec):
    """A question, its options, and which of them is right.

    The options stand in one field, or in a field each. One field holds a list of texts, a mapping
    from letter to text, or, as ARC has it, a mapping of the two lists ``text`` and ``label``; also
    any of these as JSON. Null at the end of a list is no option. What is right is told by its
    letter, its label, its number or its text. A question is answered by the likeliest option.
    """

    name: Literal["choices"] = "choices"
    """Rows are questions with options."""
    question: str = "{question}"
    """Template of the question."""
    options: tuple[str, ...] = Field(default=("options",), min_length=1)
    """The field with all options, or the field of each, such as ``[A, B, C, D]``; an option whose
    field is empty is none."""
    answer: str = Field(default="answer", min_length=1)
    """Field that says which option is right."""
    counted_from: Literal[0, 1] = 0
    """Number of the first option, where the answer is a number."""
    reading: Literal["letters", "cloze"] = "letters"
    """``letters``: the prompt lists the options, and the answer is a letter. ``cloze``: the prompt
    is the question alone, and the answer is the text of an option."""
    domain: str = ""
    """Template of the domain; empty if the data has only one."""

    @field_validator("question")
    @classmethod
    def _names_a_field(cls, template: str) -> str:
        return require_field(template, example="{question}")

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds, with its choices.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a field is missing, there are fewer than two options, or none is right.
        """
        options = self.options_of(row, where=where)
        right = self._right(row, options, where=where)
        found = self._asked_with(row, options, where=where)
        domain = template_of(self.domain).render(row, where=where)
        return replace(found, answer=found.choices[right], domain=domain)

    def asked(self) -> dict[str, str]:
        """Returns what a prompt is made of, each with a word on how it is written."""
        fields = dict.fromkeys(template_of(self.question).fields, "")
        is_one = len(self.options) == 1
        return fields | dict.fromkeys(self.options, "parted by |" if is_one else "")

    def prompt_of(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the prompt of a row that has no answer.

        Args:
            row: with the fields of :meth:`asked`; options in one field may be parted by ``|``.
            where: place of the row, for messages.

        Raises:
            DataError: a field is missing, or there are fewer than two options.
        """
        name = self.options[0]
        given = row.get(name)
        if len(self.options) == 1 and isinstance(given, str) and given[:1] not in {"[", "{"}:
            row = {**row, name: [text.strip() for text in given.split("|") if text.strip()]}
        return self._asked_with(row, self.options_of(row, where=where), where=where)

    def _asked_with(
        self, row: Mapping[str, object], options: Mapping[str, str], *, where: str
    ) -> Example:
        """Returns a question with its options, none of which is told to be right."""
        question, marks = template_of(self.question).render_marked(row, where=where)
        letters = ascii_uppercase[: len(options)]
        if self.reading == "letters":
            lines = [f"{a}. {text}" for a, text in zip(letters, options.values(), strict=True)]
            choices = [f" {letter}" for letter in letters]
            prompt = "\n".join([question, *lines, "Answer:"])
        else:
            prompt = f"{question}\nAnswer:"
            choices = [f" {text.strip()}" for text in options.values()]
        return Example(prompt, "", choices=tuple(choices), prompt_marks=marks)

    def fields(self) -> tuple[str, ...]:
        """Returns the fields that it reads, each once."""
        named = (template_of(text).fields for text in self.templates())
        return tuple(dict.fromkeys((*chain.from_iterable(named), *self.options, self.answer)))

    def templates(self) -> tuple[str, ...]:
        """Returns its templates."""
        return (self.question, self.domain)

    def files(self) -> tuple[Path, ...]:
        """Returns nothing: it needs no file besides the rows."""
        return ()

    def options_of(self, row: Mapping[str, object], *, where: str) -> dict[str, str]:
        """Returns the text of each option by its letter or label, of which there are two at least.

        Args:
            row: one row, by field.
            where: place of the row, for messages.

        Raises:
            DataError: a field is missing, or the row lists no such options.
        """
        options = self._options(row, where=where)
        if len(options) < 2 or not all(text.strip() for text in options.values()):
            raise DataError(
                f"{where}: {len(options)} options with a text ({', '.join(options) or 'none'}); a "
                "question needs at least 2; correct the row, or name their fields in "
                "data.format.options"
            )
        if self.reading == "letters" and len(options) > len(ascii_uppercase):
            raise DataError(
                f"{where}: {len(options)} options; with data.format.reading: letters a question "
                f"has at most {len(ascii_uppercase)}; remove the row, or set reading: cloze"
            )
        return options

    def _options(self, row: Mapping[str, object], *, where: str) -> dict[str, str]:
        """Returns the text of each option, by what the row calls it."""
        if len(self.options) > 1:
            texts = {name: text_of(row, name, where=where) for name in self.options}
            return {name: text for name, text in texts.items() if text.strip()}
        value = _field(row, self.options[0], where=where)
        if isinstance(value, Mapping) and {"text", "label"} <= value.keys():
            labels, listed = value["label"], value["text"]
            if _are_alike(labels, listed):
                return dict(zip(map(str, labels), _texts(listed, where=where), strict=False))
        elif isinstance(value, Mapping):
            return {
                str(label): text_of({str(label): text}, str(label), where=f"{where}, options")
                for label, text in value.items()
                if not _is_null(text)
            }
        elif isinstance(value, list | tuple):
            listed = _texts(value, where=where)
            if len(listed) <= len(ascii_uppercase):
                return dict(zip(ascii_uppercase, listed, strict=False))
        raise DataError(
            f"{where}: field {self.options[0]!r} is a {type(value).__name__} that lists no "
            "options; it must be a list of at most 26 texts, a mapping from letter to text, or one "
            "of 'text' and 'label' of equal length; correct the row, or name the field of each "
            "option in data.format.options"
        )

    def _right(self, row: Mapping[str, object], options: Mapping[str, str], *, where: str) -> int:
        """Returns the position of the right option."""
        told = text_of(row, self.answer, where=where).strip()
        letters = ascii_uppercase[: len(options)]
        numbers = [str(self.counted_from + place) for place in range(len(options))]
        texts = [text.strip() for text in options.values()]
        # "(B)" and "B." are the letter, too.
        for wanted in dict.fromkeys((told, told.strip("().: "))):
            for names in (list(options), list(letters), list(letters.lower())):
                if names.count(wanted) == 1:
                    return names.index(wanted)
            found = [names.index(wanted) for names in (numbers, texts) if wanted in names]
            if len(set(found)) > 1 and not isinstance(row[self.answer], int):
                raise DataError(
                    f"{where}: the answer is {told!r}, which is the number of one option and the "
                    "text of another; write the letter of the right one"
                )
            if found:
                return found[0]
        raise DataError(
            f"{where}: the answer is {told[:80]!r} (field {self.answer!r}) but the options are "
            f"{', '.join(options)}; it must be the letter, the number (from "
            f"{self.counted_from}) or the text of one of them; correct the row, or name another "
            "field in data.format.answer"
        )


def _field(row: Mapping[str, object], name: str, *, where: str) -> object:
    """Returns the value of a field; JSON of a list or an object is read."""
    value = row.get(name)
    if value is None or isinstance(value, str):
        # Says which fields there are where it is missing.
        text = text_of(row, name, where=where)
        if text.lstrip()[:1] in {"[", "{"}:
            try:
                return read_json(text)
            except ValueError:
                return text
    return value


def _are_alike(labels: object, texts: object) -> bool:
    if not isinstance(labels, list | tuple) or not isinstance(texts, list | tuple):
        return False
    return len(labels) == len(texts)


def _texts(values: Sequence[object], *, where: str) -> list[str]:
    """Returns the texts of a list of options; null at its end is none.

    Raises:
        DataError: an option is null before another one, or neither text nor a number.
    """
    count = max((place + 1 for place, x in enumerate(values) if not _is_null(x)), default=0)
    for place, value in enumerate(values[:count]):
        if _is_null(value):
            raise DataError(
                f"{where}: option {place} of {count} (from 0) is null; null is no option, and "
                "which one a letter or a number means is not known where one is left out between "
                "others; correct the row"
            )
    named = {f"options[{place}]": value for place, value in enumerate(values[:count])}
    return [text_of(named, name, where=where) for name in named]


def _is_null(value: object) -> bool:
    """Returns whether a value is null, or NaN, which stands for it in tables."""
    return value is None or (isinstance(value, float) and math.isnan(value))
