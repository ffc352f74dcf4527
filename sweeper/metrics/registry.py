"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from sweeper.errors import BadInputError
from sweeper.metrics.bert_score import bert_score
from sweeper.metrics.bleu import bleu
from sweeper.metrics.choice import choice
from sweeper.metrics.estimates import Estimate
from sweeper.metrics.exact import exact_match
from sweeper.metrics.final_answer import final_answer
from sweeper.metrics.final_number import final_number
from sweeper.metrics.meteor import meteor
from sweeper.metrics.option import option
from sweeper.metrics.pass_at_1 import pass_at_1
from sweeper.metrics.perplexity import perplexity
from sweeper.metrics.rouge_l import rouge_l

__all__ = ["METRICS", "Metric", "metric"]


@dataclass(frozen=True)
class Metric:
    """A metric by name."""

    name: str
    takes: Literal["texts", "encoder", "programs", "losses", "scores"]
    """What :attr:`measure` is given.

    * ``texts``: predictions and references, one string of each for each example.
    * ``encoder``: the same, and ``model=``, the folder of an encoder.
    * ``programs``: completions, and :class:`sweeper.metrics.pass_at_1.Problem` for each.
    * ``losses``: nats and tokens of each text.
    * ``scores``: scores of each question's answers, and the position of the right one.
    """
    measure: Callable[..., Estimate]
    is_loss: bool = False
    """Whether lower is better."""
    has_mean: bool = True
    """Whether it is a mean over examples, so that
    :func:`sweeper.metrics.micro_average` may pool groups."""


METRICS: Mapping[str, Metric] = {
    found.name: found
    for found in (
        Metric("bert_score", "encoder", bert_score),
        Metric("bleu", "texts", bleu, has_mean=False),
        Metric("choice", "scores", choice),
        Metric("exact", "texts", exact_match),
        Metric("final_answer", "texts", final_answer),
        Metric("final_number", "texts", final_number),
        Metric("meteor", "texts", meteor),
        Metric("option", "texts", option),
        Metric("pass_at_1", "programs", pass_at_1),
        Metric("perplexity", "losses", perplexity, is_loss=True, has_mean=False),
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
        near = get_close_matches(name, METRICS, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise BadInputError(f"no metric {name!r}; known: {', '.join(METRICS)}; {advice}")
    return METRICS[name]
