"""Perplexity of a model on texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeper.errors import BadInputError
from sweeper.estimates import Estimate
from sweeper.evaluation.metrics.inputs import require_pairs

__all__ = ["perplexity"]


def perplexity(nats: Sequence[float], tokens: Sequence[int]) -> Estimate:
    """Returns exp of the mean loss of all tokens, from 1; infinite where it overflows.

    The mean m = Σ nats / Σ tokens is a ratio of two sums over texts, and its standard error is by
    the delta method: with residuals r_i = nats_i − m tokens_i of n texts, that of m is
    sqrt(n / (n − 1) Σ r_i²) / Σ tokens, and that of exp(m) is exp(m) times as large. It is that of
    the mean of exp(m) (1 + n r_i / Σ tokens), which is what text i contributes: their mean is
    exp(m), and differences of two models on the same texts are paired by them.

    Args:
        nats: negative log-likelihood of each text, summed over its tokens.
        tokens: of each text, at least 1.

    Raises:
        BadInputError: the two do not belong together, or a text has no tokens.
    """
    require_pairs(nats, tokens, "nats and tokens")
    if min(tokens) < 1:
        raise BadInputError(
            f"text {tokens.index(min(tokens))} has {min(tokens)} tokens; perplexity is per token, "
            "and each text needs at least 1; leave empty texts out"
        )
    count, total = len(nats), sum(tokens)
    mean = math.fsum(nats) / total
    value = _exp(mean)
    if count == 1:
        return Estimate(value, None, 1)
    residuals = [x - mean * n for x, n in zip(nats, tokens, strict=True)]
    error = value * math.sqrt(count / (count - 1) * math.fsum(r * r for r in residuals)) / total
    if not math.isfinite(value):
        return Estimate(value, error, count)
    return Estimate(value, error, count, tuple(value * (1 + count * r / total) for r in residuals))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
