"""What varies in a sweep, which alone MLflow gets as parameters.

MLflow's comparison opens on the first three parameters in which runs differ, and draws a run that
lacks one of them at a value that it has not. So a parameter is what the sweep varies on purpose,
every trial has each of them, and what a trial's method does not have is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.sections import read_design
from sweeper.experiment.sections.distributions import find_distributions
from sweeper.experiment.space.epochs import EPOCH_FIELDS
from sweeper.experiment.trial import TrainSpec
from sweeper_adapters.methods import (
    FILE_FIELDS,
    AnyMethodSpec,
    Method,
    kind_of,
    label_of,
    without_running,
)

__all__ = ["NOT_THERE", "Varied", "trial_params", "varied_in"]

NOT_THERE = "n/a"
"""Value of a parameter that a trial's method does not have."""

_METHOD, _SEED = ("method", "name"), ("train", "seed")
_STEPS = ("train", "steps")
_EPOCHS = tuple(("train", name) for name in EPOCH_FIELDS)
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
    with without_running():
        if "design" in content:
            found = _of_design(content)
        elif "trials" in content:
            found = _differing(_entries(content, "trials"))
        else:
            found = _of_search(content)
        return Varied(tuple(dict.fromkeys(map(_of_trial, found))))


def trial_params(spec: Mapping[str, Json], varied: Varied) -> dict[str, str]:
    """Returns the parameters of a trial's run, each of which every trial of the sweep has.

    Args:
        spec: of the trial, as plain JSON.
        varied: what varies in the sweep.
    """
    with without_running():
        whole = {**spec, "method": _whole_method(spec), "train": _whole_train(spec)}
    return {name: _value(whole, path) for path, name in varied.names().items()}


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


def _whole_method(spec: Mapping[str, Json]) -> Document:
    """Returns the fields of a trial's method with those that are not written at their defaults.

    Its name is what it is called: two types of PEFT are two methods.
    """
    written = _branch(dict(spec), "method")
    try:
        whole = dict(TypeAdapter[AnyMethodSpec](Method).validate_python(written).parameters())
    except ValidationError:
        # Of another version.
        whole = {}
    return {**written, **_plain(whole), "name": label_of(written)}


def _whole_train(spec: Mapping[str, Json]) -> Document:
    """Returns the fields of a trial's training with those that are not written."""
    written = _branch(dict(spec), "train")
    try:
        return written | _plain(dict(TrainSpec.model_validate(written)))
    except ValidationError:
        return written


def _plain(fields: Mapping[str, object]) -> Document:
    """Returns values as JSON has them."""
    found: Document = json.loads(json.dumps(fields))
    return found


def _of_trial(path: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the path of a field in a trial's spec, which has steps where a file has epochs."""
    return _STEPS if path in _EPOCHS else path


def _of_search(document: Document) -> Iterable[tuple[str, ...]]:
    entries, train = _entries(document, "methods"), document.get("train")
    if len(entries) > 1:
        yield _METHOD
    for entry in entries:
        for path, _ in find_distributions({"method": entry, "train": train}):
            yield path


def _of_design(document: Document) -> Iterable[tuple[str, ...]]:
    plan, _ = read_design(document)
    if plan is None:
        return ()
    labels = {label_of(_branch(each.entry, "method")) for each in plan.configurations}
    several = [_METHOD] if len(labels) > 1 else []
    factors = [factor.path for factor in plan.factors]
    tuned = [plan.tuned.path] if plan.tuned is not None else []
    entries = [each.entry for each in plan.configurations]
    chosen = [*factors, *tuned] or list(_differing(entries))
    seeds = [_SEED] if len(plan.seeds) > 1 else []
    return dict.fromkeys([*several, *chosen, *seeds])


def _differing(entries: Sequence[Json]) -> Iterable[tuple[str, str]]:
    """Yields the fields that entries set to different values, or that only some of them set."""
    entries = [_labelled(entry) for entry in entries]
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


def _labelled(entry: Json) -> Json:
    """Returns an entry whose method has what it is called in the place of what says so."""
    method = _branch(entry, "method")
    labels: tuple[str, ...] = ("name", *FILE_FIELDS)
    if "python" not in method:
        kind = kind_of(method)
        labels = () if kind is None else kind.label_fields
    if not labels or not isinstance(entry, dict):
        return entry
    rest = {key: value for key, value in method.items() if key not in labels}
    return {**entry, "method": {"name": label_of(method), **rest}}


def _branch(entry: Json, section: str) -> dict[str, Json]:
    found = get_path(entry, (section,))
    return found if isinstance(found, dict) else {}


def _entries(document: Document, key: str) -> list[Json]:
    found = document.get(key)
    return found if isinstance(found, list) else []
