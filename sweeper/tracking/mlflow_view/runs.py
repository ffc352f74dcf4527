"""The runs of one sweep on an MLflow store: found by their tags, made when missing, written to.

Only here MLflow's client is called; nothing of MLflow's global state (active run, tracking URI) is
used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sweeper._environment import quieten_mlflow
from sweeper._files import FileLock
from sweeper.tracking.metrics_log import MetricPoint
from sweeper.tracking.mlflow_view.links import sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Connect", "Point", "RunInfo", "Runs", "connect"]

Connect = Callable[[str], "MlflowClient"]
"""Makes a client of a tracking URI."""

# Limits of MLflow's log_batch (mlflow/utils/validation.py): 100 parameters, 1000 entities in all.
# Characters that MLflow does not take in the name of a metric.
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
MAX_METRICS = 900
MAX_PARAMS = 100

_Item = TypeVar("_Item")

PARENT = ""
"""Key of the sweep's own run among those of its trials."""


# Another process makes the tables of a new store well within this.
STORE_WAIT_S = 60.0


def connect(tracking_uri: str) -> MlflowClient:
    """Returns a client; a new SQLite store gets its tables, which takes seconds."""
    quieten_mlflow()
    from mlflow import MlflowClient

    path = sqlite_file(tracking_uri)
    if path is not None and not path.exists():
        _make_store(path)
    return MlflowClient(tracking_uri=tracking_uri)


def _make_store(path: Path) -> None:
    """Makes MLflow's tables beside ``path`` and moves them there whole.

    MLflow makes them in many steps and never gets over a process that dies between two of them.
    """
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")) as lock:
        if not lock.acquire(wait_s=STORE_WAIT_S) or path.exists():
            return
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
        unfinished.replace(path)


@dataclass(frozen=True)
class RunInfo:
    """A run as it was found or made."""

    run_id: str
    """MLflow's identity of it."""
    is_deleted: bool = False
    """Whether somebody has deleted it in MLflow."""
    status: str = "RUNNING"
    """MLflow's status of it, which a new run has from the start."""
    params: frozenset[str] = frozenset()
    """Names of the parameters that it has."""


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    name: str
    value: float
    step: int
    unix_time_s: float

    @staticmethod
    def all_of(points: Iterable[MetricPoint]) -> list[Point]:
        """Returns the single values of points."""
        return [
            Point(NOT_IN_NAMES.sub("_", name), value, point.step, point.unix_time_s)
            for point in points
            for name, value in point.metrics.items()
        ]


class Runs:
    """The runs of one sweep in one experiment."""

    def __init__(
        self,
        client: MlflowClient,
        *,
        sweep_id: str,
        experiment: str,
        artifact_root: Path | None = None,
    ) -> None:
        """Finds the experiment or makes it, and finds the sweep's runs.

        Args:
            client: to the store.
            sweep_id: tag that all runs of the sweep have.
            experiment: name of the experiment.
            artifact_root: folder for the artifacts of a new experiment; None leaves it to MLflow.
        """
        self._client = client
        self._sweep_id = sweep_id
        self.experiment_id = self._experiment(experiment, artifact_root)
        self._runs: dict[str, RunInfo] = {}
        self.reload()

    def _experiment(self, name: str, artifact_root: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = (artifact_root / name).as_uri() if artifact_root is not None else None
            try:
                return self._client.create_experiment(name, artifact_location=location)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                # Another sweep was faster by a moment.
                found = self._client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage == "deleted":
            raise RuntimeError(
                f"experiment: {name!r} is deleted in MLflow; runs need an active experiment; "
                "restore it ('mlflow experiments restore'), or choose another name"
            )
        return str(found.experiment_id)

    def reload(self) -> None:
        """Finds the sweep's runs again: what another process, or this one, has left there."""
        from mlflow.entities import ViewType

        found: dict[str, RunInfo] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                filter_string=f"tags.sweep_id = '{self._sweep_id}'",
                run_view_type=ViewType.ALL,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            for run in page:
                is_deleted = run.info.lifecycle_stage == "deleted"
                info = RunInfo(
                    run.info.run_id,
                    is_deleted=is_deleted,
                    status=run.info.status,
                    params=frozenset(run.data.params),
                )
                trial_id = run.data.tags.get("trial", PARENT)
                known = found.get(trial_id)
                # The oldest counts, and one that somebody deleted only where there is no other.
                if known is None or (known.is_deleted and not is_deleted):
                    found[trial_id] = info
            token = page.token
            if not token:
                break
        self._runs = found

    def find(self, trial_id: str) -> RunInfo | None:
        """Returns the run of a trial, or of the sweep for :data:`PARENT`."""
        return self._runs.get(trial_id)

    def create(
        self, trial_id: str, *, name: str, tags: Mapping[str, str], started_at: datetime
    ) -> RunInfo:
        """Returns a new run of a trial, or of the sweep for :data:`PARENT`.

        Args:
            trial_id: the trial.
            name: what MLflow shows.
            tags: beside those that the run is found by.
            started_at: begin of the trial.
        """
        # With the run, not after it: a run without these tags would never be found again.
        own = {"sweep_id": self._sweep_id}
        if trial_id != PARENT:
            own["trial"] = trial_id
        run = self._client.create_run(
            self.experiment_id,
            start_time=_milliseconds(started_at.timestamp()),
            tags={**tags, **own},
            run_name=name,
        )
        self._runs[trial_id] = RunInfo(run.info.run_id)
        return self._runs[trial_id]

    def last_step(self, run_id: str, name: str) -> int | None:
        """Returns the last step of a metric that the store has, None without any."""
        history = self._client.get_metric_history(run_id, name)
        return max((metric.step for metric in history), default=None)

    def log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        on_sent: Callable[[Sequence[Point]], None] | None = None,
    ) -> None:
        """Sends parameters, tags and points, in as few calls as MLflow's limits allow.

        Args:
            run_id: the run.
            points: by rising step of each metric.
            params: that the run does not have yet.
            tags: new or changed.
            on_sent: called after each batch with its points.
        """
        from mlflow.entities import Metric, Param, RunTag

        entities = [Param(key, value) for key, value in (params or {}).items()]
        run_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        for batch in _batches(entities, MAX_PARAMS):
            self._client.log_batch(run_id, params=batch)
        batches = _batches(list(points), MAX_METRICS) or ([[]] if run_tags else [])
        for number, batch_of_points in enumerate(batches):
            metrics = [
                Metric(point.name, point.value, _milliseconds(point.unix_time_s), point.step)
                for point in batch_of_points
            ]
            is_last = number == len(batches) - 1
            self._client.log_batch(run_id, metrics=metrics, tags=run_tags if is_last else [])
            if on_sent is not None:
                on_sent(batch_of_points)

    def set_status(self, run_id: str, status: str, *, ended_at: datetime | None) -> None:
        """Sets a run's status; ``ended_at`` is None where it goes on."""
        if ended_at is None:
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(
                run_id, status, end_time=_milliseconds(ended_at.timestamp())
            )

    def add_file(self, run_id: str, path: Path) -> None:
        """Stores a file as an artifact, in the place of one of that name."""
        self._client.log_artifact(run_id, str(path))

    def add_folder(self, run_id: str, path: Path) -> None:
        """Stores a folder as an artifact folder of its name."""
        self._client.log_artifacts(run_id, str(path), artifact_path=path.name)

    def add_text(self, run_id: str, text: str, *, name: str) -> None:
        """Stores text as an artifact of that name."""
        self._client.log_text(run_id, text, name)


def _milliseconds(unix_time_s: float) -> int:
    return round(unix_time_s * 1000)


def _batches(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
