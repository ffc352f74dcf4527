"""The metric that a search optimises, and which of its values are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from sweeper._spec import Spec

__all__ = ["MODES", "Mode", "ObjectiveSpec", "describe_contrary", "mode_of"]

Mode = Literal["min", "max"]

MODES: Mapping[str, Mode] = {
    "eval_loss": "min",
    "loss": "min",
    "perplexity": "min",
    "accuracy": "max",
    "accuracy_per_character": "max",
    "greedy_exact": "max",
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
    "rouge_l": "max",
}
"""Whether lower or higher values of a metric are better, for all that evaluations report."""


def mode_of(metric: str) -> Mode | None:
    """Returns whether lower or higher values of a reported metric are better; None if unknown.

    Reported are ``<metric>``, ``<metric>/<domain>`` and ``<task>/<metric>``, and means over parts
    with ``_macro`` at the end. ``<task>/<domain>`` does not say which metric it is.
    """
    first, _, last = metric.partition("/")
    names = (first, last.rpartition("/")[2])
    return next((MODES[x] for name in names if (x := name.removesuffix("_macro")) in MODES), None)


def describe_contrary(objective: ObjectiveSpec) -> str:
    """Returns a warning about a mode that looks for the worst values; else an empty text."""
    usual = mode_of(objective.metric)
    if usual in (None, objective.mode):
        return ""
    better = "lower" if usual == "min" else "higher"
    return (
        f"objective.mode is {objective.mode!r}, but {better} values of {objective.metric} are "
        f"better, so that the search looks for the worst trial; leave mode out, or set {usual!r}"
    )


class ObjectiveSpec(Spec):
    """What the search optimises."""

    metric: str = "eval_loss"
    """Name of a metric that every evaluation reports."""
    # None is what has not been given; the validator puts a mode in its place, or refuses it.
    mode: Mode = Field(default=None, validate_default=True)
    """Whether lower or higher values are better. It follows from the metric where that is one of
    the sweeper's: losses and perplexity are minimised, all others are maximised. For another
    metric, and for ``<task>/<domain>``, it must be given."""

    @field_validator("mode", mode="before")
    @classmethod
    def _follows_from_the_metric(cls, mode: object, info: ValidationInfo) -> object:
        metric = info.data.get("metric")
        if mode is not None or metric is None:
            return mode
        known = mode_of(metric)
        if known is None:
            raise ValueError(
                f"is missing, and metric {metric!r} does not say which values are better; give "
                "mode: min where lower ones are, mode: max where higher ones are"
            )
        return known
