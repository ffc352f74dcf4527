"""What finished trials say: found, ranked, compared, looked into."""

from __future__ import annotations

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.lookup import FoundTrial, find_trial
from sweeper.analysis.ranking import Ranking, rank, rank_sweep
from sweeper.analysis.score_table import score_table
from sweeper.analysis.trial_evaluation import EvaluationRequest, TrialEvaluation, evaluate_trial

__all__ = [
    "EvaluationRequest",
    "FoundTrial",
    "Ranking",
    "TrialEvaluation",
    "conclusions_of",
    "evaluate_trial",
    "find_trial",
    "rank",
    "rank_sweep",
    "score_table",
]
