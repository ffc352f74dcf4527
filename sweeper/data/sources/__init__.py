"""Where examples come from: one module for each kind of ``data`` in a profile."""

from __future__ import annotations

from sweeper.data.sources.embedded import EmbeddedDataSpec
from sweeper.data.sources.files import RowsDataSpec
from sweeper.data.sources.hub import HubDataSpec
from sweeper.data.sources.jsonl import JsonlDataSpec
from sweeper.data.sources.mixture import TasksDataSpec

__all__ = ["EmbeddedDataSpec", "HubDataSpec", "JsonlDataSpec", "RowsDataSpec", "TasksDataSpec"]
