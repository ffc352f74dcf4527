"""Whether a trial has stopped improving: what it waits for, and for how long it has waited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sweeper.errors import TrialError
from sweeper.estimates import Estimate
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.experiment.trial import TrialSpec

__all__ = ["Waiting"]


class Waiting(BaseModel):
    """How a trial stands with its patience; part of its checkpoint."""

    model_config = ConfigDict(frozen=True)

    best: float | None = None
    """The objective at the last improvement; None before the first finite value."""
    evaluations: Annotated[int, Field(ge=0)] = 0
    """Evaluations since then."""

    def after(self, metrics: Mapping[str, Estimate], trial: TrialSpec) -> Waiting:
        """Returns how the trial stands after one more evaluation.

        A value that is not finite is no improvement.

        Args:
            metrics: of the evaluation.
            trial: with its patience and its objective.

        Raises:
            TrialError: the evaluation does not report the objective.
        """
        if trial.objective is None:
            return self
        value = _value(metrics, trial.objective)
        if self._is_improved(value, trial):
            return Waiting(best=value)
        return Waiting(best=self.best, evaluations=self.evaluations + 1)

    def is_over(self, trial: TrialSpec) -> bool:
        """Whether the trial has waited for as long as its patience lasts."""
        return 0 < trial.train.patience <= self.evaluations

    def _is_improved(self, value: float, trial: TrialSpec) -> bool:
        assert trial.objective is not None
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        gain = value - self.best if trial.objective.mode == "max" else self.best - value
        return gain > 0 and gain >= trial.train.min_improvement


def _value(metrics: Mapping[str, Estimate], objective: ObjectiveSpec) -> float:
    found = metrics.get(objective.metric)
    if found is None:
        raise TrialError(
            f"train.patience waits for {objective.metric}, which this evaluation does not report; "
            f"it reports {', '.join(sorted(metrics))}; name one of these in objective.metric, or "
            "leave train.patience out"
        )
    return found.value
