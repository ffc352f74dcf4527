"""Whether the points of a space are trials, and whether the profile can run these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from sweeper._text import shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import Json
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.keys import COMPARED_ALIKE, TRIAL_KEYS
from sweeper.experiment.space.distributions import DISTRIBUTIONS
from sweeper.experiment.space.space import MethodSpace, Point, Space
from sweeper.experiment.space.tries import MOST, points_to_try
from sweeper.experiment.trial import TrialSpec
from sweeper.models.shapes import injection_problem
from sweeper_adapters.methods import EngineFacts, ModelShape

__all__ = ["check_combinations", "check_fit", "check_trials", "require_trial"]

# Sizing a point to a budget takes as long as checking some tens of it.
_MOST_SIZED = 50


def check_trials(space: Space, *, known: Iterable[Problem]) -> list[Problem]:
    """Returns what keeps points of a space from being trials, each axis tried at all its values.

    Args:
        space: without its budget, as no size is needed here.
        known: problems of the sections; what follows from one of them is not told again.
    """
    # The header has told these already.
    told_by_header = {*TRIAL_KEYS, "workers", "objective"}
    # A distribution that could not be read is missing from the trial.
    known_places = {place for problem in known for place in (problem.path, _drawn(problem.path))}
    problems: list[Problem] = []
    for _, point in space.corners():
        try:
            space.trial(point)
        except ValidationError as error:
            problems += [
                problem
                for problem in _problems_at(error, space.method(str(point["method"])))
                if problem.path.split(".")[0] not in told_by_header
                and problem.path not in known_places
            ]
    return problems


def _drawn(path: str) -> str:
    """Returns the field whose distribution a path is a part of; of another one the path itself."""
    keys = path.split(".")
    at = next((at for at, key in enumerate(keys) if key in {*DISTRIBUTIONS, "step"}), len(keys))
    return ".".join(keys[:at])


def check_fit(space: Space, *, has_gpu: bool) -> list[Problem]:
    """Returns what fits neither model nor engine, like sharing over more layers than there are.

    Args:
        space: of trials that can be read.
        has_gpu: whether a worker has a GPU.
    """
    problems: list[Problem] = []
    tried: set[tuple[object, ...]] = set()
    for _, point in space.corners():
        trial, method = space.trial(point), space.method(str(point["method"]))
        shape = trial.model.shape()
        found = [*_misfits(trial, method, shape, has_gpu=has_gpu)]
        found = found or _unplaced(trial, method, tried)
        problems += [x for x in found if method.designed is None or _is_new(x, trial, tried)]
        if space.budget is not None and not trial.model.facts().are_layers_alike:
            text = (
                "the layers of the model are not all alike, so that sizes cannot be computed from "
                "a budget; give each method its size, and leave out the budget: --set budget=null"
            )
            problems.append(Problem("budget", text))
        elif space.budget is not None and not trial.method.is_counted_by_shape:
            text = (
                f"cannot be that of {trial.method.label}, whose parameters are not counted on "
                "linear layers; leave the method out, or the budget"
            )
            problems.append(Problem("budget", text))
        elif space.budget is not None and (text := trial.method.why_not_sized(shape)):
            problems.append(Problem("budget", text))
        elif space.budget is not None:
            sizes = space.budget.problems(trial.method, shape)
            problems += [Problem(f"budget.{field}", text) for field, text in sizes]
    return problems


def check_combinations(space: Space, *, has_gpu: bool) -> list[Problem]:
    """Returns what keeps points from being run in which several fields do not go together.

    Of each method some hundred combinations are tried; the first one that fails at a place is told.

    Args:
        space: each value of an axis is right by itself.
        has_gpu: whether a worker has a GPU.
    """
    most = MOST if space.budget is None else _MOST_SIZED
    problems: dict[str, Problem] = {}
    for method in space.methods:
        if len(method.axes) < 2:
            continue
        tried = Space((method,), budget=space.budget, prior=space.prior)
        shape = tried.any_trial().model.shape()
        for point in points_to_try(method, most=most):
            for problem in _faults(tried, point, shape, has_gpu=has_gpu):
                where = f"it is so at {_describe(point, method)}, which the space holds"
                message = f"{problem.message}; {where}; drop values that do not go together"
                problems.setdefault(problem.path, Problem(problem.path, message))
    return list(problems.values())


def require_trial(space: Space, point: Mapping[str, Json]) -> TrialSpec:
    """Returns the trial at a point.

    Args:
        space: checked before, in which combinations of fields may be wrong all the same.
        point: complete.

    Raises:
        SpecError: the point is no trial, or none that the model can have.
    """
    method = space.method(str(point["method"]))
    try:
        trial = space.trial(point)
    except ValidationError as error:
        raise SpecError("a point of the space", list(_problems_at(error, method))) from error
    misfits = list(_misfits(trial, method, trial.model.shape(), has_gpu=None))
    if misfits:
        raise SpecError("a point of the space", misfits)
    return trial


def _faults(
    space: Space, point: Mapping[str, Json], shape: ModelShape, *, has_gpu: bool
) -> Iterator[Problem]:
    method = space.method(str(point["method"]))
    try:
        trial = space.trial(point)
    except ValidationError as error:
        yield from _problems_at(error, method)
    else:
        yield from _misfits(trial, method, shape, has_gpu=has_gpu)


def _problems_at(error: ValidationError, method: MethodSpace) -> Iterator[Problem]:
    is_search = method.listed is None and method.designed is None
    for problem in problems_of(error, TrialSpec, is_searchable=_may_vary if is_search else None):
        yield Problem(method.place(problem.path.split(".")), problem.message)


def _may_vary(path: str) -> bool:
    """Returns whether a field of a trial may be searched: not what all trials have alike."""
    section, _, field = path.partition(".")
    return section in {"method", "train"} and field not in COMPARED_ALIKE


def _misfits(
    trial: TrialSpec, method: MethodSpace, shape: ModelShape, *, has_gpu: bool | None
) -> Iterator[Problem]:
    found = trial.method.problems(shape)
    if has_gpu is not None:
        engine = EngineFacts(
            zero_stage=trial.engine.zero_stage,
            workers=trial.workers,
            precision=trial.engine.precision,
            has_gpu=has_gpu,
            batch_size=trial.train.batch_size,
            steps=trial.train.steps,
        )
        found = [*found, *trial.method.engine_problems(engine)]
    for field, text in found:
        yield Problem(method.place(("method", field)), text)


def _is_new(problem: Problem, trial: TrialSpec, tried: set[tuple[object, ...]]) -> bool:
    """Whether no other configuration of the same method of a design has had a problem before.

    Configurations of a method may differ in the learning rate alone.
    """
    key = (trial.method.label, problem.path.rpartition(".")[2], problem.message)
    is_new = key not in tried
    tried.add(key)
    return is_new


def _unplaced(
    trial: TrialSpec, method: MethodSpace, tried: set[tuple[object, ...]]
) -> list[Problem]:
    """Returns why a method's adapters cannot be put where its targets say.

    Args:
        trial: that has no other misfit.
        method: of the trial.
        tried: methods with their targets that were put into the model; this one is added.
    """
    targets = getattr(trial.method, "targets", None)
    key = (trial.model.model_dump_json(), trial.method.label, targets)
    if key in tried or trial.method.changes_base:
        return []
    tried.add(key)
    text = injection_problem(trial.model.config(), trial.method)
    field = "name" if targets is None else "targets"
    return [Problem(method.place(("method", field)), text)] if text else []


def _describe(point: Point, method: MethodSpace) -> str:
    values = (f"{axis.path[-1]} {shorten(point[axis.name], limit=60)}" for axis in method.axes)
    return shorten(", ".join(values), limit=300)
