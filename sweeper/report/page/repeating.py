"""How a configuration is trained again: a search space, a profile, and a command for each."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sweeper.errors import DamagedFileError
from sweeper.experiment.documents.profiles import PROFILE_KEYS
from sweeper.report.page.subject import Group, Subject

__all__ = ["FILE", "PROFILE_FILE", "Repeats", "repeats_of"]

FILE = "repeat.yaml"
"""What the page calls the search space, which the reader saves."""
PROFILE_FILE = "repeat-profile.yaml"
"""What it calls the profile."""
# Of a sweep's document: what is in the place of a list of trials, or asks for more of them.
_SPACE = {
    *("methods", "trials", "design", "baselines", "budget"),
    # Whoever repeats a configuration is not the one who is told of this sweep.
    *("search", "train", "fresh", "profile", "notify", "paper"),
}
_NO_NAME = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True)
class Repeats:
    """What repeats a sweep's configurations.

    Attributes:
        text: Of the search-space file, with the first of them.
        profile: Of the file of its profile.
        commands: By configuration's name, the command that trains its first seed.
    """

    text: str
    profile: str
    commands: dict[str, str]


def repeats_of(subject: Subject) -> Repeats | None:
    """Returns what repeats each configuration of a sweep; None where its trials cannot be read."""
    found = _specs(subject, subject.groups)
    if not found:
        return None
    rest = {key: x for key, x in subject.folder.document.items() if key not in _SPACE}
    profile = {key: rest.pop(key) for key in PROFILE_KEYS if key in rest}
    name = str(subject.folder.document.get("profile", "repeat"))
    train = _train(found[0][1])
    entries = {group.name: _entry(group, spec, train) for group, spec in found}
    document = {**rest, "train": train, "trials": [entries[found[0][0].name]]}
    return Repeats(
        text=_yaml(document),
        profile=_yaml({"name": name, **profile}),
        commands={name: _command(entry) for name, entry in entries.items()},
    )


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _specs(subject: Subject, groups: Sequence[Group]) -> list[tuple[Group, dict[str, Any]]]:
    found = []
    for group in groups:
        try:
            found.append((group, subject.folder.trial(group.trials[0].id).spec()))
        except DamagedFileError:
            continue
    return [(group, spec) for group, spec in found if {"method", "train"} <= spec.keys()]


def _train(spec: dict[str, Any]) -> dict[str, Any]:
    return dict(spec["train"])


def _entry(group: Group, spec: dict[str, Any], train: dict[str, Any]) -> dict[str, Any]:
    own = _train(spec)
    return {
        "name": _NO_NAME.sub("-", group.name).strip("-_") or "trial",
        "method": spec["method"],
        "train": {
            key: value
            for key, value in own.items()
            if key == "seed" or key not in train or train[key] != value
        },
    }


def _command(entry: dict[str, Any]) -> str:
    value = json.dumps([entry], separators=(", ", ": "))
    files = f"{FILE} --profile {PROFILE_FILE}"
    return f"python -m sweeper run {files} --fresh --set {shlex.quote(f'trials={value}')}"
