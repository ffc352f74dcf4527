"""Whether the points of a space are trials, and whether the profile can run these."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from sweeper.errors import Problem
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.keys import TRIAL_KEYS
from sweeper.experiment.space.space import Space
from sweeper.experiment.trial import TrialSpec
from sweeper_adapters.methods import EngineFacts

__all__ = ["check_fit", "check_trials"]


def check_trials(space: Space, *, known: Iterable[Problem]) -> list[Problem]:
    """Returns what keeps points of a space from being trials, each axis tried at all its values.

    Args:
        space: without its budget, as no size is needed here.
        known: problems of the sections; what follows from one of them is not told again.
    """
    # The header has told these already.
    told_by_header = {*TRIAL_KEYS, "workers"}
    # A distribution that could not be read is missing from the trial.
    known_places = {problem.path for problem in known}
    problems: list[Problem] = []
    for _, point in space.corners():
        try:
            space.trial(point)
        except ValidationError as error:
            method = space.method(str(point["method"]))
            for problem in problems_of(error, TrialSpec):
                place = method.place(problem.path.split("."))
                if place.split(".")[0] not in told_by_header and place not in known_places:
                    problems.append(Problem(place, problem.message))
    return problems


def check_fit(space: Space, *, has_gpu: bool) -> list[Problem]:
    """Returns what fits neither model nor engine, like sharing over more layers than there are.

    Args:
        space: of trials that can be read.
        has_gpu: whether a worker has a GPU.
    """
    problems: list[Problem] = []
    for _, point in space.corners():
        trial, method = space.trial(point), space.method(str(point["method"]))
        shape = trial.model.shape()
        engine = EngineFacts(
            zero_stage=trial.engine.zero_stage,
            workers=trial.workers,
            precision=trial.engine.precision,
            has_gpu=has_gpu,
            batch_size=trial.train.batch_size,
        )
        found = [*trial.method.problems(shape), *trial.method.engine_problems(engine)]
        problems += [Problem(method.place(("method", field)), text) for field, text in found]
        if space.budget is not None and not trial.model.facts().are_layers_alike:
            text = (
                "the layers of the model are not all alike, so that sizes cannot be computed from "
                "a budget; give each method its size, and leave out the budget"
            )
            problems.append(Problem("budget", text))
        elif space.budget is not None:
            found = list(space.budget.problems(trial.method, shape))
            problems += [Problem(f"budget.{field}", text) for field, text in found]
    return problems
