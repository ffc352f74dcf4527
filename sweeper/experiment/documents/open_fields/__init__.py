"""Fields of a document that are left open until it is known what the sweep runs on."""

from __future__ import annotations

from sweeper.experiment.documents.open_fields.micro_batch import (
    GlobalBatchSpec,
    has_open_batch,
    with_single_rows,
)

__all__ = ["GlobalBatchSpec", "has_open_batch", "with_single_rows"]
