"""One sweep from its folder to its end: Ray, the study, the pool, the replicas, MLflow.

A new sweep and a resumed one go the same way. What has ended is read from the records, what was
left running is taken up from Optuna's study, what was never drawn is drawn.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from sweeper.errors import BadInputError
from sweeper.execution.cluster import connect, disconnect
from sweeper.execution.final_jobs import final_jobs
from sweeper.execution.pool.actor import close, run_jobs, start_pool, status_of
from sweeper.execution.pool.jobs import Job, ReplicaConfig
from sweeper.execution.pool.replicas import ReplicaSet
from sweeper.execution.reconcile import _tell_other_data
from sweeper.execution.tune import StudySearch, run_tune, scheduler_for
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.room import Cluster
from sweeper.search.draws import origin_of, params_of
from sweeper.search.study import TRIAL_ID, enqueue_failed, is_retried, open_study
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.training.schedule import evaluation_steps

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.tune.schedulers import TrialScheduler

__all__ = ["SweepDriver", "new_sweep_name"]

logger = logging.getLogger(__name__)

# Seconds that replicas get to return from their loop before Ray ends them.
CLOSING_S = 20.0
# Seconds that the live table waits for the pool's word.
NOTE_S = 5.0


def new_sweep_name(home: Path, sweep: Sweep) -> str:
    """Returns the first of ``<space>-<profile>-1``, ``-2``, … that is free."""
    stem = f"{sweep.spec.name}-{sweep.spec.profile}"
    number = 1
    while (home / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


@dataclass
class SweepDriver:
    """Runs the sweep in a folder to its end; what a dead driver has done is not done again."""

    folder: SweepFolder
    sweep: Sweep
    data_fingerprint: str
    address: str | None = None
    """Ray cluster; None for this machine."""
    tracking_uri: str | None = None
    """MLflow's store; None for the one in the sweeps' folder."""
    retry_failed: bool = False
    """Run failed trials again."""
    _pool: ActorHandle[Any] | None = None
    _stage: str = "Ray starts"
    # Held while the pool is asked: to ask it after Ray has gone would start another Ray.
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(
        cls, folder: SweepFolder, *, address: str | None = None, **options: Any
    ) -> SweepDriver:
        """Returns the driver of a sweep on disk.

        Args:
            folder: the sweep's.
            address: Ray cluster; None for this machine.
            options: other fields of the class.
        """
        sweep = build_sweep(folder.document, source=str(folder.path))
        fingerprint = require_runnable(sweep, address=address)
        _tell_other_data(folder, fingerprint)
        return cls(folder, sweep, fingerprint, address=address, **options)

    def run(self) -> None:
        """Connects to the cluster and runs what is left of the sweep.

        Raises:
            BadInputError: there is no room for a replica, no cluster, or another driver runs this
            sweep.
            KeyboardInterrupt: it can be resumed.
        """
        with self.folder.lock():
            cluster = connect(self.address)
            try:
                self.run_on(cluster)
            except BadInputError:
                disconnect()
                raise
            # After any other error threads still wait inside Ray for their replicas, and to shut
            # Ray down under them aborts the process. Ray ends by itself when the process does.
            disconnect()

    def note(self) -> str:
        """Returns one line on what is going on besides the trials; callable from any thread."""
        with self._asking:
            if self._pool is None:
                return self._stage
            try:
                status = status_of(self._pool, timeout_s=NOTE_S)
            except TimeoutError:
                return ""
        waiting = status["replicas"] - status["lost"] - status["ready"]
        parts = [f"{status['ready']} of {status['replicas']} replicas ready"] if waiting else []
        parts += [f"{status['restarts']} replica restarts"] if status["restarts"] else []
        parts += [f"{status['lost']} replicas lost"] if status["lost"] else []
        return "; ".join([*parts, *status["errors"][:1]])

    def _forget_pool(self, stage: str) -> None:
        with self._asking:
            self._pool, self._stage = None, stage

    def run_on(self, cluster: Cluster) -> dict[str, Any]:
        """Runs what is left of the sweep on a cluster; returns the pool's last status."""
        replicas = cluster.replicas(self.sweep.spec.resources, trials=self.sweep.spec.search.trials)
        view = MlflowView(self.folder, tracking_uri=self.tracking_uri)
        view.start()
        self.folder.mark("running")
        try:
            status = self._search(cluster, replicas)
        except BaseException:
            self.folder.mark("stopped")
            raise
        else:
            self.folder.mark("complete")
            return status
        finally:
            self._forget_pool("MLflow gets the rest")
            view.stop()

    def _search(self, cluster: Cluster, replicas: int) -> dict[str, Any]:
        study = self._study()
        self._settle(study)
        if self.retry_failed:
            self._retry(study)
        ended = [
            t for t in study.get_trials() if t.state.is_finished() and not is_retried(study, t)
        ]
        left = self.sweep.spec.search.trials - len(ended)
        if left <= 0 and not final_jobs(self.folder, self.sweep.spec.final):
            return {}
        pool_name = f"pool-{self.folder.name}"
        self._pool = pool = start_pool(
            pool_name,
            replicas=replicas,
            max_deaths=self.sweep.spec.search.max_failures,
            is_base_scored=bool(self.folder.base_scores()),
        )
        storage = str(self.folder.path / "ray")
        servers = ReplicaSet(pool, self.replica_config(), count=replicas, storage=storage)
        servers.start(one_by_one=cluster.is_local)
        try:
            if left > 0:
                run_tune(
                    self._suggestions(study, pool_name),
                    self._scheduler(ended),
                    trials=left,
                    concurrent=replicas + self.sweep.spec.search.prefetch,
                    resources=cluster.trial_resources,
                    folder=self.folder.path,
                )
            self._evaluate_finals(pool)
            status = status_of(pool, timeout_s=CLOSING_S)
        finally:
            self._forget_pool("replicas end")
            servers.abandon()
        close(pool)
        servers.join(CLOSING_S)
        self._settle(study)
        return status

    def _evaluate_finals(self, pool: ActorHandle[Any]) -> None:
        """Has the selected trials and the base evaluated, and notes what no replica could."""
        jobs = final_jobs(self.folder, self.sweep.spec.final)
        for job, message in zip(jobs, run_jobs(pool, jobs), strict=True):
            if message.status == "failed" and not message.is_recorded and job.final is not None:
                logger.warning("no final evaluation of %s: %s", job.trial_id, message.error)
                write_final(job.folder, FinalResult.failed(job.final, message.error))

    def _suggestions(self, study: optuna.Study, pool_name: str) -> StudySearch:
        return StudySearch(
            study,
            space=self.sweep.space,
            search=self.sweep.spec.search,
            objective=self.sweep.spec.objective,
            make_job=self.job,
            pool_name=pool_name,
        )

    def _scheduler(self, ended: list[optuna.trial.FrozenTrial]) -> TrialScheduler:
        return scheduler_for(
            self.sweep.spec.search.asha,
            objective=self.sweep.spec.objective,
            evaluations=self.replica_config().train.evaluations,
            past=[[value for _, value in sorted(t.intermediate_values.items())] for t in ended],
        )

    def _study(self) -> optuna.Study:
        return open_study(
            f"sqlite:///{self.folder.path / 'optuna.db'}",
            name=self.folder.name,
            objective=self.sweep.spec.objective,
            space=self.sweep.space,
            search=self.sweep.spec.search,
        )

    def _retry(self, study: optuna.Study) -> None:
        """Enqueues the failed trials again; their identity, record and MLflow run stay theirs."""
        for trial_id in enqueue_failed(study):
            self.folder.trial(trial_id).requeue()

    def job(self, point: Point, number: int) -> Job:
        """Returns the job of a point, and makes its folder.

        Args:
            point: complete.
            number: Optuna's number of the trial.
        """
        trial = self.sweep.space.trial(point)
        trial_id = trial.identity(data_fingerprint=self.data_fingerprint)
        space = self.sweep.space.method(str(point["method"]))
        folder = self.folder.add_trial(
            trial_id,
            spec=trial.model_dump(mode="json"),
            number=number,
            method=trial.method.name,
            origin=origin_of(number, self.sweep.space),
            params=params_of(trial, space),
            steps_total=trial.train.steps,
        )
        return Job(
            trial_id=trial_id,
            number=number,
            folder=folder.path,
            evaluation_steps=evaluation_steps(trial.train),
            spec_json=trial.model_dump_json(),
        )

    def replica_config(self) -> ReplicaConfig:
        """Returns what the sweep's replicas are made of."""
        spec = self.sweep.spec
        return ReplicaConfig(
            sweep_folder=self.folder.path,
            model=spec.model,
            data=spec.data,
            train=self.sweep.space.any_trial().train,
            precision=spec.engine.precision,
            resources=spec.resources,
            evaluation=spec.evaluation,
        )

    def _settle(self, study: optuna.Study) -> None:
        """Ends records as the study has it, where a replica died before it wrote the end."""
        states = {
            trial.user_attrs[TRIAL_ID]: trial.state
            for trial in study.get_trials(deepcopy=False)
            if TRIAL_ID in trial.user_attrs
        }
        for record in self.folder.trials():
            if record.is_final:
                continue
            folder, state = self.folder.trial(record.id), states.get(record.id)
            if state == TrialState.PRUNED:
                folder.prune()
            elif state == TrialState.FAIL:
                folder.fail("ReplicaLost", "its replica died and its end was not written")
        self.folder.requeue_interrupted()
