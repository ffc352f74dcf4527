"""Sends one sweep's records to its runs, each thing once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sweeper._files import signature
from sweeper.errors import DamagedFileError
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.tracking.final_result import FINAL_FILE, read_final
from sweeper.tracking.metrics_log import MetricPoint, MetricsLog
from sweeper.tracking.mlflow_view import content
from sweeper.tracking.mlflow_view.names import shown_name
from sweeper.tracking.mlflow_view.runs import PARENT, Point, RunInfo, Runs
from sweeper.tracking.mlflow_view.state import SentState, StateFile
from sweeper.tracking.owner import driver_of
from sweeper.tracking.provenance import data_fingerprint
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import (
    FIGURES,
    LEADERBOARD_FILE,
    PAGE_FILE,
    SAID_FILE,
    Said,
    read_stored,
)
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["Sender"]

logger = logging.getLogger(__name__)

# Step of a value that has no course: MLflow draws bars of these, and lines of later ones.
_ONCE = 0


class Sender:
    """Brings the runs of one sweep up to date. It raises what the store raises.

    A point is sent when its step is later than the last one sent of its metric. That is remembered
    in a file; the store is asked for it when this object has points for a run for the first time,
    since a crash may have come between sending and remembering.
    """

    def __init__(self, folder: SweepFolder, runs: Runs, *, states: StateFile) -> None:
        """Takes up a sweep.

        Args:
            folder: the sweep.
            runs: its runs on the store.
            states: what was sent to that store.
        """
        self._folder = folder
        self._runs = runs
        self._states = states
        self._varied = content.varied_in(folder.document)
        self._objective = _objective_of(folder)
        self._metric = "" if self._objective is None else self._objective.metric
        self._is_view_shared = False
        # As the sweep stood when its own run was brought up to date: once a pass, not once a trial.
        self._sweep_status = folder.status
        self._asked: set[str] = set()
        # Of each trial what was on disk when all of it was sent.
        self._settled: dict[str, tuple[object, ...]] = {}

    def send_sweep(self) -> str:
        """Brings the sweep's own run up to date and returns its identity."""
        folder, path = self._folder, self._folder.path
        self._sweep_status = status = folder.status
        run, state = self._attach(PARENT, self._states.load(path))
        if run is None:
            run = self._runs.create(
                PARENT,
                name=folder.name,
                tags=content.sweep_tags(folder),
                started_at=folder.created_at,
            )
            state.run_id = run.run_id
            self._states.save(path, state)
        if not self._is_view_shared:
            self._share_view()
            self._is_view_shared = True
        if run.is_deleted or state.status == status:
            return run.run_id
        is_new = not state.status
        constants = content.sweep_constants(folder) if is_new else {}
        self._runs.log(run.run_id, tags={**constants, "status": status})
        if is_new:
            self._add_data(run, folder.document.get("data"))
        self._show_status(run, state, status=status, ended_at=folder.status_since)
        state.status = status
        self._states.save(path, state)
        if not state.artifacts_of:
            self._runs.add_file(run.run_id, path / "sweep.json")
            state.artifacts_of = "sweep"
            self._states.save(path, state)
        return run.run_id

    def _share_view(self) -> None:
        """Keeps the view that links to the sweep open."""
        if self._objective is None:
            return
        final = self._folder.document.get("final", {})
        split = final.get("split", "test") if isinstance(final, Mapping) else "test"
        params = list(self._varied.names().values())
        key, value = content.table_view(
            self._folder.name,
            objective=self._objective,
            params=params,
            splits=[split],
            # What the trials report, too; known once a replica has scored the base.
            folded={x.rpartition("/")[0] for x in self._folder.base_scores() if "/" in x},
        )
        self._runs.tag_experiment(key, value)

    def send_page(self) -> None:
        """Stores the sweep's report page with its figures, and its verdicts as tags, if new."""
        path = self._folder.path
        if driver_of(path).is_alive:
            # A page of a sweep that runs is rewritten, and tells a browser to read it again.
            return
        run, state = self._attach(PARENT, self._states.load(path))
        page = str(signature(path / PAGE_FILE))
        if run is None or run.is_deleted or not (path / PAGE_FILE).is_file() or state.page == page:
            return
        self._share_view()
        said = read_stored(path / SAID_FILE, Said) or Said()
        note = content.said_note(said, now=self._runs.note(run.run_id))
        tags = content.said_tags(said, before=state.verdicts) | note
        if not state.page:
            # An empty tag takes back what an earlier page has said.
            tags = {key: value for key, value in tags.items() if value}
        self._runs.log(run.run_id, points=self._summary(said), tags=tags)
        state.verdicts = len(said.verdicts)
        self._states.save(path, state)
        self._runs.add_file(run.run_id, path / PAGE_FILE)
        if (path / LEADERBOARD_FILE).is_file():
            self._runs.add_file(run.run_id, path / LEADERBOARD_FILE)
            self._runs.log(run.run_id, tags=content.LEADERBOARD_TAGS)
        if (path / FIGURES).is_dir():
            self._runs.replace_folder(run.run_id, path / FIGURES)
        state.page = page
        self._states.save(path, state)

    def _summary(self, said: Said) -> list[Point]:
        """Returns the numbers of a sweep as metrics of its own run."""
        if said.summary is None:
            return []
        time_s = (self._folder.path / PAGE_FILE).stat().st_mtime
        # Of one step: the latest of them is what a reader sees.
        return Point.all_of([MetricPoint(_ONCE, time_s, content.summary_metrics(said.summary))])

    def _add_data(self, run: RunInfo, data: object) -> None:
        if isinstance(data, Mapping):
            fingerprint = data_fingerprint(self._folder.path)
            self._runs.add_inputs(run.run_id, content.data_inputs(data, fingerprint=fingerprint))

    def send_trial(self, trial: TrialFolder, *, parent_run_id: str) -> int:
        """Brings a trial's run up to date and returns how many metric values were sent.

        Args:
            trial: the trial.
            parent_run_id: the sweep's own run.
        """
        sweep_status = self._sweep_status
        files = (trial.path / "record.json", trial.metrics_path, trial.path / FINAL_FILE)
        marks = (sweep_status, *map(signature, files))
        if self._settled.get(trial.id) == (*marks, self._states.signature(trial.path)):
            return 0
        record = trial.read()
        if not record.attempts and not record.is_final:
            return 0
        run, state = self._attach(trial.id, self._states.load(trial.path))
        if run is None:
            run = self._create(trial, record, parent_run_id=parent_run_id)
            state.run_id = run.run_id
            self._states.save(trial.path, state)
        count = 0
        if run.is_deleted:
            logger.info(
                "trial %s: its run was deleted in MLflow and is not created again", trial.id
            )
        else:
            status = content.trial_status(record, sweep_status=sweep_status)
            count = self._send_values(run, state, trial=trial, record=record, status=status)
            self._send_artifacts(run, state, trial=trial, record=record)
        self._settled[trial.id] = (*marks, self._states.signature(trial.path))
        return count

    def forget(self, trial_id: str) -> None:
        """Asks the store again about a trial: sending it has failed, perhaps half-way.

        Raises:
            Exception: the store does not answer.
        """
        self._asked.discard(trial_id)
        self._runs.reload()

    def _attach(self, trial_id: str, state: SentState) -> tuple[RunInfo | None, SentState]:
        """Returns the run to go on with, if there is one, and what it has been sent."""
        run = self._runs.find(trial_id)
        if run is None or run.run_id != state.run_id:
            # The store is another one than we remember, or what we remember is lost.
            state = SentState(run_id=run.run_id if run is not None else "")
        state.experiment_id = self._runs.experiment_id
        return run, state

    def _create(self, trial: TrialFolder, record: TrialRecord, *, parent_run_id: str) -> RunInfo:
        started_at = record.started_at or record.ended_at or self._folder.created_at
        self._asked.add(trial.id)
        return self._runs.create(
            trial.id,
            name=content.trial_name(record),
            tags=content.trial_tags(self._folder, trial, record, parent_run_id=parent_run_id),
            started_at=started_at,
        )

    def _send_values(
        self,
        run: RunInfo,
        state: SentState,
        *,
        trial: TrialFolder,
        record: TrialRecord,
        status: str,
    ) -> int:
        """Sends parameters, tags, points and the run's status; returns the number of points."""
        shown = f"{status}/{record.attempts}"
        spec = {} if state.status else trial.spec()
        params = _missing(content.trial_params(spec, self._varied), run) if spec else {}
        tags = content.constant_tags(spec, self._varied)
        if shown != state.status:
            tags |= {"status": status, "attempts": str(record.attempts)}
            tags |= {"ended_by": record.ended_by} if record.ended_by else {}
            tags |= {"nodes": ", ".join(record.nodes)} if record.nodes else {}
        points, offset = self._new_points(run, state, trial=trial, record=record)

        def remember(sent: Sequence[Point]) -> None:
            state.last_steps.update({point.name: point.step for point in sent})
            self._states.save(trial.path, state)

        self._runs.log(run.run_id, points=points, params=params, tags=tags, on_sent=remember)
        self._add_data(run, spec.get("data"))
        is_changed = offset != state.offset or shown != state.status
        if shown != state.status:
            ended_at = record.ended_at or self._folder.status_since
            self._show_status(run, state, status=status, ended_at=ended_at)
        state.offset, state.status = offset, shown
        if is_changed:
            self._states.save(trial.path, state)
        return len(points)

    def _show_status(
        self, run: RunInfo, state: SentState, *, status: str, ended_at: datetime
    ) -> None:
        run_status = content.RUN_STATUS[status]
        # What the run was found or made with holds only until the first status is sent.
        if not state.status and run.status == run_status == "RUNNING":
            return
        goes_on = run_status in {"SCHEDULED", "RUNNING"}
        self._runs.set_status(run.run_id, run_status, ended_at=None if goes_on else ended_at)

    def _new_points(
        self, run: RunInfo, state: SentState, *, trial: TrialFolder, record: TrialRecord
    ) -> tuple[list[Point], int]:
        """Returns the values that the run does not have, and how far the log is read with them."""
        log = MetricsLog(trial.metrics_path, offset=state.offset)
        entries = [
            replace(entry, metrics=content.shown_metrics(entry.metrics))
            for entry in log.read_new()
            if isinstance(entry, MetricPoint)
        ]
        if record.ended_at is not None:
            metrics = content.trial_metrics(record, objective=self._metric)
            entries.append(MetricPoint(_ONCE, record.ended_at.timestamp(), metrics))
        final = read_final(trial.path)
        if final is not None:
            metrics = content.final_metrics(final, objective=self._metric)
            entries.append(MetricPoint(_ONCE, final.ended_at.timestamp(), metrics))
        points = Point.all_of(entries)
        if trial.id not in self._asked:
            for name in {point.name for point in points}:
                last_step = self._runs.last_step(run.run_id, name)
                if last_step is not None:
                    state.last_steps[name] = max(last_step, state.last_steps.get(name, last_step))
            self._asked.add(trial.id)
        later = _later(points, state.last_steps)
        # Of each metric the order of its steps stays.
        later.sort(key=lambda point: not content.shown_first(point.name, objective=self._metric))
        return later, log.offset

    def _send_artifacts(
        self, run: RunInfo, state: SentState, *, trial: TrialFolder, record: TrialRecord
    ) -> None:
        # Last, because a place for artifacts that cannot be reached must not keep back the rest.
        if not record.is_final or state.artifacts_of == state.status:
            return
        self._runs.add_file(run.run_id, trial.path / "spec.json")
        if record.status == "complete" and trial.adapter.is_dir():
            self._runs.add_folder(run.run_id, trial.adapter)
        if record.status == "failed":
            self._runs.add_text(run.run_id, content.failure_text(record), name="error.txt")
        state.artifacts_of = state.status
        self._states.save(trial.path, state)


def _missing(params: Mapping[str, str], run: RunInfo) -> dict[str, str]:
    # MLflow refuses another value for a parameter that a run has.
    return {key: value for key, value in params.items() if shown_name(key) not in run.params}


def _later(points: Sequence[Point], last_steps: Mapping[str, int]) -> list[Point]:
    """Returns the points that rise in step over what was sent of their metric."""
    last = dict(last_steps)
    later = []
    for point in points:
        if point.step > last.get(point.name, -1):
            last[point.name] = point.step
            later.append(point)
    return later


def _objective_of(folder: SweepFolder) -> ObjectiveSpec | None:
    try:
        return folder.objective()
    except DamagedFileError as error:
        # Of another version: its trials are shown all the same.
        logger.debug("%s", error)
        return None
