"""A sweep on disk: what was asked for, and one folder for each trial.

This is the truth; MLflow is a view of it.

::

    sweeps/<sweep>/sweep.json             what was asked for, by which code; written once
                   state.json             how the sweep stands
                   base.json              metrics of the frozen base
                   evaluation.json        on which rows the trials are evaluated, and how
                   final.json             the frozen base in the evaluation after the search
                   driver.lock            held by the driver that runs it
                   trials/<id>/spec.json  what the trial is; written once
                               record.json    how it stands; replaced whole
                               metrics.jsonl  what it reported; only grows
                               final.json     its evaluation after the search; written once
                               checkpoint/ adapter/
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sweeper._files import FileLock, read_json, write_json
from sweeper._text import guess
from sweeper.errors import BadInputError
from sweeper.tracking.provenance import git_state, package_versions
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "SweepFolder",
    "SweepStatus",
    "sweeps_in",
]

SweepStatus = Literal["running", "complete", "stopped"]

SWEEP_FILE = "sweep.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SweepFolder:
    """A sweep on disk; see the module for what lies where."""

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        """Names a sweep that is there; :meth:`create` and :meth:`open` check.

        Args:
            path: the sweep's folder.
            clock: Unix time in seconds.
        """
        self.path = Path(path).absolute()
        self._clock = clock
        self._trials: dict[str, TrialFolder] = {}
        self._about: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[type[SweepFolder], tuple[Path]]:
        return (SweepFolder, (self.path,))

    @classmethod
    def create(
        cls,
        home: Path | str,
        name: str,
        *,
        document: Mapping[str, object],
        clock: Callable[[], float] = time.time,
    ) -> SweepFolder:
        """Returns a new sweep.

        Args:
            home: folder of all sweeps; made when it is missing.
            name: name of the sweep and of its folder.
            document: the resolved sweep as plain JSON; kept as it is.
            clock: Unix time in seconds.

        Raises:
            BadInputError: the name cannot be a folder's, or is taken.
        """
        if not NAME.fullmatch(name):
            raise BadInputError(
                f"sweep name: got {name!r}; allowed are letters, digits, '.', '_' and '-', the "
                "first a letter or digit; choose such a name"
            )
        path = Path(home) / name
        if (path / SWEEP_FILE).exists():
            raise BadInputError(
                f"sweep name: {name!r} is taken in {home}; sweep names are unique; continue it "
                f"with 'resume {name}', or choose another name"
            )
        (path / "trials").mkdir(parents=True, exist_ok=True)
        git = git_state(Path.cwd())
        about = {
            "name": name,
            # Two sweeps of one name on a shared MLflow server are still two sweeps.
            "sweep_id": uuid.uuid4().hex,
            "created_at": datetime.fromtimestamp(clock(), UTC).isoformat(),
            "git": {"commit": git.commit, "is_dirty": git.is_dirty} if git else None,
            "versions": package_versions(),
            "document": document,
        }
        write_json(path / SWEEP_FILE, about)
        return cls(path, clock=clock)

    @classmethod
    def open(
        cls, sweep: Path | str, *, home: Path | str, clock: Callable[[], float] = time.time
    ) -> SweepFolder:
        """Returns the sweep of that name in ``home``, or in that folder.

        Args:
            sweep: name or path.
            home: folder of all sweeps.
            clock: Unix time in seconds.

        Raises:
            BadInputError: there is no such sweep; the message has the nearest names.
        """
        for path in (Path(home) / sweep, Path(sweep)):
            if (path / SWEEP_FILE).is_file():
                return cls(path, clock=clock)
        names = [path.name for path in sweeps_in(home)]
        if not names:
            raise BadInputError(
                f"sweep: got {str(sweep)!r}, but {home} holds no sweep; start one with 'run "
                "search_spaces/masa.yaml', or give the folder of a sweep"
            )
        hint = guess(str(sweep), names, otherwise="give one of them", most=3, cutoff=0.4)
        raise BadInputError(
            f"sweep: got {str(sweep)!r}; {home} holds {', '.join(names[:10])}"
            f"{', …' if len(names) > 10 else ''}; {hint}"
        )

    @property
    def name(self) -> str:
        """Name of the sweep and of its folder."""
        return self.path.name

    @property
    def home(self) -> Path:
        """The folder of all sweeps, with MLflow's database."""
        return self.path.parent

    def about(self) -> dict[str, Any]:
        """Returns ``sweep.json``: name, sweep_id, created_at, git, versions, document."""
        if self._about is None:
            self._about = read_json(self.path / SWEEP_FILE) or {}
        return self._about

    @property
    def document(self) -> dict[str, Any]:
        """The resolved sweep as plain JSON, as it was given to :meth:`create`."""
        document: dict[str, Any] = self.about().get("document", {})
        return document

    @property
    def created_at(self) -> datetime:
        """When the sweep was made, UTC."""
        return datetime.fromisoformat(self.about()["created_at"])

    @property
    def status(self) -> SweepStatus:
        """How the sweep stands; ``running`` also where its driver was killed."""
        status: SweepStatus = self._state().get("status", "running")
        return status

    @property
    def status_since(self) -> datetime:
        """Since when the sweep stands so, UTC."""
        since = self._state().get("since")
        return datetime.fromisoformat(since) if since else self.created_at

    def _state(self) -> dict[str, Any]:
        return read_json(self.path / "state.json") or {}

    @property
    def note(self) -> str:
        """What there is to say of how the sweep stands, a sentence or nothing."""
        note: str = self._state().get("note", "")
        return note

    def mark(self, status: SweepStatus, *, note: str = "") -> None:
        """Notes how the sweep stands.

        Args:
            status: of the sweep.
            note: what there is to say of it, a sentence or nothing.
        """
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        write_json(self.path / "state.json", {"status": status, "since": now, "note": note})

    def note_base(self, scores: Mapping[str, float]) -> None:
        """Notes the metrics of the frozen base on what the trials are evaluated on."""
        write_json(self.path / "base.json", dict(scores))

    def note_protocol(self, protocol: Mapping[str, object]) -> None:
        """Notes on which rows the trials are evaluated while they train, and how."""
        write_json(self.path / "evaluation.json", protocol)

    def protocol(self) -> dict[str, Any]:
        """Returns what :meth:`note_protocol` noted; empty until a replica has done so."""
        return read_json(self.path / "evaluation.json") or {}

    def base_scores(self) -> dict[str, float]:
        """Returns the metrics of the frozen base; empty until a replica has scored it."""
        scores = read_json(self.path / "base.json") or {}
        # NaN is kept as a string, for JSON has none.
        return {name: float(value) for name, value in scores.items()}

    def add_trial(
        self,
        trial_id: str,
        *,
        spec: Mapping[str, object],
        number: int,
        method: str,
        origin: str = "search",
        params: Mapping[str, object] | None = None,
        steps_total: int = 0,
    ) -> TrialFolder:
        """Returns the folder of a trial; one that is there already stays as it is.

        Args:
            trial_id: identity by content.
            spec: the TrialSpec as plain JSON.
            number: place in the order of suggestion, from 0.
            method: name of the method.
            origin: who suggested it.
            params: what was searched and the method's fields, flat.
            steps_total: optimiser steps of the whole trial.
        """
        trial = self.trial(trial_id)
        if (trial.path / "spec.json").exists():
            return trial
        trial.path.mkdir(parents=True, exist_ok=True)
        description = {
            "id": trial_id,
            "number": number,
            "method": method,
            "origin": origin,
            "params": dict(params or {}),
            "steps_total": steps_total,
            "spec": spec,
        }
        write_json(trial.path / "spec.json", description)
        return trial

    def trial(self, trial_id: str) -> TrialFolder:
        """Returns the folder of the trial, which need not be there yet."""
        if trial_id not in self._trials:
            path = self.path / "trials" / trial_id
            self._trials[trial_id] = TrialFolder(path, clock=self._clock)
        return self._trials[trial_id]

    def trial_folders(self) -> list[TrialFolder]:
        """Returns the folders of all trials, by identity."""
        paths = sorted((self.path / "trials").glob("*/spec.json"))
        return [self.trial(path.parent.name) for path in paths]

    def trials(self) -> list[TrialRecord]:
        """Returns the records of all trials, by number; cheap to call again."""
        records = [trial.read() for trial in self.trial_folders()]
        return sorted(records, key=lambda record: (record.number, record.id))

    def requeue_interrupted(self) -> list[TrialRecord]:
        """Puts back in the queue what a dead driver left running; call it with the lock held."""
        running = [trial for trial in self.trial_folders() if trial.read().status == "running"]
        return [trial.requeue() for trial in running]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the sweep for one driver; the lock of a dead one is free at once.

        Raises:
            BadInputError: another driver runs this sweep.
        """
        lock = FileLock(self.path / "driver.lock")
        if not lock.acquire():
            raise BadInputError(
                f"sweep: {self.name!r} is being run by {lock.owner()}; a sweep has one driver; "
                "wait for it, or stop it first"
            )
        try:
            yield
        finally:
            lock.release()


def sweeps_in(home: Path | str) -> list[Path]:
    """Returns the folders of all sweeps in ``home``, the newest last."""
    files = [path for path in Path(home).glob(f"*/{SWEEP_FILE}") if path.is_file()]
    return [path.parent for path in sorted(files, key=lambda path: (path.stat().st_mtime, path))]
