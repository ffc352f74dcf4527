"""How a row of a data set becomes an example: one module for each form that rows have.

A format is a spec with ``read(row, where=…)``, which returns an
:class:`~sweeper.data.examples.Example`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper.data.formats.chat import ROLES, MessagesFormat, ShareGptFormat
from sweeper.data.formats.choices import ChoicesFormat
from sweeper.data.formats.fields import FieldsFormat
from sweeper.data.formats.llm_adapters import LlmAdaptersFormat, question_and_options
from sweeper.data.formats.text import TextFormat

__all__ = [
    "ROLES",
    "ChoicesFormat",
    "FieldsFormat",
    "Format",
    "LlmAdaptersFormat",
    "MessagesFormat",
    "ShareGptFormat",
    "TextFormat",
    "question_and_options",
]

Format = Annotated[
    FieldsFormat | MessagesFormat | ShareGptFormat | TextFormat | ChoicesFormat | LlmAdaptersFormat,
    Field(discriminator="name"),
]
"""Any way to read a row; the field ``name`` says which."""
