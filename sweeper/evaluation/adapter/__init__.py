"""A trained adapter, as it lies on disk: compared with its trial, loaded, and evaluated."""

from __future__ import annotations

from sweeper.evaluation.adapter.chat_template import (
    TEMPLATE_FILE,
    as_trained,
    kept_template,
    note_template,
)
from sweeper.evaluation.adapter.digests import forget_digests, note_digests
from sweeper.evaluation.adapter.evaluating import (
    AdaptedModel,
    Evaluation,
    evaluate_adapter,
    evaluate_frozen,
    require_domains,
    with_adapter,
)
from sweeper.evaluation.adapter.loading import hold_base_of, load_adapter, load_base_of

__all__ = [
    "TEMPLATE_FILE",
    "AdaptedModel",
    "Evaluation",
    "as_trained",
    "evaluate_adapter",
    "evaluate_frozen",
    "forget_digests",
    "hold_base_of",
    "kept_template",
    "load_adapter",
    "load_base_of",
    "note_digests",
    "note_template",
    "require_domains",
    "with_adapter",
]
