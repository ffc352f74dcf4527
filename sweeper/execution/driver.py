"""One sweep from its folder to its end: Ray, the study, the pool, the replicas, MLflow.

A new sweep and a resumed one go the same way. What has ended is read from the records, what was
left running is taken up from Optuna's study, what was never drawn is drawn.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna

from sweeper.errors import BadInputError
from sweeper.execution.after import (
    Finalists,
    clone_final_jobs,
    final_jobs,
    final_progress,
    run_final_jobs,
    run_trainings,
    save_adapters,
    unsaved_jobs,
)
from sweeper.execution.cluster import connect, disconnect
from sweeper.execution.cluster_watch import watched_cluster
from sweeper.execution.owner import Admission, LivingSweep, Notices, OwnerWatch, clone_jobs
from sweeper.execution.pool import (
    Job,
    ReplicaSet,
    StatusLine,
    close,
    release,
    start_pool,
    status_of,
)
from sweeper.execution.reconcile import (
    end_unwritten,
    ended_for_good,
    going_on,
    reconcile,
    states_where_readable,
    warn_of_other_data,
)
from sweeper.execution.stopping import StoppingScheduler
from sweeper.execution.trial_factory import TrialFactory
from sweeper.execution.tune import StudySearch, run_tune
from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import SearchSpec, Sweep
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.room import Cluster
from sweeper.search import (
    Suggestions,
    driven,
    enqueue_fixed,
    note_revision,
    noted_observations,
    open_study,
    repeats_note,
    trials_in_all,
    trials_left,
    using_study,
)
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.databases import StudyPlace, note_place, place_of_study, public_uri
from sweeper.tracking.mirror import change_lock, is_at_url, mirrored
from sweeper.tracking.mlflow_view import MlflowView, is_server, resolve_tracking_uri, sweep_url
from sweeper.tracking.provenance import note_data
from sweeper.tracking.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["SweepDriver"]

logger = logging.getLogger(__name__)

# Seconds that replicas get to return from their loop before Ray ends them.
CLOSING_S = 20.0


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
    experiment: str | None = None
    """Its experiment; see :func:`sweeper.tracking.mlflow_view.resolve_experiment`."""
    has_dashboard: bool = False
    """Start Ray's dashboard with a Ray of this machine."""
    retry_failed: bool = False
    """Run failed trials again."""
    tell: Callable[[str], None] = lambda _: None
    """Called with a line for the user, such as the address of Ray's dashboard."""
    on_loss: Callable[[str], None] = lambda _: None
    """Called from another thread with a sentence when the cluster has died under the sweep, which
    is then marked as stopped; :meth:`run` may never return."""
    _status: StatusLine = field(default_factory=lambda: StatusLine("Ray starts"))
    _watch: OwnerWatch = field(init=False)
    _notices: Notices = field(init=False)
    _admission: Admission = field(init=False)
    _living: LivingSweep = field(init=False)

    def __post_init__(self) -> None:
        self._admission = Admission(self.folder, self.sweep)
        self._living = LivingSweep(self.folder)
        self._watch = OwnerWatch(self.folder, stage=self.note, ending_s=self._admission.ending_s)
        self._notices = Notices(self.folder, self.sweep.spec.notify, link=self._link)

    def _link(self) -> str:
        store = public_uri(resolve_tracking_uri(self.folder.home, self.tracking_uri))
        return sweep_url(store, self.folder, experiment=self.experiment) if is_server(store) else ""

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
        sweep = read_sweep(folder)
        fingerprint = require_runnable(sweep, address=address)
        warn_of_other_data(folder, fingerprint)
        return cls(folder, sweep, fingerprint, address=address, **options)

    def run(self) -> None:
        """Connects to the cluster and runs what is left of the sweep; without it, starts nothing.

        Raises:
            BadInputError: there is no room for a replica, no cluster, another driver runs this
                sweep, its files are damaged or cannot be written, or its study's database is away.
            OSError: a file of the sweep cannot be written any more.
            StudyLostError: the study's shared database is away.
            PoolLostError: the pool of replicas has died.
            KeyboardInterrupt: it can be resumed.
        """
        with self.folder.lock(), self._mirrored(), driven(self._place, tell=self.tell), self._watch:
            if not self._prepare():
                with self._studying(), self._shown():
                    return
            self._notices.check()
            cluster = connect(self.address, has_dashboard=self.has_dashboard)
            if cluster.dashboard_url:
                self.tell(f"Ray dashboard: http://{cluster.dashboard_url}")
            try:
                with watched_cluster(self._lose), self._notices.told(), self._studying():
                    self.run_on(cluster)
            except BadInputError:
                disconnect()
                raise
            # After any other error threads still wait inside Ray for their replicas, and to shut
            # Ray down under them aborts the process. Ray ends by itself when the process does.
            disconnect()

    def _mirrored(self) -> AbstractContextManager[None]:
        """Keeps the sweep at its URL, where it has one, in step with its folder."""
        return mirrored(
            self.folder.path, ended=self._ended, tell=self.tell, on_lost=self._lose_lease
        )

    def _ended(self) -> Collection[str]:
        """Returns the trials that have ended for good; none where the study cannot be read."""
        # Asked by another thread: the study is this one's to make.
        study = self.__dict__.get("_study")
        states = {} if study is None else states_where_readable(study)
        # Another thread's folder: records are remembered by whoever reads them.
        stop = self.sweep.spec.search.stop
        return ended_for_good(SweepFolder(self.folder.path), states, stop=stop)

    def _lose_lease(self, why: str) -> None:
        # The folder is marked by nobody: what is true of the sweep is at the store.
        self.on_loss(f"Stopped: {why}.")

    def _lose(self, dead: str) -> None:
        self._mark_stopped()
        self._notices.tell("failure")
        self.on_loss(f"{dead} has died.")

    def _mark_stopped(self) -> None:
        """Notes that the sweep has stopped, where that can be written: whoever calls goes on."""
        try:
            self.folder.mark("stopped", note=self.why_interrupted)
        except OSError as error:
            logger.warning("that the sweep has stopped could not be noted: %s", error)

    def _studying(self) -> AbstractContextManager[None]:
        """Turns what the study raises into an error of a sweep that runs."""
        return using_study(self._place, is_running=True)

    @property
    def why_interrupted(self) -> str:
        """Why it was interrupted, a sentence; empty where nobody has asked for it."""
        if self._watch.is_limited:
            return self._admission.note(self._trials.asked.trials)
        return "Its owner has stopped it." if self._watch.is_stopped else ""

    def note(self) -> str:
        """Returns one line on what is going on besides the trials; callable from any thread."""
        return self._status.text()

    def _prepare(self) -> bool:
        """Brings records and study into agreement; returns whether anything is left to be run.

        Raises:
            BadInputError: a file is damaged, or cannot be written.
        """
        with going_on(self.folder.name), using_study(self._place):
            return self._reconcile()

    def _reconcile(self) -> bool:
        spec, study, folder = self.sweep.spec, self._study, self.folder
        note_data(folder.path, self.data_fingerprint)
        # A shared database has what is told at once, a sweep's URL what was pushed.
        is_ahead = self._place.path is None and is_at_url(folder.path)
        retries, stop = self.retry_failed, spec.search.stop
        reconcile(folder, study, retries_failed=retries, is_ahead=is_ahead, stop=stop)
        is_more = self._has_trials or self._finalists.jobs()
        is_more = is_more or unsaved_jobs(folder, study, self.data_fingerprint, stop=stop)
        is_more = is_more or clone_final_jobs(folder, spec.final)
        return bool(is_more or final_jobs(folder, spec.final))

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Marks the sweep as running and shows it in MLflow, then marks how the body ended."""
        view = MlflowView(self.folder, tracking_uri=self.tracking_uri, experiment=self.experiment)
        view.start()
        self.folder.mark("running")
        try:
            yield
        except BaseException:
            self._mark_stopped()
            raise
        else:
            with change_lock(self.folder.path) as lock:
                # Nobody changes the sweep between the last look and the word of how it ended.
                lock.acquire(wait_s=CLOSING_S)
                self._mark_ended()
        finally:
            self._status.leave("MLflow gets the rest")
            view.stop()

    def _mark_ended(self) -> None:
        asked, study = self._trials.asked, self._study
        trials, note = trials_in_all(study, asked), repeats_note(study, asked)
        status, note = self._admission.end(trials, note, is_more_asked=self._has_trials)
        self.folder.mark(status, note=note)

    def run_on(self, cluster: Cluster) -> dict[str, Any]:
        """Runs what is left of the sweep on a cluster; returns the pool's last status."""
        replicas = cluster.replicas(self.sweep.spec.resources, trials=self.sweep.spec.search.trials)
        self._admission.begin(self._watch.meter, replicas=replicas)
        with self._shown():
            return self._search(cluster, replicas)

    def _search(self, cluster: Cluster, replicas: int) -> dict[str, Any]:
        spec, study = self.sweep.spec, self._study
        pool = start_pool(
            f"pool-{self.folder.name}",
            replicas=replicas,
            max_deaths=spec.search.max_failures,
            is_base_scored=bool(self.folder.base_scores()),
        )
        self._status.follow(pool)
        self._watch.follow(pool)
        storage = str(self.folder.path / "ray")
        servers = ReplicaSet(pool, self._trials.replica_config(), count=replicas, storage=storage)
        servers.start(one_by_one=cluster.is_local)
        try:
            search: SearchSpec | None = None
            # Its owner may have extended the sweep while its last trials ran, or cloned one.
            while search != self._trials.asked or self._clones:
                search = self._trials.asked
                self._search_on(pool, search, cluster=cluster, concurrent=replicas)
                self._finish(pool)
            status = status_of(pool, timeout_s=CLOSING_S)
        finally:
            self._watch.leave()
            self._status.leave("replicas end")
            servers.abandon()
        close(pool)
        servers.join(CLOSING_S)
        end_unwritten(self.folder, study, stop=spec.search.stop)
        return status

    def _search_on(
        self, pool: ActorHandle[Any], search: SearchSpec, *, cluster: Cluster, concurrent: int
    ) -> None:
        """Runs the trials that are left of a search."""
        study, metric = self._study, self.sweep.spec.objective.metric
        enqueue_fixed(study, self.sweep.space, search)
        if left := trials_left(study, search):
            run_tune(
                self._suggestions(study, pool),
                StoppingScheduler(self._trials.stopping(study), metric=metric),
                trials=left,
                concurrent=concurrent + search.prefetch,
                resources=cluster.trial_resources,
                folder=self.folder.path,
            )

    def _finish(self, pool: ActorHandle[Any]) -> None:
        """Trains the finalists, and runs the evaluations after the search, and the clones."""
        final, stop = self.sweep.spec.final, self.sweep.spec.search.stop
        self._finalists.run(pool, admitted=self._admission.admits_finalists)
        save_adapters(pool, self.folder, self._study, self.data_fingerprint, stop=stop)
        self._evaluate(pool, final_jobs(self.folder, final))
        run_trainings(pool, self._admission.admits_clones(self._clones))
        self._evaluate(pool, clone_final_jobs(self.folder, final))

    def _evaluate(self, pool: ActorHandle[Any], finals: list[Job]) -> None:
        self._status.show(final_progress(finals))
        run_final_jobs(pool, finals)

    @property
    def _has_trials(self) -> bool:
        """Whether a trial or a clone is left to be trained."""
        return bool(trials_left(self._study, self._trials.asked) or self._clones)

    @property
    def _clones(self) -> list[Job]:
        # None where the sweep has come to its limits.
        return [] if self._admission.has_refused else clone_jobs(self.folder)

    @property
    def _finalists(self) -> Finalists:
        return Finalists(self.folder, self.sweep.spec, self._study, self.data_fingerprint)

    @property
    def _trials(self) -> TrialFactory:
        return TrialFactory(self.folder, self.sweep, self.data_fingerprint)

    @functools.cached_property
    def _study(self) -> optuna.Study:
        study = open_study(
            self._place,
            objective=self.sweep.spec.objective,
            space=self.sweep.space,
            search=self.sweep.spec.search,
            find_finished=self._trials.find_finished,
            find_observations=lambda: (
                noted_observations(
                    self.folder, self.sweep, data_fingerprint=self.data_fingerprint
                ).taken
            ),
        )
        note_place(self.folder, self._place)
        note_revision(study, self._living.revision)
        return study

    @functools.cached_property
    def _place(self) -> StudyPlace:
        return place_of_study(self.folder)

    def _suggestions(self, study: optuna.Study, pool: ActorHandle[Any]) -> StudySearch:
        return StudySearch(
            # Its owner may change the space meanwhile: each trial is of the space as it is then.
            Suggestions(
                study,
                space=self.sweep.space,
                search=self.sweep.spec.search,
                identify=self._identify,
                revised=self._revised,
            ),
            objective=self.sweep.spec.objective,
            make_job=lambda suggestion: self._trials.job(suggestion),
            release=functools.partial(release, pool),
            pool_name=f"pool-{self.folder.name}",
            is_stopped=self._trials.is_ended_on_purpose,
            compared_at=self._trials.compared_at,
            admits=self._admission.admits,
        )

    def _identify(self, point: Point) -> str:
        """Returns the identity of the trial at a point; SpecError: it is none, or too large."""
        trial = self._trials.trial(point)
        trial_id = self._trials.identity_of(trial)
        self._admission.require_room(trial, trial_id)
        return trial_id

    def _revised(self) -> tuple[Space, SearchSpec] | None:
        """Takes up what the sweep's owner has changed; returns None where that is nothing."""
        if (found := self._living.changed()) is None:
            return None
        self.sweep = found
        note_revision(self._study, self._living.revision)
        return found.space, found.spec.search
