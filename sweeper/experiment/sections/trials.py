"""The section ``trials``: trials listed one by one, with nothing left to search."""

from __future__ import annotations

from pydantic import ValidationError

from sweeper._text import shorten
from sweeper.errors import Problem
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.documents.tree import Document, Json, get_path, merge_training
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.budget import find_conflicts
from sweeper.experiment.sections.distributions import find_distributions
from sweeper.experiment.sections.keys import COMPARED_ALIKE
from sweeper.experiment.sections.trial_tree import build_trial_tree
from sweeper.experiment.space.listed import DesignedTrial, ListedTrial
from sweeper.experiment.space.space import MethodSpace

__all__ = ["read_designed", "read_trials"]


def read_trials(document: Document) -> tuple[tuple[MethodSpace, ...], list[Problem]]:
    """Returns the spaces of a document's trials, as far as they can be read, and the problems."""
    entries = document["trials"]
    both = [key for key in ("methods", "baselines") if key in document]
    if both:
        message = f"stands beside trials; a file lists trials or searches methods; drop {both[0]}"
        return (), [Problem(both[0], message)]
    if not isinstance(entries, list) or not entries:
        message = f"got {shorten(repr(entries))}; give a list of trials"
        return (), [Problem("trials", f"{message}, each with its 'name' and 'method'")]
    spaces: list[MethodSpace] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name = get_path(entry, ("name",))
        place = f"trials.{name if isinstance(name, str) and name else position}"
        if any(space.name == name for space in spaces):
            problems.append(Problem(f"{place}.name", "stands twice; give each trial its own"))
            continue
        space, found = _read_trial(document, entry, place=place)
        problems += found
        if space is not None:
            spaces.append(space)
    return tuple(spaces), problems


def read_designed(
    document: Document, design: DesignPlan
) -> tuple[tuple[MethodSpace, ...], list[Problem]]:
    """Returns the spaces of a design's trials, as far as they can be read, and the problems.

    Args:
        document: what the trials have in common is taken from it.
        design: of the document.
    """
    spaces: list[MethodSpace] = []
    problems: list[Problem] = []
    for entry, designed in design.trials():
        place = f"design.{designed.configuration}"
        space, found = _read_trial(document, entry, place=place, designed=designed)
        problems += found
        if space is not None:
            spaces.append(space)
    return tuple(spaces), problems


def _read_trial(
    document: Document, entry: Json, *, place: str, designed: DesignedTrial | None = None
) -> tuple[MethodSpace | None, list[Problem]]:
    searched = [
        Problem(
            ".".join((place, *path)),
            f"is searched ({shorten(value)}); nothing of a listed trial is; give one value, or "
            "use methods",
        )
        for path, value in find_distributions(entry)
    ]
    if searched:
        return None, searched
    try:
        listed = ListedTrial.model_validate(entry)
    except ValidationError as error:
        return None, problems_of(error, ListedTrial, under=place)
    method = get_path(entry, ("method",))
    space = MethodSpace(listed.name, _build_tree(document, method, listed), (), listed, designed)
    message = (
        "is of one trial; trials are compared, so it must be one for all of them; put it into the "
        "file's train"
    )
    unlike = [
        Problem(f"{place}.train.{field}", message)
        for field in COMPARED_ALIKE
        if field in listed.train
    ]
    return space, unlike + find_conflicts(document, method, space)


def _build_tree(document: Document, method: Json, listed: ListedTrial) -> Document:
    tree = build_trial_tree(document, method)
    train = tree["train"]
    tree["train"] = merge_training(train if isinstance(train, dict) else {}, listed.train)
    if listed.architecture not in (None, get_path(document, ("model", "architecture"))):
        tree["model"] = {"kind": "architecture", "name": listed.architecture}
    return tree
