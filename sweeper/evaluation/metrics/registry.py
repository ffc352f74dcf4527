"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sweeper._text import guess
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.bert_score import (
    bert_score,
    bert_score_precision,
    bert_score_recall,
)
from sweeper.evaluation.metrics.bleu import bleu
from sweeper.evaluation.metrics.dialogue_mean import PARTS, dialogue_mean
from sweeper.evaluation.metrics.exact import exact_match
from sweeper.evaluation.metrics.final_answer import final_answer
from sweeper.evaluation.metrics.final_number import final_number
from sweeper.evaluation.metrics.meteor import meteor
from sweeper.evaluation.metrics.option import option
from sweeper.evaluation.metrics.pass_at_1 import pass_at_1
from sweeper.evaluation.metrics.perplexity import perplexity
from sweeper.evaluation.metrics.rouge_l import rouge_l

__all__ = ["METRICS", "Metric", "metric"]


@dataclass(frozen=True)
class Metric:
    """A metric by name."""

    name: str
    takes: Literal["texts", "encoder", "programs", "losses", "choices", "metrics"]
    """What :attr:`measure` is given.

    * ``texts``: predictions and references, one string of each for each example.
    * ``encoder``: the same, and ``matcher=``, a
      :class:`sweeper.evaluation.metrics.bert_score.Matcher`.
    * ``programs``: completions, and a
      :class:`sweeper.evaluation.metrics.pass_at_1.ProgrammingProblem` for each.
    * ``losses``: nats and tokens of each text.
    * ``choices``: of each question, 1 where the choice that scores best is right, else 0.
    * ``metrics``: the estimates of :attr:`parts`, by name, of the same examples.
    """
    measure: Callable[..., Estimate]
    has_mean: bool = True
    """Whether it is a mean over examples, so that
    :func:`sweeper.evaluation.metrics.micro_average` may pool groups."""
    parts: tuple[str, ...] = ()
    """Metrics that it is made of, where it takes metrics."""


METRICS: Mapping[str, Metric] = {
    found.name: found
    for found in (
        Metric("bert_score", "encoder", bert_score),
        Metric("bert_score_precision", "encoder", bert_score_precision),
        Metric("bert_score_recall", "encoder", bert_score_recall),
        Metric("bleu", "texts", bleu, has_mean=False),
        Metric("choice", "choices", mean_estimate),
        Metric("dialogue_mean", "metrics", dialogue_mean, has_mean=False, parts=PARTS),
        Metric("exact", "texts", exact_match),
        Metric("final_answer", "texts", final_answer),
        Metric("final_number", "texts", final_number),
        Metric("meteor", "texts", meteor),
        Metric("option", "texts", option),
        Metric("pass_at_1", "programs", pass_at_1),
        Metric("perplexity", "losses", perplexity, has_mean=False),
        Metric("rouge_l", "texts", rouge_l),
    )
}
"""All metrics."""


def metric(name: str) -> Metric:
    """Returns the metric of this name.

    Raises:
        BadInputError: there is none.
    """
    if name not in METRICS:
        advice = guess(name, METRICS, otherwise="choose one of them")
        raise BadInputError(f"no metric {name!r}; known: {', '.join(METRICS)}; {advice}")
    return METRICS[name]
