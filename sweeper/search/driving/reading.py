"""All trials of a study in one look at its database: Optuna builds an object for each value."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.orm import Session

__all__ = ["read_trials"]

_Rows = dict[int, list[Any]]


def read_trials(storage: RDBStorage, study_id: int) -> list[FrozenTrial]:
    """Returns the trials of a study of one objective, by number, as Optuna returns them.

    Args:
        storage: where it is.
        study_id: Optuna's identity of the study.
    """
    with Session(storage.engine) as session:
        trials = session.execute(
            sqlalchemy.select(*models.TrialModel.__table__.columns)
            .where(models.TrialModel.study_id == study_id)
            .order_by(models.TrialModel.number)
        ).all()
        by_trial = functools.partial(_by_trial, session, study_id)
        params = by_trial(models.TrialParamModel, order="param_id")
        values = by_trial(models.TrialValueModel)
        reports = by_trial(models.TrialIntermediateValueModel)
        own = by_trial(models.TrialUserAttributeModel)
        optunas = by_trial(models.TrialSystemAttributeModel)
    # The same few distributions, thousands of times.
    parsed = functools.cache(json_to_distribution)
    return [
        FrozenTrial(
            number=trial.number,
            state=trial.state,
            value=None,
            values=[_value(row) for row in values[trial.trial_id]] or None,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
            params=dict(_params(params[trial.trial_id], parsed)),
            distributions={
                row.param_name: parsed(row.distribution_json) for row in params[trial.trial_id]
            },
            user_attrs={row.key: json.loads(row.value_json) for row in own[trial.trial_id]},
            system_attrs={row.key: json.loads(row.value_json) for row in optunas[trial.trial_id]},
            intermediate_values={row.step: _report(row) for row in reports[trial.trial_id]},
            trial_id=trial.trial_id,
        )
        for trial in trials
    ]


def _by_trial(session: Session, study_id: int, model: Any, *, order: str = "trial_id") -> _Rows:  # noqa: ANN401 - a table of Optuna's
    """Returns the rows of a table that belong to a study, by trial."""
    table, trials = model.__table__, models.TrialModel.__table__
    found: _Rows = defaultdict(list)
    query = (
        sqlalchemy.select(*table.columns)
        .join(trials, table.c.trial_id == trials.c.trial_id)
        .where(trials.c.study_id == study_id)
        .order_by(table.c[order])
    )
    for row in session.execute(query):
        found[row.trial_id].append(row)
    return found


def _params(
    rows: list[Any], parsed: Callable[[str], BaseDistribution]
) -> Iterator[tuple[str, Any]]:
    for row in rows:
        yield row.param_name, parsed(row.distribution_json).to_external_repr(row.param_value)


def _value(row: Any) -> float:  # noqa: ANN401 - a row
    return models.TrialValueModel.stored_repr_to_value(row.value, row.value_type)


def _report(row: Any) -> float:  # noqa: ANN401 - a row
    of = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    return of(row.intermediate_value, row.intermediate_value_type)
