"""The sections of a search-space file that make its space: methods or trials, baselines, budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from sweeper._text import nearest
from sweeper.errors import Problem
from sweeper.experiment.documents import Document, Json, Scalar, get_path, merge
from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.budget import BUDGETS, Budget, size_fields_of
from sweeper.experiment.space.distributions import DISTRIBUTIONS, Distribution
from sweeper.experiment.space.listed import ListedTrial
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.trial import TrialSpec

__all__ = ["SPACE_KEYS", "space_of"]

SPACE_KEYS = ("methods", "trials", "train", "baselines", "budget")
"""Keys of a file that make its space."""
COMPARED_ALIKE = ("max_length", "bucketing", "evaluations", "eval_examples")
ON_WHAT = ("model", "data", "engine", "evaluation")


def space_of(document: Document) -> tuple[Space, list[Problem]]:
    """Returns the space of a resolved document, as far as it can be read, and its problems."""
    budget, problems = _budget(document.get("budget"))
    read = _listed_trials if "trials" in document else _method_spaces
    methods, found = read(document)
    problems += found
    space = Space(tuple(methods))
    problems += _check_corners(space, known_bad={problem.path for problem in problems})
    if "trials" in document:
        baselines: list[Point] = [{"method": method.name} for method in methods]
    else:
        has_budget = "budget" in document
        baselines, found = _baselines(document.get("baselines"), space, has_budget=has_budget)
        problems += found
    return Space(tuple(methods), tuple(baselines), budget), problems


def _budget(entry: Json) -> tuple[Budget | None, list[Problem]]:
    if entry is None:
        return None, []
    kinds = [kind for kind in BUDGETS if isinstance(entry, dict) and kind in entry]
    if len(kinds) != 1:
        message = f"got {entry!r}; give {{match: lora, rank: 32}}, {{params: 0.52%}} or a number "
        return None, [Problem("budget", message + "of parameters, {params: 42000000}")]
    model = BUDGETS[kinds[0]]
    try:
        return model.model_validate(entry), []
    except ValidationError as error:
        return None, problems_of(error, model, under="budget")


def _sized_twice(document: Document, entry: Json, method: MethodSpace) -> list[Problem]:
    """Returns a problem for each field of a method's entry that sets what the budget sets."""
    if document.get("budget") is None:
        return []
    return [
        Problem(".".join((*method.path, field)), _size_is_set(field, get_path(entry, (field,))))
        for field in size_fields_of(str(get_path(entry, ("name",))))
        if get_path(entry, (field,)) is not None
    ]


def _size_is_set(field: str, value: Json) -> str:
    return (
        f"is {value!r}, but the budget sets it; one of the two sets a method's size; leave "
        f"{field} out, or the budget"
    )


def _listed_trials(document: Document) -> tuple[list[MethodSpace], list[Problem]]:
    entries = document["trials"]
    both = [key for key in ("methods", "baselines") if key in document]
    if both:
        message = f"stands beside trials; a file lists trials or searches methods; drop {both[0]}"
        return [], [Problem(both[0], message)]
    if not isinstance(entries, list) or not entries:
        message = f"got {entries!r}; give a list of trials, each with its 'name' and 'method'"
        return [], [Problem("trials", message)]
    spaces: list[MethodSpace] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name = get_path(entry, ("name",))
        under = f"trials.{name if isinstance(name, str) and name else position}"
        if any(space.name == name for space in spaces):
            problems.append(Problem(f"{under}.name", "stands twice; give each trial its own"))
            continue
        space, found = _listed_trial(document, entry, under)
        problems += found
        if space is not None:
            spaces.append(space)
    return spaces, problems


def _listed_trial(
    document: Document, entry: Json, under: str
) -> tuple[MethodSpace | None, list[Problem]]:
    searched = [
        Problem(
            ".".join((under, *path)),
            f"is searched ({value}); nothing of a listed trial is; give one value, or use methods",
        )
        for path, value in _distributions(entry)
    ]
    if searched:
        return None, searched
    try:
        listed = ListedTrial.model_validate(entry)
    except ValidationError as error:
        return None, problems_of(error, ListedTrial, under=under)
    tree = _tree(document, get_path(entry, ("method",)))
    train = tree["train"]
    tree["train"] = merge(train if isinstance(train, dict) else {}, listed.train)
    if listed.architecture not in (None, get_path(document, ("model", "architecture"))):
        tree["model"] = {"kind": "architecture", "name": listed.architecture}
    space = MethodSpace(listed.name, tree, (), listed)
    alike = [
        Problem(f"{under}.train.{field}", "trials are compared, so it must be one for all of them")
        for field in COMPARED_ALIKE
        if field in listed.train
    ]
    return space, alike + _sized_twice(document, get_path(entry, ("method",)), space)


def _method_spaces(document: Document) -> tuple[list[MethodSpace], list[Problem]]:
    entries = document.get("methods")
    if not isinstance(entries, list) or not entries:
        message = f"got {entries!r}; give a list of methods, each with its 'name'"
        return [], [Problem("methods", message)]
    spaces: list[MethodSpace] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name = get_path(entry, ("name",))
        if not isinstance(name, str):
            problems.append(
                Problem(f"methods.{position}.name", "is missing; give the method's name")
            )
        elif any(space.name == name for space in spaces):
            message = (
                f"{name!r} stands twice; give its alternatives as choices of one entry, or list "
                "each trial under 'trials' in the place of 'methods'"
            )
            problems.append(Problem(f"methods.{position}.name", message))
        else:
            space, found = _method_space(document, entry, name)
            spaces.append(space)
            problems += found
    return spaces, problems


