"""The metric that a search optimises, and which of its values are better."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationInfo, field_validator

from sweeper._spec import Spec
from sweeper.experiment.metrics import Mode, mode_of

__all__ = ["ObjectiveSpec", "describe_contrary"]


def describe_contrary(objective: ObjectiveSpec, *, own: Mapping[str, Mode]) -> str:
    """Returns a warning about a mode that looks for the worst values; else an empty text.

    Args:
        objective: of a sweep.
        own: the modes of the sweep's metrics that are Python functions, by name.
    """
    usual = mode_of(objective.metric, own=own)
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
    the sweeper's: losses and perplexity are minimised, all others are maximised. A metric of
    ``evaluation.metrics`` that is a Python function says it itself. For another metric, and for
    ``<task>/<domain>``, it must be given."""

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
