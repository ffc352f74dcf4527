"""The data of a sweep as MLflow's dataset inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from pydantic import JsonValue

__all__ = ["CONTEXT", "DataInput", "data_inputs"]

# Limits of MLflow's store (mlflow/utils/validation.py): 500 characters of a name, 36 of a digest.
_MAX_NAME, _DIGEST = 200, 32

CONTEXT = "training"
"""What it was used for, a word of MLflow's."""


@dataclass(frozen=True)
class DataInput:
    """A data set that runs were trained and evaluated on."""

    name: str
    """What a reader calls it."""
    digest: str
    """Digits of the hash of its rows; of its description where the rows' is not known."""
    source_type: str
    """``kind`` of the data."""
    source: str
    """Its description, JSON."""


def data_inputs(data: Mapping[str, JsonValue], *, fingerprint: str) -> tuple[DataInput, ...]:
    """Returns the inputs of a run.

    Args:
        data: section of a trial's or a sweep's description; none where empty.
        fingerprint: hash of its rows; empty where it is not known.
    """
    if not data:
        return ()
    source = json.dumps(data, sort_keys=True)
    digest = fingerprint.partition(" ")[0] or hashlib.sha256(source.encode()).hexdigest()
    kind = str(data.get("kind", "unknown"))
    return (DataInput(_name(data, kind)[:_MAX_NAME], digest[:_DIGEST], kind, source),)


def _name(data: Mapping[str, JsonValue], kind: str) -> str:
    if isinstance(data.get("name"), str):
        return str(data["name"])
    if isinstance(data.get("path"), str):
        return PurePath(str(data["path"])).name
    tasks = data.get("train")
    if isinstance(tasks, list | tuple | dict) and tasks:
        return ", ".join(map(str, tasks))
    return kind
