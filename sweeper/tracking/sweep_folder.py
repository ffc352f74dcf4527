"""A sweep on disk: what was asked for, and one folder for each trial.

This is the truth; MLflow is a view of it.

::

    sweeps/<sweep>/sweep.json             what was asked for, by which code; written once
                   revisions.json         what its owner has changed of that
                   state.json             how the sweep stands
                   base.json validation_rows.npz  metrics of the frozen base, and its rows
                   data.json evaluation.json observations.json  rows, how, and what was known
                   final.json final_rows.npz  the base in the evaluation after the search
                   racing/<evaluation>/<id>.npz  the best trial there, where the search races
                   report.html figures/ verdicts.json leaderboard.json  the report page
                   driver.lock driver.json requests/  held, said and read by the driver
                   clones/<id>/           what began where a trial ended; as a trial's
                   trials/<id>/spec.json  what the trial is; written once
                               record.json    how it stands; replaced whole
                               metrics.jsonl  what it reported; only grows
                               validation_rows.npz  what each row contributed at its end
                               taken_from.json final.json final_rows.npz  if there are such
                               checkpoint/ adapter/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sweeper._files import FileLock, write_json
from sweeper._spec import reason_of
from sweeper._text import guess, listed
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.tracking.final_result import FINAL_FILE, evaluation_damage
from sweeper.tracking.owner.revisions import REVISIONS_FILE, Revisions, revised
from sweeper.tracking.places import LOCK_FILE, SWEEP_FILE, make_sweep
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS
from sweeper.tracking.stored import (
    ConfirmedSearch,
    Keep,
    Protocol,
    Scores,
    SweepAbout,
    SweepState,
    SweepStatus,
    nothing_kept,
    read_stored,
)
from sweeper.tracking.trial_folder import SPEC_FILE, TrialFolder, link_damage, trial_names

__all__ = ["SweepFolder", "sweeps_in"]

logger = logging.getLogger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)

STATE_FILE = "state.json"
BASE_FILE = "base.json"
PROTOCOL_FILE = "evaluation.json"
DAMAGED = ".damaged"
# What is made again together with a file, and would not be while it is there.
# Of these a trial's folder has the last alone: its end is not repeated for the rows' sake.
WRITTEN_WITH = {PROTOCOL_FILE: BASE_FILE, VALIDATION_ROWS: BASE_FILE, FINAL_ROWS: FINAL_FILE}


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
        self._about: SweepAbout | None = None

    def __reduce__(self) -> tuple[type[SweepFolder], tuple[Path]]:
        return (SweepFolder, (self.path,))

    @classmethod
    def create(
        cls,
        home: Path | str,
        name: str,
        *,
        document: Mapping[str, object],
        confirms: ConfirmedSearch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> SweepFolder:
        """Returns a new sweep.

        Args:
            home: folder of all sweeps; made when it is missing.
            name: name of the sweep and of its folder.
            document: the resolved sweep as plain JSON; kept as it is.
            confirms: the search that it confirms, if it confirms one.
            clock: Unix time in seconds.

        Raises:
            NameTakenError: another process has made a sweep of that name.
            BadInputError: the name cannot be a folder's, or nothing can be written there. Nothing
                was made.
        """
        now = datetime.fromtimestamp(clock(), UTC)
        path = make_sweep(home, name, document=document, now=now, confirms=confirms)
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
            # A name that no folder can have, such as one of 300 letters, is no sweep's either.
            with suppress(OSError, ValueError):
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
            f"sweep: got {str(sweep)!r}; {home} holds {listed(names, most=10)}; {hint}"
        )

    @property
    def name(self) -> str:
        """Name of the sweep and of its folder."""
        return self.path.name

    @property
    def home(self) -> Path:
        """The folder of all sweeps, with MLflow's database."""
        return self.path.parent

    def about(self) -> SweepAbout:
        """Returns what was asked for, and by which code.

        Raises:
            DamagedFileError: ``sweep.json`` is damaged or missing.
        """
        if self._about is None:
            path = self.path / SWEEP_FILE
            self._about = read_stored(path, SweepAbout)
            if self._about is None:
                raise DamagedFileError(path, "it is missing")
        return self._about

    @property
    def document(self) -> dict[str, Any]:
        """The resolved sweep as plain JSON, as it was given to :meth:`create` and revised since.

        A damaged file of revisions counts as none; :meth:`damage` tells it.
        """
        return revised(self.about().document, self._readable(REVISIONS_FILE, Revisions))

    def objective(self) -> ObjectiveSpec:
        """Returns what the sweep optimises.

        Raises:
            DamagedFileError: ``sweep.json`` holds none of this version.
        """
        try:
            return ObjectiveSpec.model_validate(self.document.get("objective", {}))
        except ValidationError as error:
            why = f"document.objective: {reason_of(error.errors(include_url=False)[0])}"
            raise DamagedFileError(self.path / SWEEP_FILE, why) from error

    @property
    def created_at(self) -> datetime:
        """When the sweep was made, UTC."""
        return self.about().created_at

    @property
    def status(self) -> SweepStatus:
        """How the sweep stands; ``running`` also where its driver was killed.

        Where ``state.json`` is damaged nobody knows, and ``stopped`` says that it can go on.
        """
        try:
            state = read_stored(self.path / STATE_FILE, SweepState)
        except DamagedFileError:
            return "stopped"
        return "running" if state is None else state.status

    @property
    def status_since(self) -> datetime:
        """Since when the sweep stands so, UTC."""
        state = self._readable(STATE_FILE, SweepState)
        return self.created_at if state is None else state.since

    def _readable(self, name: str, model: type[_Model]) -> _Model | None:
        """Returns what a file holds that can be made again; None where it is damaged."""
        try:
            return read_stored(self.path / name, model)
        except DamagedFileError:
            return None

    @property
    def note(self) -> str:
        """What there is to say of how the sweep stands, a sentence or nothing."""
        state = self._readable(STATE_FILE, SweepState)
        return "" if state is None else state.note

    def mark(self, status: SweepStatus, *, note: str = "") -> None:
        """Notes how the sweep stands.

        Args:
            status: of the sweep.
            note: what there is to say of it, a sentence or nothing.
        """
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        write_json(self.path / STATE_FILE, {"status": status, "since": now, "note": note})

    def note_base(self, scores: Mapping[str, float]) -> None:
        """Notes the metrics of the frozen base on what the trials are evaluated on."""
        write_json(self.path / BASE_FILE, dict(scores))

    def note_protocol(self, protocol: Mapping[str, object]) -> None:
        """Notes on which rows the trials are evaluated while they train, and how."""
        write_json(self.path / PROTOCOL_FILE, protocol)

    def protocol(self) -> dict[str, Any]:
        """Returns what :meth:`note_protocol` noted; empty until a replica has done so."""
        found = self._readable(PROTOCOL_FILE, Protocol)
        return {} if found is None else dict(found.root)

    def base_scores(self) -> dict[str, float]:
        """Returns the metrics of the frozen base; empty until a replica has scored it."""
        found = self._readable(BASE_FILE, Scores)
        return {} if found is None else dict(found.root)

    # Damage.

    def damage(self, *, keep: Keep = nothing_kept) -> list[DamagedFileError]:
        """Returns what is wrong with the files of sweep and trials; the trials' go to ``keep``."""
        found = self._own_damage() + evaluation_damage(self.path)
        found += link_damage(self.path / "trials", but=DAMAGED)
        for trial in self.trial_folders():
            found += trial.damage(keep=keep) + evaluation_damage(trial.path, keep=keep)
        return found

    def _own_damage(self) -> list[DamagedFileError]:
        models: dict[str, type[BaseModel]] = {
            STATE_FILE: SweepState,
            BASE_FILE: Scores,
            PROTOCOL_FILE: Protocol,
            REVISIONS_FILE: Revisions,
        }
        found = []
        for name, model in models.items():
            try:
                read_stored(self.path / name, model)
            except DamagedFileError as error:
                found.append(error)
        return found

    def set_damage_aside(self) -> list[DamagedFileError]:
        """Moves damaged files out of the way, so that they are made again; with the lock held.

        A trial without its record waits again, and one without its description is described when
        it is suggested again. What was reported and what was saved stays.

        Returns:
            What was wrong, each file once.
        """
        found = self.damage()
        for error in found:
            _set_aside(error.path)
            if error.path.name in WRITTEN_WITH:
                _set_aside(error.path.with_name(WRITTEN_WITH[error.path.name]))
        return found

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
        if (trial.path / SPEC_FILE).exists():
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
        write_json(trial.path / SPEC_FILE, description)
        return trial

    def trial(self, trial_id: str) -> TrialFolder:
        """Returns the folder of the trial, which need not be there yet.

        Raises:
            BadInputError: the identity is no name of a folder in this one.
        """
        if trial_id in self._trials:
            return self._trials[trial_id]
        if "/" in trial_id or trial_id in {"", ".", ".."}:
            raise BadInputError(
                f"trial: got {trial_id[:80]!r} as an identity; one is 12 hex digits and names a "
                f"folder of {self.path / 'trials'}; restore the file that names this one"
            )
        found = TrialFolder(self.path.joinpath("trials", trial_id), clock=self._clock)
        return self._trials.setdefault(trial_id, found)

    def trial_folders(self) -> list[TrialFolder]:
        """Returns the folders of all trials, by identity."""
        return [self.trial(name) for name in trial_names(self.path / "trials")]

    def trials(self) -> list[TrialRecord]:
        """Returns the records of all trials that can be read, by number; cheap to call again."""
        records = []
        for trial in self.trial_folders():
            try:
                records.append(trial.read())
            except DamagedFileError as error:
                logger.debug("%s", error)
        return sorted(records, key=lambda record: (record.number, record.id))

    def requeue_interrupted(self) -> list[TrialRecord]:
        """Puts back in the queue what a dead driver left running; call it with the lock held."""
        running = [record.id for record in self.trials() if record.status == "running"]
        return [self.trial(trial_id).requeue() for trial_id in sorted(running)]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the sweep for one driver; the lock of a dead one is free at once.

        Raises:
            BadInputError: another driver runs this sweep.
        """
        lock = FileLock(self.path / LOCK_FILE)
        if not lock.acquire():
            raise BadInputError(
                f"sweep: {self.name!r} is being run by {lock.owner()}; a sweep has one driver; "
                "wait for it, or stop it first"
            )
        try:
            yield
        finally:
            lock.release()


def _set_aside(path: Path) -> None:
    kept = path.with_name(f"{path.name}{DAMAGED}")
    with suppress(FileNotFoundError):
        path.replace(kept)


def sweeps_in(home: Path | str) -> list[Path]:
    """Returns the folders of all sweeps in ``home``, the newest last."""
    files = [path for path in Path(home).glob(f"*/{SWEEP_FILE}") if path.is_file()]
    return [path.parent for path in sorted(files, key=lambda path: (path.stat().st_mtime, path))]
