"""What a sweep tries next and what it stops: decisions, values in and values out, without Ray."""

from __future__ import annotations

from sweeper.search.draws import DrawnTrial, Origin, count_trials, draw_all, origin_of, params_of
from sweeper.search.driving.attributes import TRIAL_ID
from sweeper.search.earlier import earlier_trials, noted_observations
from sweeper.search.importances import Importance, Importances, importances_of
from sweeper.search.limits import TimeKeeper, TrialTimes, may_begin
from sweeper.search.preview import preview
from sweeper.search.stopping import Rungs, Share, Stopping
from sweeper.search.storage import driven, require_study_storage
from sweeper.search.study import (
    FinishedTrial,
    best_first,
    ended_trials,
    enqueue_again,
    enqueue_failed,
    enqueue_fixed,
    is_exhausted,
    note_revision,
    open_study,
    past_values,
    read_study,
    repeats_note,
    states_by_id,
    trials_in_all,
    trials_left,
    values_left_behind,
)
from sweeper.search.study_errors import using_study
from sweeper.search.suggestions import Suggestion, Suggestions

__all__ = [
    "TRIAL_ID",
    "DrawnTrial",
    "FinishedTrial",
    "Importance",
    "Importances",
    "Origin",
    "Rungs",
    "Share",
    "Stopping",
    "Suggestion",
    "Suggestions",
    "TimeKeeper",
    "TrialTimes",
    "best_first",
    "count_trials",
    "draw_all",
    "driven",
    "earlier_trials",
    "ended_trials",
    "enqueue_again",
    "enqueue_failed",
    "enqueue_fixed",
    "importances_of",
    "is_exhausted",
    "may_begin",
    "note_revision",
    "noted_observations",
    "open_study",
    "origin_of",
    "params_of",
    "past_values",
    "preview",
    "read_study",
    "repeats_note",
    "require_study_storage",
    "states_by_id",
    "trials_in_all",
    "trials_left",
    "using_study",
    "values_left_behind",
]
