"""The section ``budget``, and what no other section may set beside it."""

from __future__ import annotations

from pydantic import ValidationError

from sweeper._text import shorten
from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.budget import BUDGETS, Budget, fields_set_by
from sweeper.experiment.space.space import MethodSpace
from sweeper_adapters.methods import kind_of

__all__ = ["describe_conflict", "find_conflicts", "has_budget", "read_budget"]


def read_budget(document: Document) -> tuple[Budget | None, list[Problem]]:
    """Returns the budget of a document, None where it has none, and the budget's problems."""
    if not has_budget(document):
        return None, []
    entry = document["budget"]
    kinds = [kind for kind in BUDGETS if isinstance(entry, dict) and kind in entry]
    if len(kinds) != 1:
        message = f"got {shorten(repr(entry))}; give {{match: lora, rank: 32}}, {{params: 0.52%}} "
        return None, [Problem("budget", message + "or a number of parameters, {params: 42000000}")]
    model = BUDGETS[kinds[0]]
    try:
        return model.model_validate(entry), []
    except ValidationError as error:
        return None, problems_of(error, model, under="budget")


def has_budget(document: Document) -> bool:
    """Returns whether a document gives a budget, be it one that can be read or not."""
    return document.get("budget") is not None


def find_conflicts(document: Document, entry: Json, space: MethodSpace) -> list[Problem]:
    """Returns a problem for each field that a method sets and the budget sets, too.

    Args:
        document: with the budget, if there is one.
        entry: the method in the document.
        space: what was made of the entry.
    """
    if not has_budget(document):
        return []
    return [
        Problem(space.place(("method", field)), describe_conflict(field, value, entry=entry))
        for field in fields_set_by(document["budget"], entry)
        if (value := get_path(entry, (field,))) is not None
    ]


def describe_conflict(field: str, value: Json, *, entry: Json) -> str:
    """Returns the message about a field that has a value although the budget sets it.

    Args:
        field: of the method.
        value: that it has.
        entry: the method in the document.
    """
    rule, other = "sets a method's size", "the budget"
    kind = kind_of(entry)
    scales: tuple[str | None, ...] = ()
    if kind is not None and isinstance(entry, dict):
        scales = (kind.scale_field_of(entry), *kind.scale_fields)
    if field in scales:
        rule, other = "sets its scale", "budget.alpha_per_rank"
    return (
        f"is {shorten(repr(value))}, but the budget sets it; one of the two {rule}; "
        f"leave {field} out, or {other}"
    )
