"""The section ``baselines``: points of the space that are run before any other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sweeper._text import nearest, shorten
from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.sections.budget import describe_conflict
from sweeper.experiment.space.budget import fields_set_by
from sweeper.experiment.space.space import Axis, MethodSpace, Point
from sweeper_adapters.methods import kind_of, label_of

__all__ = ["read_baselines"]


def read_baselines(
    document: Document, methods: Sequence[MethodSpace]
) -> tuple[tuple[Point, ...], list[Problem]]:
    """Returns the baselines of a document, as far as they can be read, and their problems.

    Args:
        document: of a list of trials each one is a baseline.
        methods: what was read of the document's methods or trials.
    """
    if "trials" in document:
        return tuple({"method": method.name} for method in methods), []
    entries = document.get("baselines")
    if entries is None:
        return (), []
    if not isinstance(entries, list):
        return (), [Problem("baselines", f"got {shorten(repr(entries))}; give a list of trials")]
    points: list[Point] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        place = f"baselines.{position}"
        point, found = _read_baseline(entry, methods, place=place, budget=document.get("budget"))
        points.append(point)
        problems += found
    return tuple(points), problems


def _read_baseline(
    entry: Json, methods: Sequence[MethodSpace], *, place: str, budget: Json
) -> tuple[Point, list[Problem]]:
    names = [method.name for method in methods]
    own = get_path(entry, ("method",))
    name = names[0] if len(names) == 1 else None
    if isinstance(own, dict) and own.get("name"):
        name = label_of(own)
    method = next((method for method in methods if method.name == name), None)
    if method is None:
        message = f"unknown value {shorten(repr(name))}; allowed: {', '.join(names)}"
        return {}, [Problem(f"{place}.method.name", message + nearest(str(name), names))]
    point: Point = {"method": method.name}
    problems: list[Problem] = []
    sized = fields_set_by(budget, method.tree["method"])
    kind = kind_of(method.tree["method"])
    naming = [("method", field) for field in (kind.label_fields if kind else ("name",))]
    searched = {axis.path for axis in method.axes}
    for path, value in _iterate_leaves(entry, searched=searched):
        if path in naming:
            continue
        axis = next((axis for axis in method.axes if axis.path == path), None)
        if path[:1] == ("method",) and path[-1] in sized:
            message = describe_conflict(path[-1], value, entry=method.tree["method"])
        elif axis is None:
            message = _describe_unsearched(path, method)
        elif not axis.distribution.contains(value):
            message = _describe_outside(value, axis)
        else:
            point[axis.name] = value
            continue
        problems.append(Problem(".".join((place, *path)), message))
    return point, problems


def _describe_unsearched(path: tuple[str, ...], method: MethodSpace) -> str:
    known = [".".join(axis.path) for axis in method.axes]
    message = f"is not searched for {method.name}; searched: {', '.join(known)}"
    return message + nearest(".".join(path), known)


def _describe_outside(value: Json, axis: Axis) -> str:
    held = shorten(axis.distribution.model_dump(mode="json", by_alias=True))
    got = shorten(repr(value))
    return f"got {got}, which {held} does not hold; widen the space or change the baseline"


def _iterate_leaves(
    tree: Json, path: tuple[str, ...] = (), *, searched: Collection[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yields path and value of all that has no branches; of what is searched, a branch as it is."""
    if isinstance(tree, dict) and path not in searched:
        for key, value in tree.items():
            yield from _iterate_leaves(value, (*path, key), searched=searched)
    else:
        yield path, tree
