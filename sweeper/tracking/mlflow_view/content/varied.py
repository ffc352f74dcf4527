"""What varies in a sweep, which alone MLflow gets as parameters.

MLflow's comparison opens on the first three parameters in which runs differ, and draws a run that
lacks one of them at a value that it has not. So a parameter is what the sweep varies on purpose,
every trial has each of them, and what a trial's method does not have is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.sections import read_design
from sweeper.experiment.sections.distributions import find_distributions

__all__ = ["NOT_THERE", "Varied", "trial_params", "varied_in"]

NOT_THERE = "n/a"
"""Value of a parameter that a trial's method does not have."""

_METHOD, _SEED = ("method", "name"), ("train", "seed")
_SECTIONS = ("method", "train")


@dataclass(frozen=True)
class Varied:
    """The fields in which the trials of a sweep differ on purpose."""

    paths: tuple[tuple[str, ...], ...] = ()
    """Where each stands in a trial's spec."""

    def names(self) -> dict[tuple[str, ...], str]:
        """Returns what MLflow calls each field: its bare name, where only one has it."""
        bare = [_bare(path) for path in self.paths]
        return {
            path: name if bare.count(name) == 1 else ".".join(path)
            for path, name in zip(self.paths, bare, strict=True)
        }


def varied_in(document: Mapping[str, Json]) -> Varied:
    """Returns what varies in a sweep.

    That are the searched fields of a search, the factors of a design, and of trials that are listed
    the fields that they set to different values; the method and the seed where there are several.

    Args:
        document: the resolved sweep; nothing is found where this version cannot read it.
    """
    content: Document = dict(document)
    if "design" in content:
        return Varied(tuple(_of_design(content)))
    if "trials" in content:
        return Varied(tuple(_differing(_entries(content, "trials"))))
    entries, train = _entries(content, "methods"), content.get("train")
    found = dict.fromkeys(
        path
        for entry in entries
        for path, _ in find_distributions({"method": entry, "train": train})
    )
    several = [_METHOD] if len(entries) > 1 else []
    return Varied((*several, *found))


def trial_params(spec: Mapping[str, Json], varied: Varied) -> dict[str, str]:
    """Returns the parameters of a trial's run, each of which every trial of the sweep has.

    Args:
        spec: of the trial, as plain JSON.
        varied: what varies in the sweep.
    """
    return {name: _value(spec, path) for path, name in varied.names().items()}


def _bare(path: tuple[str, ...]) -> str:
    return "method" if path == _METHOD else path[-1]


def _value(spec: Mapping[str, Json], path: tuple[str, ...]) -> str:
    branch = get_path(dict(spec), path[:-1])
    if not isinstance(branch, Mapping) or path[-1] not in branch:
        return NOT_THERE
    value = branch[path[-1]]
    if isinstance(value, float):
        # As many digits as a column shows; all of them are in the trial's spec.json.
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _of_design(document: Document) -> Iterable[tuple[str, ...]]:
    plan, _ = read_design(document)
    if plan is None:
        return ()
    several = [_METHOD] if len({each.method for each in plan.configurations}) > 1 else []
    factors = [factor.path for factor in plan.factors]
    tuned = [plan.tuned.path] if plan.tuned is not None else []
    entries = [each.entry for each in plan.configurations]
    chosen = [*factors, *tuned] or list(_differing(entries))
    seeds = [_SEED] if len(plan.seeds) > 1 else []
    return dict.fromkeys([*several, *chosen, *seeds])


def _differing(entries: Sequence[Json]) -> Iterable[tuple[str, str]]:
    """Yields the fields that entries set to different values, or that only some of them set."""
    paths = dict.fromkeys(
        (section, key)
        for entry in entries
        for section in _SECTIONS
        for key in _branch(entry, section)
    )
    for section, key in paths:
        values = {
            json.dumps(_branch(entry, section).get(key, NOT_THERE), sort_keys=True)
            for entry in entries
        }
        if len(values) > 1:
            yield section, key


def _branch(entry: Json, section: str) -> dict[str, Json]:
    found = get_path(entry, (section,))
    return found if isinstance(found, dict) else {}


def _entries(document: Document, key: str) -> list[Json]:
    found = document.get(key)
    return found if isinstance(found, list) else []
