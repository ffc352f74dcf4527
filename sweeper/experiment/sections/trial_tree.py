"""What each trial has of a document."""

from __future__ import annotations

from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.sections.keys import TRIAL_KEYS

__all__ = ["build_trial_tree"]


def build_trial_tree(document: Document, method: Json) -> Document:
    """Returns the fields of a trial of ``method``, as the document gives them to all trials."""
    workers = get_path(document, ("resources", "workers"))
    tree: Document = {
        "method": method,
        "train": document.get("train", {}),
        "workers": 1 if workers is None else workers,
        # A trial keeps it where it has patience.
        "objective": document.get("objective", {}),
    }
    return tree | {key: document[key] for key in TRIAL_KEYS if key in document}
