"""Which keys of a document are of the space, and which are of each trial."""

from __future__ import annotations

__all__ = ["COMPARED_ALIKE", "SPACE_KEYS", "TRIAL_KEYS"]

SPACE_KEYS = ("methods", "trials", "design", "train", "baselines", "budget")
"""Keys of a document that make its space; the others are its header."""
TRIAL_KEYS = ("model", "data", "engine", "evaluation")
"""Keys of the header that each trial has, too, with the same value."""
COMPARED_ALIKE = ("max_length", "bucketing", "evaluations", "eval_examples", "callbacks")
"""Fields of training that have one value for all trials, since trials are compared."""
