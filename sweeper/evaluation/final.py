"""The final evaluation, after the search."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from sweeper.data import Example
from sweeper.data.questions import draw_examples
from sweeper.errors import TrialError
from sweeper.evaluation.adapter import evaluate_adapter, evaluate_frozen
from sweeper.experiment.sweep import FinalSpec
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.row_scores import RowScores

__all__ = ["evaluate_final"]


def evaluate_final(
    trial: TrialSpec,
    base: FrozenBase,
    final: FinalSpec,
    *,
    adapter: Path | None,
    chosen_by: Mapping[str, JsonValue] | None = None,
) -> tuple[FinalResult, RowScores]:
    """Returns the scores of a selected trial, or of the base, on the split of the final evaluation.

    Besides them what each row contributes.

    Args:
        trial: says how it is asked.
        base: with the trial's model and data.
        final: split and rows.
        adapter: of the trial; the frozen base is evaluated where None.
        chosen_by: why it is this trial.

    Raises:
        TrialError: the split is empty, or there is no adapter in the folder.
    """
    started_s = time.perf_counter()
    examples: Sequence[Example] = getattr(base.data.splits, final.split)
    if not examples:
        raise TrialError(
            f"the {final.split} split of the data is empty; the final evaluation needs rows that "
            f"were not used to choose a trial; use data with a {final.split} split, or set "
            "final.trials to 0"
        )
    chosen = draw_examples(examples, final.rows)
    if adapter is None:
        found = evaluate_frozen(trial, base, chosen)
    else:
        found = evaluate_adapter(trial, base, adapter, chosen)
    result = FinalResult(
        split=final.split,
        rows=sum(found.rows.values()),
        rows_left_out=sum(found.rows_left_out.values()),
        rows_in_split=len(examples),
        metrics=found.metrics,
        protocol=cast("dict[str, JsonValue]", dict(found.protocol)),
        chosen_by=dict(chosen_by or {}),
        data_fingerprint=base.data.fingerprint,
        wall_time_s=time.perf_counter() - started_s,
        ended_at=datetime.now(UTC),
    )
    return result, RowScores.of(found.estimates, found.order, split=final.split)
