"""All trials of a sweep as a table of values, the best first, as MLflow shows a logged table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import JsonValue

from sweeper._text import value_text, varying
from sweeper.analysis.ranking import Ranking
from sweeper.estimates import Estimate
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import Summary

__all__ = ["leaderboard_document", "summary_of"]


def leaderboard_document(ranking: Ranking) -> dict[str, JsonValue]:
    """Returns the table in the form that ``mlflow.log_table`` writes: ``columns`` and ``data``.

    Args:
        ranking: of the trials.
    """
    names = [name for name in varying(trial.params for trial in ranking.trials) if name != "method"]
    metric, split = ranking.objective.metric, _split(ranking)
    columns = [
        *("place", "trial", "id", "method"),
        *names,
        *(metric, f"{metric} standard error"),
        *([f"{split} {metric}", f"{split} {metric} standard error"] if split else []),
        *("status", "steps", "trainable parameters", "wall time (s)"),
    ]
    rows: list[JsonValue] = [
        [place, *_cells(ranking, trial, names)]
        for place, trial in enumerate(ranking.ranked, start=1)
    ]
    rows += [[None, *_cells(ranking, trial, names)] for trial in ranking.others]
    return {"columns": list(columns), "data": rows}


def _cells(ranking: Ranking, trial: TrialRecord, names: Sequence[str]) -> list[JsonValue]:
    params: list[JsonValue] = [_cell(trial.params.get(name)) for name in names]
    finals = _numbers(ranking.final_score(trial)) if _split(ranking) else []
    return [
        *(trial.number, trial.id, trial.method),
        *params,
        *_numbers(ranking.score(trial)),
        *finals,
        *(ranking.status_text(trial), trial.steps, trial.trainable or None),
        round(trial.wall_time_s, 3),
    ]


def _numbers(found: Estimate | None) -> list[JsonValue]:
    return [None, None] if found is None else [found.value, found.standard_error]


def _cell(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value_text(value) if isinstance(value, list | dict) else value


def _split(ranking: Ranking) -> str:
    return next((found.split for found in ranking.finals.values()), "")


def summary_of(ranking: Ranking) -> Summary:
    """Returns a sweep in numbers.

    Args:
        ranking: of its trials.
    """
    best = ranking.best
    score = None if best is None else ranking.score(best)
    final = None if best is None else ranking.final_score(best)
    return Summary(
        objective=ranking.objective.metric,
        best=None if score is None else score.value,
        best_final=None if final is None else final.value,
        split=_split(ranking) or "test",
        base=None if ranking.base is None else ranking.base.value,
        trials=ranking.counts(),
        wall_time_s=sum(trial.wall_time_s for trial in ranking.trials),
    )
