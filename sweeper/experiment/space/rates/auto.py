"""``train.learning_rate: auto``: each trial has the rate that is expected to be best for it.

A trial has a number: its rate is made of its method in its size, and of the model, when the trial
is made. By that number the trial is named.
"""

from __future__ import annotations

from sweeper.experiment.documents.tree import Document, Json, get_path, set_path
from sweeper.experiment.space.rates.prior import RatePrior
from sweeper.experiment.trial import TrialSpec

__all__ = ["AUTO", "is_auto", "with_expected_rate", "with_stand_in"]

AUTO = "auto"
"""What stands in the place of a learning rate."""
_RATE = ("train", "learning_rate")
# A trial is read before its rate is known: of its method and its size.
_STAND_IN = 1e-3


def is_auto(tree: Json) -> bool:
    """Returns whether a trial's tree leaves its learning rate to the prior."""
    return get_path(tree, _RATE) == AUTO


def with_stand_in(tree: Document) -> Json:
    """Returns a trial's tree with a number in the place of ``auto``, else as it is."""
    return set_path(tree, _RATE, _STAND_IN) if is_auto(tree) else tree


def with_expected_rate(trial: TrialSpec, prior: RatePrior) -> TrialSpec:
    """Returns a trial with the rate that is expected to be best for it.

    Args:
        trial: its method in the size that is trained.
        prior: which expects it.
    """
    found = prior.expected(trial.method, trial.model.shape())
    train = trial.train.model_copy(update={"learning_rate": found.rate})
    return trial.model_copy(update={"train": train})
