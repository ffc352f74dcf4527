"""From files to a checked sweep: every problem at once, nothing started before all is well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from sweeper._base import Spec
from sweeper.data import DataSpec
from sweeper.distributions import DISTRIBUTIONS, Distribution, Scalar
from sweeper.documents import Document, apply_override, merge, nearest, read_yaml
from sweeper.errors import Problem, SpecError
from sweeper.models import ModelSpec
from sweeper.problems import problems_of
from sweeper.space import Axis, Json, MethodSpace, Point, Space, get_path
from sweeper.spec import (
    EngineSpec,
    ObjectiveSpec,
    ResourcesSpec,
    SearchSpec,
    TrialSpec,
)

__all__ = ["Sweep", "SweepSpec", "build_sweep", "load_sweep", "resolve_document"]

PROFILES = "profiles"
COMPARED_ALIKE = ("max_length", "evaluations", "eval_examples")


class SweepSpec(Spec):
    """A sweep without its space: on what it runs and how it searches."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the search space; the sweep's folder and its MLflow run start with it."""
    description: str = ""
    """One line for ``plan``."""
    profile: str = Field(min_length=1)
    """Name of the profile, or path of its file."""
    model: ModelSpec
    """The frozen base model (from the profile)."""
    data: DataSpec
    """Training and evaluation data (from the profile)."""
    engine: EngineSpec = EngineSpec()
    """DeepSpeed (from the profile)."""
    resources: ResourcesSpec = ResourcesSpec()
    """What a replica takes (from the profile)."""
    objective: ObjectiveSpec = ObjectiveSpec()
    """What is optimised."""
    search: SearchSpec = SearchSpec()
    """How the space is searched."""


@dataclass(frozen=True)
class Sweep:
    """A sweep, checked and complete."""

    spec: SweepSpec
    space: Space
    document: Document
    """The resolved document: :func:`build_sweep` makes the same sweep of it."""


SPACE_KEYS = ("methods", "train", "baselines")


def load_sweep(path: Path, *, profile: str | None = None, overrides: Sequence[str] = ()) -> Sweep:
    """Returns the sweep that a search-space file describes.

    Args:
        path: the search-space file.
        profile: name or path of a profile; the file's own ``profile`` where None.
        overrides: ``path=value`` each, applied last.

    Raises:
        SpecError: with all problems found.
    """
    document = resolve_document(path, profile=profile, overrides=overrides)
    return build_sweep(document, source=f"{path} with profile {document['profile']}")


def resolve_document(
    path: Path, *, profile: str | None = None, overrides: Sequence[str] = ()
) -> Document:
    """Returns the file's fields over those of its profile, with the overrides applied."""
    document = read_yaml(path)
    chosen = profile or document.get("profile") or "embedded"
    profile_path = _find_profile(path, str(chosen))
    base = read_yaml(profile_path)
    own = [key for key in ("model", "data", "engine", "resources") if key in document]
    if own:
        message = "belongs to a profile, not to a search space; move it, or use --set"
        raise SpecError(str(path), [Problem(key, message) for key in own])
    name = base.pop("name", profile_path.stem)
    base.pop("description", None)
    document = merge(base, {**document, "profile": name})
    for override in overrides:
        document = apply_override(document, override)
    return document


def _find_profile(space: Path, profile: str) -> Path:
    if Path(profile).suffix in {".yaml", ".yml"}:
        return Path(profile)
    # The last one is in an installed wheel; in a checkout it is not there.
    packaged = Path(__file__).parent / "search_spaces"
    folders = [parent / PROFILES for parent in (space.parent, space.parent.parent, packaged)]
    for folder in folders:
        if (folder / f"{profile}.yaml").is_file():
            return folder / f"{profile}.yaml"
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    message = f"no profile {profile!r}; known: {', '.join(known)}{nearest(profile, known)}"
    raise SpecError("profile", [Problem("", message)])


def build_sweep(document: Document, *, source: str) -> Sweep:
    """Returns the sweep of a resolved document.

    Raises:
        SpecError: with all problems found.
    """
    problems: list[Problem] = []
    spec: SweepSpec | None = None
    header = {key: value for key, value in document.items() if key not in SPACE_KEYS}
    try:
        spec = SweepSpec.model_validate(header)
    except ValidationError as error:
        problems += [_with_space_keys(problem, header) for problem in problems_of(error, SweepSpec)]
    methods, found = _method_spaces(document)
    problems += found
    space = Space(tuple(methods))
    problems += _check_corners(space, known_bad={problem.path for problem in problems})
    baselines, found = _baselines(document.get("baselines"), space)
    problems += found
    if spec is not None and not problems:
        problems += _against_model(space, spec)
    if problems or spec is None:
        raise SpecError(source, _distinct(problems))
    return Sweep(spec, Space(tuple(methods), tuple(baselines)), document)


