"""The section ``methods``: methods to search, each with fields that have distributions."""

from __future__ import annotations

from sweeper._text import shorten
from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.sections.budget import find_conflicts
from sweeper.experiment.sections.distributions import find_distributions, read_distribution
from sweeper.experiment.sections.keys import COMPARED_ALIKE
from sweeper.experiment.sections.trial_tree import build_trial_tree
from sweeper.experiment.space.space import Axis, MethodSpace
from sweeper_adapters.methods import kind_of, label_of

__all__ = ["read_methods"]


def read_methods(document: Document) -> tuple[tuple[MethodSpace, ...], list[Problem]]:
    """Returns the spaces of a document's methods, as far as they can be read, and the problems."""
    entries = document.get("methods")
    if not isinstance(entries, list) or not entries:
        message = f"got {shorten(repr(entries))}; give a list of methods, each with its 'name'"
        return (), [Problem("methods", message)]
    spaces: dict[str, MethodSpace] = {}
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name, place = get_path(entry, ("name",)), f"methods.{position}.name"
        if not isinstance(name, str) or not isinstance(entry, dict):
            problems.append(Problem(place, "is missing; give the method's name"))
            continue
        # Of the entries that are told apart by more than a name each is a method of its own.
        name = label_of(entry)
        if searched := _find_searched_naming(entry):
            text = "is searched; each one is a method of its own: give each an entry of its own"
            problems += [Problem(f"methods.{position}.{field}", text) for field in searched]
        elif name in spaces:
            message = (
                f"{shorten(repr(name))} stands twice; give its alternatives as choices of one "
                "entry, or list each trial under 'trials' in the place of 'methods'"
            )
            problems.append(Problem(place, message))
        else:
            spaces[name], found = _read_method(document, entry, name)
            problems += found
    return tuple(spaces.values()), problems


def _find_searched_naming(entry: Document) -> list[str]:
    """Returns the fields that say which method it is, and have a distribution."""
    kind = kind_of(entry)
    searched = {field for (_, field), _ in find_distributions({"method": entry})}
    return [field for field in (kind.label_fields if kind else ()) if field in searched]


def _read_method(document: Document, entry: Json, name: str) -> tuple[MethodSpace, list[Problem]]:
    tree = build_trial_tree(document, entry)
    space = MethodSpace(name, tree, ())
    axes: list[Axis] = []
    problems = find_conflicts(document, entry, space)
    for (section, field), value in find_distributions(tree):
        path = (section, field)
        place = space.place(path)
        distribution, found = read_distribution(value, place=place)
        problems += found
        if section == "train" and field in COMPARED_ALIKE:
            message = "is searched; trials are compared, so it must be one value for all of them"
            problems.append(Problem(place, message))
        if distribution is not None:
            owner = name if section == "method" else section
            axes.append(Axis(f"{owner}.{field}", path, distribution))
            tree = _cut(tree, path)
    return MethodSpace(name, tree, tuple(axes)), problems


def _cut(tree: Document, path: tuple[str, str]) -> Document:
    branch = tree[path[0]]
    assert isinstance(branch, dict)
    return {**tree, path[0]: {key: value for key, value in branch.items() if key != path[1]}}
