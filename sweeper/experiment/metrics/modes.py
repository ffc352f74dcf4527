"""Whether lower or higher values of a metric are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["METRIC_MODES", "MODES", "Mode", "mode_of"]

Mode = Literal["min", "max"]

_REPORTED: Mapping[str, Mode] = {
    "eval_loss": "min",
    "loss": "min",
    "accuracy": "max",
    "accuracy_per_character": "max",
    "greedy_exact": "max",
}
METRIC_MODES: Mapping[str, Mode] = {
    "bert_score": "max",
    "bert_score_precision": "max",
    "bert_score_recall": "max",
    "bleu": "max",
    "choice": "max",
    "dialogue_mean": "max",
    "exact": "max",
    "final_answer": "max",
    "final_number": "max",
    "meteor": "max",
    "option": "max",
    "pass_at_1": "max",
    "perplexity": "min",
    "rouge_l": "max",
}
"""Whether lower or higher values are better, of the metrics that tasks and specs name."""
MODES: Mapping[str, Mode] = {**_REPORTED, **METRIC_MODES}
"""Whether lower or higher values of a metric are better, for all that evaluations report."""


def mode_of(metric: str, *, own: Mapping[str, Mode] | None = None) -> Mode | None:
    """Returns whether lower or higher values of a reported metric are better; None if unknown.

    Reported are ``<metric>``, ``<metric>/<domain>`` and ``<task>/<metric>``, and means over parts
    with ``_macro`` at the end. ``<task>/<domain>`` does not say which metric it is.

    Args:
        metric: name of what is reported.
        own: the modes of metrics that are Python functions, by name.
    """
    first, _, last = metric.partition("/")
    if own and first in own:
        return own[first]
    names = (first, last.rpartition("/")[2])
    return next((MODES[x] for name in names if (x := name.removesuffix("_macro")) in MODES), None)
