"""Configurations: what trials that differ in nothing but the seed have in common, and its name."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from sweeper._text import shorten, value_text
from sweeper.tracking.record import TrialRecord

__all__ = ["configuration_names", "configuration_of", "seed_of"]

# Characters of one value in a name.
_MAX_VALUE = 40
# Of a trial's parameters: the first two name a configuration, the third differs between its seeds.
_NAMES, _SEED = ("configuration", "trial"), "seed"


def configuration_of(spec: Mapping[str, JsonValue]) -> tuple[str, int]:
    """Returns what names a trial's configuration by its content, and the trial's seed.

    Args:
        spec: of the trial, as plain JSON.
    """
    train = spec.get("train")
    others = dict(train) if isinstance(train, Mapping) else {}
    others.pop(_SEED, None)
    canonical = json.dumps({**spec, "train": others}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest(), seed_of(spec)


def seed_of(spec: Mapping[str, JsonValue]) -> int:
    """Returns a trial's seed; 0 where its spec has none.

    Args:
        spec: of the trial, as plain JSON.
    """
    train = spec.get("train")
    seed = train.get(_SEED, 0) if isinstance(train, Mapping) else 0
    return seed if isinstance(seed, int) else 0


def configuration_names(first: Mapping[str, TrialRecord]) -> dict[str, str]:
    """Returns what a reader calls each configuration: short, and no two alike.

    It is the name that a design or a list gave, else the method's, and the parameters in which
    configurations of that name differ.

    Args:
        first: a trial of each configuration.
    """
    alike: dict[str, list[Mapping[str, JsonValue]]] = {}
    for record in first.values():
        alike.setdefault(_head(record), []).append(record.params)
    differing = {head: _differing(params) for head, params in alike.items()}
    names = {
        key: " ".join([_head(record), *_texts(record.params, differing[_head(record)])])
        for key, record in first.items()
    }
    repeated = Counter(names.values())
    return {
        # What differs is not a parameter, or not in its first digits.
        key: name if repeated[name] == 1 else f"{name} ({first[key].id})"
        for key, name in names.items()
    }


def _head(record: TrialRecord) -> str:
    given = [record.params[name] for name in _NAMES if name in record.params]
    return str(given[0]) if given else record.method


def _differing(params: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    names = dict.fromkeys(name for own in params for name in own)
    return [
        name
        for name in names
        if name not in {*_NAMES, _SEED} and len({_text(own.get(name)) for own in params}) > 1
    ]


def _texts(params: Mapping[str, JsonValue], names: Sequence[str]) -> list[str]:
    return [f"{name}={_text(params[name])}" for name in names if name in params]


def _text(value: JsonValue) -> str:
    return shorten(value_text(value), limit=_MAX_VALUE)
