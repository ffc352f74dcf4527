"""What has been sent to MLflow, remembered beside each record."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sweeper._files import read_json, signature, write_json
from sweeper.errors import DamagedFileError
from sweeper.tracking.databases import public_uri

__all__ = ["SentState", "StateFile", "known_experiment", "run_ids"]

STATE_FILE = "mlflow.json"


@dataclass
class SentState:
    """What one run has been sent."""

    run_id: str = ""
    """MLflow's identity of the run; empty before it is made."""
    experiment_id: str = ""
    """MLflow's identity of its experiment."""
    offset: int = Field(default=0, ge=0)
    """Bytes of the metrics log that are sent."""
    last_steps: dict[str, int] = field(default_factory=dict)
    """The last step sent of each metric."""
    status: str = ""
    """The status that the run shows; empty until its parameters are sent."""
    artifacts_of: str = ""
    """The status whose artifacts are stored."""
    page: str = ""
    """What names the report page that is stored."""
    verdicts: int = Field(default=0, ge=0)
    """How many verdicts the run has as tags."""


_SENT_STATE = TypeAdapter(SentState)


class StateFile:
    """The files with the sent states for one destination: a store and an experiment on it."""

    def __init__(self, tracking_uri: str, *, experiment: str) -> None:
        """Names the destination.

        Args:
            tracking_uri: of the store; its password does not get into the files.
            experiment: name of the experiment.
        """
        digest = hashlib.sha256(f"{tracking_uri}\n{experiment}".encode()).hexdigest()
        self._key = digest[:12]
        self._about = {"tracking_uri": public_uri(tracking_uri), "experiment": experiment}

    def load(self, folder: Path) -> SentState:
        """Returns what was sent of the sweep or trial in ``folder``."""
        return _state(_read(folder).get(self._key, {}))

    def save(self, folder: Path, state: SentState) -> None:
        """Remembers what was sent."""
        # Not durable: what a loss of power takes away here, the store is asked for.
        states = _read(folder)
        # The last one is where the sweep goes on.
        states.pop(self._key, None)
        states[self._key] = {**self._about, **asdict(state)}
        write_json(folder / STATE_FILE, states, is_durable=False)

    def signature(self, folder: Path) -> tuple[int, int, int]:
        """Returns what changes when another process sends something."""
        return signature(folder / STATE_FILE)


def known_experiment(folder: Path) -> str:
    """Returns the experiment that a sweep was last sent to; empty where it never was.

    On whatever store: the address of one in a file changes with the folder of all sweeps.

    Args:
        folder: of the sweep.
    """
    found = ""
    for content in _read(folder).values():
        name = content.get("experiment") if isinstance(content, dict) else None
        if isinstance(name, str) and _state(content).run_id:
            found = name
    return found


def run_ids(folder: Path) -> frozenset[str]:
    """Returns MLflow's identities of the runs that show the sweep or trial in ``folder``.

    One for each store that it was sent to; no store is asked.
    """
    states = map(_state, _read(folder).values())
    return frozenset(state.run_id for state in states if state.run_id)


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / STATE_FILE) or {}
    except DamagedFileError:
        # The store is asked for what this file said.
        return {}


def _state(content: object) -> SentState:
    try:
        return _SENT_STATE.validate_python(content)
    except ValidationError:
        return SentState()
