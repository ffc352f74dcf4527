"""What a paper has published, beside what a sweep found: by the sweep's own verdicts."""

from __future__ import annotations

from sweeper.analysis.published.comparing import (
    Published,
    PublishedArm,
    arm_names,
    published_document,
    published_of,
)
from sweeper.analysis.published.replication import NOT_RUN, Replication, replication_of

__all__ = [
    "NOT_RUN",
    "Published",
    "PublishedArm",
    "Replication",
    "arm_names",
    "published_document",
    "published_of",
    "replication_of",
]
