"""The header: all keys of a document that do not make its space."""

from __future__ import annotations

from pydantic import ValidationError

from sweeper._text import nearest, shorten
from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.keys import SPACE_KEYS
from sweeper.experiment.sweep import SweepSpec

__all__ = ["read_header"]


def read_header(document: Document) -> tuple[SweepSpec | None, list[Problem]]:
    """Returns the header of a document, None where it cannot be read, and its problems."""
    header = _cut_header(document)
    try:
        return SweepSpec.model_validate(header), []
    except ValidationError as error:
        found = problems_of(error, SweepSpec)
        return None, [_add_space_keys(problem, header) for problem in found]


def _cut_header(document: Document) -> Document:
    """Returns what is not the space; a list of trials is run whole and without early stopping."""
    header = {key: value for key, value in document.items() if key not in SPACE_KEYS}
    trials, search = document.get("trials"), header.get("search", {})
    if isinstance(trials, list) and isinstance(search, dict):
        header["search"] = {"trials": max(1, len(trials)), "asha": None, **search}
    return header


def _add_space_keys(problem: Problem, header: Document) -> Problem:
    """Returns the problem; where a key of the file is unknown, the space's are named as known."""
    if problem.path not in header or not problem.message.startswith("unknown field"):
        return problem
    known = sorted([*SweepSpec.model_fields, *SPACE_KEYS])
    text = f"unknown field {shorten(repr(problem.path))}; known: {', '.join(known)}"
    return Problem(problem.path, text + nearest(problem.path, known))
