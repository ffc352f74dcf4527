"""The record of one trial on disk: progress, outcome and cost. The files are the truth."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweeper._files import signature, write_text
from sweeper._spec import reason_of
from sweeper.errors import DamagedFileError
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.metrics_log import MetricPoint, MetricsLog, MetricSummary, Rewind
from sweeper.tracking.record import TrialFailure, TrialRecord, TrialStatus
from sweeper.tracking.stored import Keep, TakenFrom, TrialDescription, nothing_kept, read_stored

__all__ = ["RECORD_FILE", "SPEC_FILE", "TAKEN_FILE", "TrialFolder", "link_damage", "trial_names"]

SPEC_FILE = "spec.json"
"""Name of the file that says what a trial is."""
RECORD_FILE = "record.json"
"""Name of the file that says how it stands."""
TAKEN_FILE = "taken_from.json"
"""Name of the file that says which sweep trained it, where it was another one."""


def trial_names(folder: Path) -> list[str]:
    """Returns the names of the trials' folders in one, sorted; a link is none.

    Args:
        folder: holds those of a sweep; it need not be there.
    """
    place = str(folder)
    try:
        with os.scandir(place) as found:
            names = sorted(one.name for one in found if one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    # Of thousands of paths pathlib would take most of the time.
    return [name for name in names if os.path.exists(f"{place}/{name}/{SPEC_FILE}")]  # noqa: PTH110


def link_damage(folder: Path, *, but: str) -> list[DamagedFileError]:
    """Returns what is wrong with a folder of trials: links in it are no trials, and stay unread.

    Args:
        folder: as of :func:`trial_names`.
        but: end of the names of what was set aside.
    """
    try:
        with os.scandir(folder) as found:
            names = sorted(one.name for one in found if one.is_symlink())
    except FileNotFoundError:
        return []
    why = "it is a symbolic link, which is not followed"
    return [DamagedFileError(folder / name, why) for name in names if not name.endswith(but)]


class TrialFolder:
    """A trial on disk. Its folder is all that a worker on another machine needs of it.

    Whoever runs the trial writes, one process at a time; all others read.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        """Names the folder; nothing is read yet.

        Args:
            path: the trial's folder.
            clock: Unix time in seconds.
        """
        self.path = path if isinstance(path, Path) else Path(path)
        self._record_path = self.path / RECORD_FILE
        self._clock = clock
        self._summary = MetricSummary()
        self._final: tuple[tuple[int, int, int], TrialRecord] | None = None
        # Whether the open attempt was begun by this object: any other process sees its reports
        # alone, and not when it ended.
        self._is_mine = False

    def __reduce__(self) -> tuple[type[TrialFolder], tuple[Path]]:
        # Only the path travels: what this reader remembers belongs to this process.
        return (TrialFolder, (self.path,))

    @property
    def id(self) -> str:
        """The trial's identity, which is the folder's name."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Folder of the checkpoint that a resume starts from; made by whoever writes it."""
        return self.path / "checkpoint"

    @property
    def adapter(self) -> Path:
        """Folder of the trained adapter; made by whoever writes it."""
        return self.path / "adapter"

    @cached_property
    def _log(self) -> MetricsLog:
        # Of a trial that has ended nobody asks for it.
        return MetricsLog(self.path / "metrics.jsonl")

    @property
    def metrics_path(self) -> Path:
        """The file of :class:`sweeper.tracking.metrics_log.MetricsLog`."""
        return self._log.path

    def description(self) -> TrialDescription:
        """Returns what was asked for: the ``spec`` and, of the record, what never changes.

        Raises:
            DamagedFileError: ``spec.json`` is damaged, missing, or of another trial.
        """
        path = self.path / SPEC_FILE
        found = read_stored(path, TrialDescription)
        if found is None:
            raise DamagedFileError(path, "it is missing")
        self._require_own(path, found.id)
        return found

    def spec(self) -> dict[str, Any]:
        """Returns the trial's spec as plain JSON; raises as :meth:`description`."""
        return dict(self.description().spec)

    def trial_spec(self) -> TrialSpec:
        """Returns the trial's spec.

        Raises:
            DamagedFileError: ``spec.json`` is damaged, or holds no spec of this version.
        """
        spec = self.spec()
        try:
            return TrialSpec.model_validate(spec)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(("spec", *map(str, first["loc"])))
            raise DamagedFileError(self.path / SPEC_FILE, f"{field}: {reason_of(first)}") from error

    def taken_from(self) -> TakenFrom | None:
        """Returns which sweep trained it, None where it was this one, or where nobody knows."""
        try:
            return read_stored(self.path / TAKEN_FILE, TakenFrom)
        except DamagedFileError:
            return None

    def take_over(self, found: TrialRecord, source: TakenFrom) -> TrialRecord:
        """Notes that the results beside this record are another sweep's; returns the record.

        Args:
            found: the record there.
            source: where that is.
        """
        asked = self.description().model_dump(exclude={"spec"})
        write_text(self.path / TAKEN_FILE, source.model_dump_json(indent=2) + "\n")
        return self._write(found.model_copy(update=asked))

    def _require_own(self, path: Path, trial_id: str) -> None:
        # An identity names a folder; one that is not this folder's would lead out of the sweep.
        if trial_id != self.id:
            raise DamagedFileError(path, f"id: it is of trial {trial_id[:40]!r}, not {self.id!r}")

    def damage(self, *, keep: Keep = nothing_kept) -> list[DamagedFileError]:
        """Returns what is wrong with the files that a resume needs; nothing where all is well.

        Args:
            keep: called with the description.
        """
        found: dict[Path, DamagedFileError] = {}
        try:
            keep(self.path, SPEC_FILE, self.description())
        except DamagedFileError as error:
            found[error.path] = error
        try:
            self.read()
        except DamagedFileError as error:
            # Without a record it is read from the spec, and the same is wrong twice.
            found[error.path] = error
        return list(found.values())

    def read(self) -> TrialRecord:
        """Returns the record as it is now; until the trial ends its metrics come from their log.

        Raises:
            DamagedFileError: ``record.json`` or ``metrics.jsonl`` is damaged.
        """
        mark = signature(self._record_path)
        if self._final is not None and self._final[0] == mark:
            return self._final[1]
        record = self._stored()
        if record.is_final:
            self._final = (mark, record)
            # Nothing more is read, and the points need not be kept in memory.
            self.__dict__.pop("_log", None)
            self._summary = MetricSummary()
            return record
        return self._closed(self._with_metrics(record))

    def attempts(self) -> int:
        """Returns how many attempts have begun; raises as :meth:`read`, and reads less."""
        return self._stored().attempts

    def _stored(self) -> TrialRecord:
        # Without a record the trial was queued and nothing has happened to it since.
        path = self._record_path
        record = read_stored(path, TrialRecord)
        if record is None:
            asked = self.description().model_dump(exclude={"spec"})
            return TrialRecord.model_validate(asked)
        self._require_own(path, record.id)
        return record

    def _with_metrics(self, record: TrialRecord) -> TrialRecord:
        for entry in self._log.read_new():
            self._summary.add(entry)
        summary = self._summary
        return record.model_copy(
            update={
                "steps": summary.steps,
                "metrics": dict(summary.last),
                "lowest": dict(summary.lowest),
                "highest": dict(summary.highest),
            }
        )

    def _closed(self, record: TrialRecord) -> TrialRecord:
        """Returns a record with the time of an attempt that is open up to its last report."""
        started = record.attempt_started_at
        if started is None:
            return record
        start_s = started.timestamp()
        own = [point for point in self._summary.points if point.unix_time_s >= start_s]
        steps_s = sum(point.metrics.get("step_time_s", 0.0) for point in own)
        wall_s = own[-1].unix_time_s - start_s if own else 0.0
        return record.with_attempt(wall_s=wall_s, steps_s=steps_s)

    def points(self) -> list[MetricPoint]:
        """Returns all points that count, in the order of their report."""
        summary = MetricSummary()
        for entry in MetricsLog(self.metrics_path).read_new():
            summary.add(entry)
        return summary.points

    def evaluations(self, metric: str) -> list[tuple[int, Mapping[str, float]]]:
        """Returns step and metrics of each step that reported ``metric``, one of each step.

        The last one of a complete trial is in its record, too, whatever has become of the file.
        """
        by_step = {point.step: point.metrics for point in self.points() if metric in point.metrics}
        record = self._stored()
        if record.status == "complete" and metric in record.metrics:
            by_step.setdefault(record.steps, record.metrics)
        return sorted(by_step.items())

    def begin(
        self, *, trainable: int = 0, total: int = 0, nodes: Sequence[str] = ()
    ) -> TrialRecord:
        """Notes that an attempt starts now; one that was left open ended with its last report.

        Args:
            trainable: trainable parameters, 0 while not known.
            total: all parameters, 0 while not known.
            nodes: the machines of its workers.
        """
        record, now = self.read(), self._now()
        changes = {
            "status": "running",
            "attempts": record.attempts + 1,
            "started_at": record.started_at or now,
            "ended_at": None,
            "attempt_started_at": now,
            "nodes": list(nodes),
            "trainable": trainable or record.trainable,
            "total": total or record.total,
        }
        self._is_mine = True
        return self._write(record.model_copy(update=changes))

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends what is known at ``step``, at the least a loss."""
        self._log.append(MetricPoint(step, self._clock(), metrics))

    def rewind(self, step: int) -> None:
        """Takes back what was reported for steps after ``step``: the trial goes on from there."""
        if any(point.step > step for point in self.points()):
            self._log.append(Rewind(step))

    def requeue(self, *, is_finalist: bool = False) -> TrialRecord:
        """Notes that the trial waits again: interrupted, failed before, or no longer superseded.

        Args:
            is_finalist: it waits since it is one of the best of a search; once one, it stays one.
        """
        record = self.read()
        changes = {
            "status": "queued",
            "ended_at": None,
            "attempt_started_at": None,
            "superseded_by": "",
            "ended_by": "",
            "is_finalist": record.is_finalist or is_finalist,
        }
        return self._write(record.model_copy(update=changes))

    def promote(self) -> TrialRecord:
        """Notes that the trial waits again, since it is one of the best of a search."""
        return self.requeue(is_finalist=True)

    def complete(self, *, train_time_s: float = 0.0, ended_by: str = "") -> TrialRecord:
        """Notes that the trial was trained to its end.

        Args:
            train_time_s: this attempt's time in steps.
            ended_by: what of the trial's own ended it before all steps; empty where nothing did.
        """
        return self._end("complete", train_time_s=train_time_s, error=None, ended_by=ended_by)

    def prune(self, *, train_time_s: float = 0.0, ended_by: str = "") -> TrialRecord:
        """Notes that the search stopped the trial, or a callback.

        Args:
            train_time_s: as in :meth:`complete`.
            ended_by: the race that it has lost; empty where it has lost none.
        """
        return self._end("pruned", train_time_s=train_time_s, error=None, ended_by=ended_by)

    def stop(self, *, train_time_s: float = 0.0) -> TrialRecord:
        """Notes that its owner stopped the trial; ``train_time_s`` as in :meth:`complete`."""
        return self._end("stopped", train_time_s=train_time_s, error=None)

    def fail(
        self, kind: str, message: str, *, traceback: str = "", train_time_s: float = 0.0
    ) -> TrialRecord:
        """Notes why the trial failed.

        Args:
            kind: name of the exception, or of what happened.
            message: its text.
            traceback: the whole traceback, where there is one.
            train_time_s: as in :meth:`complete`.
        """
        failure = TrialFailure(type=kind, message=message, traceback=traceback)
        return self._end("failed", train_time_s=train_time_s, error=failure)

    def supersede(self, trial_id: str) -> TrialRecord:
        """Notes that ``trial_id`` is trained in the place of this trial."""
        return self._end("superseded", train_time_s=0.0, error=None, superseded_by=trial_id)

    def _end(
        self,
        status: TrialStatus,
        *,
        train_time_s: float,
        error: TrialFailure | None,
        superseded_by: str = "",
        ended_by: str = "",
    ) -> TrialRecord:
        record, now = self._stored(), self._now()
        if record.is_final:
            # The first word counts: a replica thought dead may still report.
            return record
        record = self._with_metrics(record)
        started = record.attempt_started_at
        if started is None or self._is_mine:
            attempt_s = 0.0 if started is None else (now - started).total_seconds()
            record = record.with_attempt(wall_s=attempt_s, steps_s=train_time_s)
        else:
            # Its process has died: since then it has waited, maybe for days.
            before_s, record = record.wall_time_s, self._closed(record)
            now = started + timedelta(seconds=record.wall_time_s - before_s)
        changes = {
            "status": status,
            "ended_at": now,
            "attempt_started_at": None,
            "error": error,
            "superseded_by": superseded_by,
            "ended_by": ended_by,
        }
        return self._write(record.model_copy(update=changes))

    def _write(self, record: TrialRecord) -> TrialRecord:
        write_text(self._record_path, record.model_dump_json(indent=2) + "\n")
        return record

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
