"""The section ``design``: a comparison that is decided before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import get_args

from pydantic import ValidationError

from sweeper._text import count, nearest, shorten
from sweeper.errors import Problem
from sweeper.experiment.design import (
    MOST_TRIALS,
    Arm,
    Configuration,
    Design,
    DesignFile,
    DesignPlan,
    DesignSpec,
    method_of,
)
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.budget import has_budget
from sweeper.experiment.sections.distributions import find_distributions
from sweeper.experiment.trial import TrainSpec
from sweeper_adapters.methods import label_of

__all__ = ["RUN_FIELDS", "expand_design", "read_design"]

RUN_FIELDS = ("max_failures", "prefetch")
"""Fields of ``search`` that say how trials are run, not which: they stand beside a design, too."""


def read_design(document: Document) -> tuple[DesignPlan | None, list[Problem]]:
    """Returns the plan of a document's design, and the problems of the section.

    Args:
        document: without a design there is no plan, and no problem.
    """
    entry = document.get("design")
    if "design" not in document:
        return None, []
    model, problems = _find_model(entry)
    if model is None:
        return None, problems
    try:
        spec = model.model_validate(entry)
    except ValidationError as error:
        return None, problems_of(error, model, under="design")
    arms, problems = _read_arms(document, takes=spec.takes)
    problems += _check_neighbours(document, takes=spec.takes)
    if problems:
        return None, problems
    train = document.get("train")
    is_sized = has_budget(document)
    file = DesignFile(arms, train if isinstance(train, dict) else {}, is_sized)
    problems = [Problem(path, message) for path, message in spec.problems(file)]
    if problems:
        return None, problems
    plan = spec.plan(file)
    problems = list(_check_number(plan))
    return (None, problems) if problems else (plan, list(_find_equals(plan, file.train)))


def expand_design(document: Document, design: DesignPlan) -> Document:
    """Returns a document with the trials of its design in the place of what they are made of.

    Args:
        document: with a design.
        design: what was read of it.
    """
    dropped = {"design", "methods", "trials"}
    rest = {key: value for key, value in document.items() if key not in dropped}
    final = rest.get("final")
    if isinstance(final, dict) or final is None:
        rest["final"] = {**(final or {}), "trials": "all"}
    return {**rest, "trials": [entry for entry, _ in design.trials()]}


def _find_model(entry: Json) -> tuple[type[DesignSpec] | None, list[Problem]]:
    union, *_ = get_args(Design)
    kinds = {str(kind.model_fields["kind"].default): kind for kind in get_args(union)}
    known = ", ".join(kinds)
    if not isinstance(entry, dict):
        message = f"got {shorten(repr(entry))}; give its kind ({known}) and its fields"
        return None, [Problem("design", message)]
    kind = entry.get("kind")
    if kind is None:
        return None, [Problem("design.kind", f"is missing; give one of {known}")]
    if str(kind) not in kinds:
        message = f"unknown value {shorten(repr(kind))}; allowed: {known}"
        return None, [Problem("design.kind", message + nearest(str(kind), list(kinds)))]
    return kinds[str(kind)], []


def _check_neighbours(document: Document, *, takes: str) -> list[Problem]:
    """Returns a problem for each section that cannot stand beside a design."""
    problems = []
    search = document.get("search", {})
    if not isinstance(search, dict) or not search.keys() <= set(RUN_FIELDS):
        message = (
            "stands beside design; a file has one of them: the trials of a design are decided "
            "before it starts, and all run to their end; drop search, or design; only "
            f"{' and '.join(RUN_FIELDS)} of search may stay"
        )
        problems.append(Problem("search", message))
    other = "methods" if takes == "trials" else "trials"
    for key in (other, "baselines"):
        if key in document:
            message = f"stands beside a design that takes its {takes}; drop {key}"
            problems.append(Problem(key, message))
    trials = get_path(document, ("final", "trials"))
    if trials not in (None, "all"):
        message = f"is {shorten(repr(trials))}; a design evaluates all its trials; leave it out"
        problems.append(Problem("final.trials", message))
    train = document.get("train")
    for (section, field), value in find_distributions({"train": train}):
        message = f"is searched ({shorten(value)}); a design searches nothing; {_VARY}"
        problems.append(Problem(f"{section}.{field}", message))
    return problems


_VARY = "give one value, or vary it in design.factors"


def _read_arms(document: Document, *, takes: str) -> tuple[tuple[Arm, ...], list[Problem]]:
    entries = document.get(takes)
    noun = takes.removesuffix("s")
    if not isinstance(entries, list) or not entries:
        message = f"got {shorten(repr(entries))}; the design compares a list of {takes}; give one"
        return (), [Problem(takes, message)]
    arms: list[Arm] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        name = get_path(entry, ("name",))
        if not isinstance(entry, dict) or not isinstance(name, str) or not name:
            message = f"is missing; give the {noun}'s name"
            problems.append(Problem(f"{takes}.{position}.name", message))
            continue
        if takes == "methods":
            name = label_of(entry)
        if name in [arm.name for arm in arms]:
            message = f"{shorten(repr(name))} stands twice; a design lists each {noun} once; {_AS}"
            problems.append(Problem(f"{takes}.{position}.name", message))
            continue
        arm = Arm(name, dict(entry) if takes == "trials" else {"method": entry})
        searched = find_distributions({"method": arm.entry.get("method")})
        for (_, field), value in searched:
            message = f"is searched ({shorten(value)}); a design searches nothing; {_VARY}"
            problems.append(Problem(f"{takes}.{name}.{field}", message))
        arms.append(arm)
    return tuple(arms), problems


_AS = "compare two forms of a method in a design replicate, as trials with names of their own"


def _check_number(plan: DesignPlan) -> Iterator[Problem]:
    """Yields a problem where a design has more trials than a sweep may have."""
    number, seeds = len(plan.configurations), len(plan.seeds)
    if number * seeds > MOST_TRIALS:
        message = (
            f"has {count(number, 'configuration')} × {count(seeds, 'seed')}, which are "
            f"{number * seeds:,} trials; a sweep has at most {MOST_TRIALS:,}; give fewer seeds, or "
            "compare fewer things"
        )
        yield Problem("design", message)


def _content(configuration: Configuration, train: Document) -> str:
    """Returns what a configuration trains as a text, with all defaults where it can be read."""
    said = {"name", "note", "published"}
    entry = {key: value for key, value in configuration.entry.items() if key not in said}
    fields: dict[str, object] = {**entry, "train": {**train, **configuration.train}}
    method = method_of(Arm(configuration.name, configuration.entry))
    if method is not None:
        fields["method"] = method.model_dump(mode="json")
    with suppress(ValidationError):
        fields["train"] = TrainSpec.model_validate(fields["train"]).model_dump(mode="json")
    return json.dumps(fields, sort_keys=True)


def _find_equals(plan: DesignPlan, train: Document) -> Iterator[Problem]:
    """Yields a problem for each configuration that has another one's content or its name."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for found in plan.configurations:
        if found.name in taken:
            message = (
                "is the name of two configurations, which no table could tell apart; give values "
                "that do not read alike, or another name to the trial that has it"
            )
            yield Problem(f"design.{found.name}", message)
            continue
        taken.add(found.name)
        key = _content(found, train)
        other = names.setdefault(key, found.name)
        if other != found.name:
            message = (
                f"is the same as {other}, so that its seeds repeat; a factor that does not vary "
                "has nothing to say; leave one of the two out"
            )
            yield Problem(f"design.{found.name}", message)
