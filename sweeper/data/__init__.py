"""Data sets as specs: where the examples come from and how a row becomes one.

The tagged union :data:`DataSpec` is the registry: a new source is one file and one line here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper.data.examples import Example, Splits
from sweeper.data.formats import (
    ChoicesFormat,
    FieldsFormat,
    Format,
    LlmAdaptersFormat,
    MessagesFormat,
    ShareGptFormat,
    TextFormat,
)
from sweeper.data.recognition import Proposal, recognise
from sweeper.data.sources.embedded import EmbeddedDataSpec
from sweeper.data.sources.files import RowsDataSpec
from sweeper.data.sources.hub import HubDataSpec
from sweeper.data.sources.jsonl import JsonlDataSpec
from sweeper.data.sources.mixture import TasksDataSpec

__all__ = [
    "ChoicesFormat",
    "DataSpec",
    "EmbeddedDataSpec",
    "Example",
    "FieldsFormat",
    "Format",
    "HubDataSpec",
    "JsonlDataSpec",
    "LlmAdaptersFormat",
    "MessagesFormat",
    "Proposal",
    "RowsDataSpec",
    "ShareGptFormat",
    "Splits",
    "TasksDataSpec",
    "TextFormat",
    "recognise",
]

DataSpec = Annotated[
    EmbeddedDataSpec | RowsDataSpec | TasksDataSpec | JsonlDataSpec | HubDataSpec,
    Field(discriminator="kind"),
]
"""Any source of examples; the field ``kind`` says which."""
