"""A model asked and scored: by the likelihood of answers, and by what it writes."""

from __future__ import annotations

from sweeper.evaluation.adapter import (
    AdaptedModel,
    Evaluation,
    evaluate_adapter,
    evaluate_frozen,
    with_adapter,
)
from sweeper.evaluation.answers import GenerationSettings
from sweeper.evaluation.final import evaluate_final
from sweeper.evaluation.likelihood import Forward, can_share_prompts
from sweeper.evaluation.protocol import generation_settings, protocol_of, rung_protocol
from sweeper.evaluation.scoring import evaluate, evaluate_base, evaluate_on

__all__ = [
    "AdaptedModel",
    "Evaluation",
    "Forward",
    "GenerationSettings",
    "can_share_prompts",
    "evaluate",
    "evaluate_adapter",
    "evaluate_base",
    "evaluate_final",
    "evaluate_frozen",
    "evaluate_on",
    "generation_settings",
    "protocol_of",
    "rung_protocol",
    "with_adapter",
]