def _method_space(document: Document, entry: Json, name: str) -> tuple[MethodSpace, list[Problem]]:
    tree = _tree(document, entry)
    axes: list[Axis] = []
    problems = _sized_twice(document, entry, MethodSpace(name, tree, ()))
    for path, value in _distributions(tree):
        label = ".".join([name if path[0] == "method" else path[0], *path[1:]])
        place = _file_path(path, MethodSpace(name, tree, ()))
        distribution, found = _distribution(value, place)
        problems += found
        if path[0] == "train" and path[-1] in COMPARED_ALIKE:
            message = "is searched; trials are compared, so it must be one value for all of them"
            problems.append(Problem(place, message))
        if distribution is not None:
            axes.append(Axis(label, path, distribution))
            tree = _without(tree, path)
    return MethodSpace(name, tree, tuple(axes)), problems


def _tree(document: Document, method: Json) -> Document:
    """Returns what a trial of this method has of the document."""
    workers = get_path(document, ("resources", "workers"))
    tree: Document = {
        "method": method,
        "train": document.get("train", {}),
        "workers": 1 if workers is None else workers,
    }
    return tree | {key: document[key] for key in ON_WHAT if key in document}


def _distributions(tree: Json) -> Iterator[tuple[tuple[str, ...], dict[str, Json]]]:
    for section in ("method", "train"):
        branch = get_path(tree, (section,))
        for key, value in branch.items() if isinstance(branch, dict) else ():
            if isinstance(value, dict) and any(kind in value for kind in DISTRIBUTIONS):
                yield (section, key), value


def _distribution(value: dict[str, Json], path: str) -> tuple[Distribution | None, list[Problem]]:
    kinds = [kind for kind in DISTRIBUTIONS if kind in value]
    if len(kinds) > 1:
        return None, [Problem(path, f"is {' and '.join(kinds)} at once; give one of them")]
    model = DISTRIBUTIONS[kinds[0]]
    try:
        distribution = model.model_validate(value)
    except ValidationError as error:
        return None, problems_of(error, model, under=path)
    quoted = [v for v in distribution.candidates() if isinstance(v, str) and _is_number(v)]
    if quoted:
        return None, [Problem(path, f"{quoted[0]!r} is a text; write the number without quotes")]
    return distribution, []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without(tree: Document, path: tuple[str, str] | tuple[str, ...]) -> Document:
    branch = tree[path[0]]
    assert isinstance(branch, dict)
    return {**tree, path[0]: {key: value for key, value in branch.items() if key != path[1]}}


def _file_path(path: tuple[int | str, ...], method: MethodSpace) -> str:
    """Returns where a field of a trial stands in the search-space file."""
    keys = [str(key) for key in path]
    if keys[0] == "method":
        return ".".join((*method.path, *keys[1:]))
    # What the trials have in common, or what a listed one has for itself.
    own = keys[0] == "train" and method.listed is not None and keys[-1] in method.listed.train
    return ".".join((*method.path[:-1], *keys) if own else keys)


def _check_corners(space: Space, *, known_bad: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    for _, point in space.corners():
        try:
            space.trial(point)
        except ValidationError as error:
            method = space.method(str(point["method"]))
            for problem in problems_of(error, TrialSpec):
                path = _file_path(tuple(problem.path.split(".")), method)
                section = path.split(".")[0]
                # The header has already reported these, and an axis that could not be read is
                # missing.
                if section in {*ON_WHAT, "workers"} or path in known_bad:
                    continue
                problems.append(Problem(path, problem.message))
    return problems


def _baselines(
    entries: Json, space: Space, *, has_budget: bool
) -> tuple[list[Point], list[Problem]]:
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        return [], [Problem("baselines", f"got {entries!r}; give a list of trials")]
    points: list[Point] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        point, found = _baseline(entry, space, under=f"baselines.{position}", sized=has_budget)
        points.append(point)
        problems += found
    return points, problems


def _baseline(entry: Json, space: Space, *, under: str, sized: bool) -> tuple[Point, list[Problem]]:
    names = [method.name for method in space.methods]
    name = get_path(entry, ("method", "name")) or (names[0] if len(names) == 1 else None)
    if name not in names:
        message = f"unknown value {name!r}; allowed: {', '.join(names)}{nearest(str(name), names)}"
        return {}, [Problem(f"{under}.method.name", message)]
    method = space.method(str(name))
    point: Point = {"method": method.name}
    problems: list[Problem] = []
    for path, value in _leaves(entry):
        if path == ("method", "name"):
            continue
        axis = next((axis for axis in method.axes if axis.path == path), None)
        where = ".".join((under, *path))
        if sized and path[0] == "method" and path[-1] in size_fields_of(method.name):
            problems.append(Problem(where, _size_is_set(path[-1], value)))
        elif axis is None:
            known = [".".join(axis.path) for axis in method.axes]
            message = f"is not searched for {name}; searched: {', '.join(known)}"
            problems.append(Problem(where, message + nearest(".".join(path), known)))
        elif not isinstance(value, Scalar) or not axis.distribution.contains(value):
            space_text = axis.distribution.model_dump(mode="json", by_alias=True)
            message = f"got {value!r}, which {space_text} does not hold"
            problems.append(Problem(where, message + "; widen the space or change the baseline"))
        else:
            point[axis.name] = value
    return point, problems


def _leaves(tree: Json, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Json]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, tree