def _with_space_keys(problem: Problem, header: Document) -> Problem:
    if problem.path not in header or not problem.message.startswith("unknown field"):
        return problem
    known = sorted([*SweepSpec.model_fields, *SPACE_KEYS])
    text = f"unknown field {problem.path!r}; known: {', '.join(known)}"
    return Problem(problem.path, text + nearest(problem.path, known))


def _method_spaces(document: Document) -> tuple[list[MethodSpace], list[Problem]]:
    entries = document.get("methods")
    if not isinstance(entries, list) or not entries:
        message = f"got {entries!r}; give a list of methods, each with its 'name'"
        return [], [Problem("methods", message)]
    spaces: list[MethodSpace] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            problems.append(
                Problem(f"methods.{position}.name", "is missing; give the method's name")
            )
        elif any(space.name == name for space in spaces):
            message = f"{name!r} stands twice; give its alternatives as choices of one entry"
            problems.append(Problem(f"methods.{position}.name", message))
        else:
            space, found = _method_space(document, entry, name)
            spaces.append(space)
            problems += found
    return spaces, problems


def _method_space(document: Document, entry: Json, name: str) -> tuple[MethodSpace, list[Problem]]:
    resources = document.get("resources")
    workers = resources.get("workers", 1) if isinstance(resources, dict) else 1
    tree: Document = {"method": entry, "train": document.get("train", {}), "workers": workers}
    tree |= {key: document[key] for key in ("model", "data", "engine") if key in document}
    axes: list[Axis] = []
    problems: list[Problem] = []
    for path, value in _distributions(tree):
        label = ".".join([name if path[0] == "method" else path[0], *path[1:]])
        distribution, found = _distribution(value, _file_path(path, name))
        problems += found
        if path[0] == "train" and path[-1] in COMPARED_ALIKE:
            message = "is searched; trials are compared, so it must be one value for all of them"
            problems.append(Problem(_file_path(path, name), message))
        if distribution is not None:
            axes.append(Axis(label, path, distribution))
            tree = _without(tree, path)
    return MethodSpace(name, tree, tuple(axes)), problems


def _distributions(tree: Document) -> list[tuple[tuple[str, ...], dict[str, Json]]]:
    found: list[tuple[tuple[str, ...], dict[str, Json]]] = []
    for section in ("method", "train"):
        branch = tree.get(section)
        for key, value in branch.items() if isinstance(branch, dict) else ():
            if isinstance(value, dict) and any(kind in value for kind in DISTRIBUTIONS):
                found.append(((section, key), value))
    return found


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


def _file_path(path: tuple[int | str, ...], method: str) -> str:
    """Returns where a field of a trial stands in the search-space file."""
    keys = [str(key) for key in path]
    return ".".join([*(("methods", method) if keys[0] == "method" else (keys[0],)), *keys[1:]])


def _check_corners(space: Space, *, known_bad: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    for _, point in space.corners():
        try:
            space.trial(point)
        except ValidationError as error:
            method = str(point["method"])
            for problem in problems_of(error, TrialSpec):
                path = _file_path(tuple(problem.path.split(".")), method)
                section = path.split(".")[0]
                # The header has already reported these, and an axis that could not be read is
                # missing.
                if section in {"model", "data", "engine", "workers"} or path in known_bad:
                    continue
                problems.append(Problem(path, problem.message))
    return problems


def _baselines(entries: Json, space: Space) -> tuple[list[Point], list[Problem]]:
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        return [], [Problem("baselines", f"got {entries!r}; give a list of trials")]
    points: list[Point] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        point, found = _baseline(entry, space, under=f"baselines.{position}")
        points.append(point)
        problems += found
    return points, problems


def _baseline(entry: Json, space: Space, *, under: str) -> tuple[Point, list[Problem]]:
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
        if axis is None:
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


def _against_model(space: Space, spec: SweepSpec) -> list[Problem]:
    """Returns what does not fit the model, like sharing over more layers than it has."""
    shape = spec.model.shape()
    problems: list[Problem] = []
    for _, point in space.corners():
        trial = space.trial(point)
        problems += [
            Problem(f"methods.{trial.method.name}.{field}", message)
            for field, message in trial.method.problems(shape)
        ]
    return problems


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
