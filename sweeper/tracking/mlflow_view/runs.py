"""The runs of one sweep on an MLflow store: found by their tags, made when missing, written to.

Only here MLflow's client is called; nothing of MLflow's global state (active run, tracking URI) is
used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sweeper.tracking.metrics_log import MetricPoint
from sweeper.tracking.mlflow_view.content import CONTEXT, EXPERIMENT_TAGS, NOTE, DataInput
from sweeper.tracking.mlflow_view.names import cut_value, folder_name, name_tag, shown_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

__all__ = ["Point", "RunInfo", "Runs"]

logger = logging.getLogger(__name__)

# Limits of MLflow's log_batch (mlflow/utils/validation.py): 100 parameters, 1000 entities in all.
MAX_METRICS = 900
MAX_PARAMS = 100
MAX_TAGS = 100
# MLflow's words for "not like this", as against a store that does not answer.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}

# What is left of a figure in a store that removes none.
_GONE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="40">'
    '<text x="8" y="24">The report no longer has this figure.</text></svg>'
)

_Item = TypeVar("_Item")

PARENT = ""
"""Key of the sweep's own run among those of its trials."""


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
    """As MLflow takes it."""
    value: float
    step: int
    unix_time_s: float
    original: str
    """The name that was reported."""

    @staticmethod
    def all_of(points: Iterable[MetricPoint]) -> list[Point]:
        """Returns the single values of points."""
        return [
            Point(shown_name(name), value, point.step, point.unix_time_s, name)
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
        self._experiment_tags: dict[str, str] = {}
        self.experiment_id = self._experiment(experiment, artifact_root)
        for key, value in EXPERIMENT_TAGS.items():
            # What a user has chosen for it stays.
            if key not in self._experiment_tags:
                self.tag_experiment(key, value)
        self._runs: dict[str, RunInfo] = {}
        # Of each run what MLflow has refused; each is told once.
        self._refused: set[tuple[str, str]] = set()
        self.reload()

    def _experiment(self, name: str, artifact_root: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            folder = None if artifact_root is None else artifact_root / folder_name(name)
            location = None if folder is None else folder.as_uri()
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
        self._experiment_tags = dict(found.tags)
        return str(found.experiment_id)

    def tag_experiment(self, key: str, value: str) -> None:
        """Sets a tag of the experiment; a store that does not take it goes without."""
        from mlflow.exceptions import MlflowException

        if self._experiment_tags.get(key) == value:
            return
        try:
            self._client.set_experiment_tag(self.experiment_id, key, value)
        except MlflowException as error:
            # Whoever may log runs need not be allowed to change their experiment.
            logger.info("MLflow does not take the tag %r: %s", key, error)
            return
        self._experiment_tags[key] = value

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

        What MLflow refuses is left out, with a warning, and the rest is sent.

        Args:
            run_id: the run.
            points: by rising step of each metric.
            params: that the run does not have yet, under the names that were given to them.
            tags: new or changed.
            on_sent: called after each batch with its points.
        """
        from mlflow.entities import Metric, Param, RunTag

        names = {key: shown_name(key) for key in params or {}}
        entities = [Param(names[key], cut_value(value)) for key, value in (params or {}).items()]
        was = {name: original for original, name in names.items()}
        was.update({point.name: point.original for point in points})
        changed = {name_tag(name): text for name, text in was.items() if name != text}
        run_tags = [
            RunTag(key, cut_value(value)) for key, value in {**changed, **(tags or {})}.items()
        ]
        for batch in _batches(entities, MAX_PARAMS):
            self._send(run_id, batch)
        *first, last = _batches(list(points), MAX_METRICS) or [[]]
        for batch_of_points in [*first, last]:
            metrics = [
                Metric(point.name, point.value, _milliseconds(point.unix_time_s), point.step)
                for point in batch_of_points
            ]
            # The tags come with the last batch: they say that the rest is there.
            ending = run_tags[:MAX_TAGS] if batch_of_points is last else []
            self._send(run_id, [*metrics, *ending])
            if on_sent is not None and batch_of_points:
                on_sent(batch_of_points)
        for more in _batches(run_tags[MAX_TAGS:], MAX_TAGS):
            self._send(run_id, more)

    def _send(self, run_id: str, entities: Sequence[Metric | Param | RunTag]) -> None:
        """Sends a batch; of one that MLflow refuses, all that it does not refuse by itself."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        left = [entity for entity in entities if (run_id, entity.key) not in self._refused]
        if not left:
            return
        try:
            self._client.log_batch(
                run_id,
                metrics=[entity for entity in left if isinstance(entity, Metric)],
                params=[entity for entity in left if isinstance(entity, Param)],
                tags=[entity for entity in left if isinstance(entity, RunTag)],
            )
        except MlflowException as error:
            if error.error_code not in _REFUSALS or not self._is_active(run_id):
                raise
            names = list(dict.fromkeys(entity.key for entity in left))
            if len(names) == 1:
                self._refused.add((run_id, names[0]))
                logger.warning("MLflow does not take %r: %s", names[0], error)
                return
            early = set(names[: len(names) // 2])
            self._send(run_id, [entity for entity in left if entity.key in early])
            self._send(run_id, [entity for entity in left if entity.key not in early])

    def _is_active(self, run_id: str) -> bool:
        # Of a deleted run MLflow refuses all, in the same words.
        return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")

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

    def replace_folder(self, run_id: str, path: Path) -> None:
        """Stores a folder as an artifact folder of its name, and removes what it no longer has."""
        self.add_folder(run_id, path)
        kept = {file.name for file in path.iterdir()}
        for found in self._client.list_artifacts(run_id, path.name):
            if found.path.rpartition("/")[2] not in kept:
                self._remove(run_id, found.path)

    def _remove(self, run_id: str, name: str) -> None:
        """Removes an artifact; where a store removes none, it says that it no longer holds."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._client.get_run(run_id).info.artifact_uri
        place = get_artifact_repository(uri, tracking_uri=self._client.tracking_uri)
        try:
            place.delete_artifacts(name)  # type: ignore[no-untyped-call]
        except (NotImplementedError, MlflowException) as error:
            logger.info("MLflow does not remove %s (%s); it is replaced", name, error)
            self.add_text(run_id, _GONE, name=name)

    def add_inputs(self, run_id: str, inputs: Sequence[DataInput]) -> None:
        """Notes the data of a run; a store that takes none goes without."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        tags = [InputTag("mlflow.data.context", CONTEXT)]
        found = [
            DatasetInput(Dataset(one.name, one.digest, one.source_type, one.source), tags)
            for one in inputs
        ]
        if not found:
            return
        try:
            self._client.log_inputs(run_id, found)
        except MlflowException as error:
            if not self._is_active(run_id):
                raise
            logger.info("MLflow does not take the data of run %s: %s", run_id, error)

    def note(self, run_id: str) -> str:
        """Returns the description of a run, empty without one."""
        return str(self._client.get_run(run_id).data.tags.get(NOTE, ""))

    def add_text(self, run_id: str, text: str, *, name: str) -> None:
        """Stores text as an artifact of that name."""
        self._client.log_text(run_id, text, name)


def _milliseconds(unix_time_s: float) -> int:
    return round(unix_time_s * 1000)


def _batches(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
