"""A table or a figure of a paper: what it publishes, and how it is asked here."""

from __future__ import annotations

from sweeper.experiment.paper.profiles import on_profile
from sweeper.experiment.paper.spec import (
    PaperProfile,
    PaperSpec,
    PublishedRow,
    PublishedTable,
    Reading,
)

__all__ = [
    "PaperProfile",
    "PaperSpec",
    "PublishedRow",
    "PublishedTable",
    "Reading",
    "on_profile",
]
