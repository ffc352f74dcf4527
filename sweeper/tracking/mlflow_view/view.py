"""MLflow as a view of the records: sent by one thread of the driver, caught up at any time.

Nothing that goes wrong here reaches the caller: it is kept, logged once, tried again after a
growing pause, and what is unsent then goes out with the next sync, also of the next process.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from sweeper._files import FileLock
from sweeper.tracking.databases import public_uri, without_secrets
from sweeper.tracking.mlflow_view.content import table_query
from sweeper.tracking.mlflow_view.links import (
    artifact_root,
    comparison_url,
    experiment_url,
    resolve_experiment,
    resolve_tracking_uri,
    run_url,
    runs_url,
)
from sweeper.tracking.mlflow_view.runs import Runs
from sweeper.tracking.mlflow_view.sender import Sender
from sweeper.tracking.mlflow_view.state import StateFile, known_experiment
from sweeper.tracking.mlflow_view.store import (
    Connect,
    connect,
    follow_moved_home,
    set_aside_if_damaged,
)
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["MlflowView", "SyncResult", "sweep_url"]

logger = logging.getLogger(__name__)

# Another process that sends the same sweep is done with a pass well within this.
LOCK_WAIT_S = 10.0
# Longest pause between two tries while the store does not answer.
MAX_PAUSE_S = 30.0


@dataclass(frozen=True)
class SyncResult:
    """What one pass did."""

    points: int = 0
    """Metric values sent."""
    errors: tuple[str, ...] = ()
    """What went wrong; the next pass tries again."""

    @property
    def is_complete(self) -> bool:
        """Whether MLflow shows all that was on disk when the pass began."""
        return not self.errors


class MlflowView:
    """One sweep in MLflow: a parent run, and a child run for each trial that has begun."""

    def __init__(
        self,
        folder: SweepFolder,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        interval_s: float = 2.0,
        connect: Connect = connect,
    ) -> None:
        """Prepares the view; MLflow is imported by the first pass.

        Args:
            folder: the sweep.
            tracking_uri: where to log; see
                :func:`sweeper.tracking.mlflow_view.resolve_tracking_uri`.
            experiment: name of the experiment, made when it is missing; see
                :func:`sweeper.tracking.mlflow_view.resolve_experiment`.
            interval_s: pause between two passes of the thread.
            connect: makes the client.
        """
        # A reader of its own: a reader remembers what it has read, and this one has its own thread.
        self._folder = SweepFolder(folder.path)
        self._interval_s = interval_s
        self._connect = connect
        self.tracking_uri = resolve_tracking_uri(folder.home, tracking_uri)
        self.experiment = resolve_experiment(experiment, known=known_experiment(folder.path))
        self._states = StateFile(self.tracking_uri, experiment=self.experiment)
        self._mutex = threading.Lock()
        self._sender: Sender | None = None
        self._failed_passes = 0
        self.last_result = SyncResult()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    # The thread.

    def start(self) -> None:
        """Starts the thread that keeps MLflow up to date."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="mlflow-view", daemon=True)
            self._thread.start()

    def stop(self, *, timeout_s: float = 60.0) -> SyncResult:
        """Sends what is left and ends the thread, waiting for it at most ``timeout_s`` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return self.last_result
        self._stopping.set()
        thread.join(timeout_s)
        if thread.is_alive():
            logger.warning(
                "MLflow at %s has not answered for %g s; the rest is sent at the next sync",
                public_uri(self.tracking_uri),
                timeout_s,
            )
        return self.last_result

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._has_begun():
                self.sync()
            self._stopping.wait(self._pause_s())
        self.sync()

    def _has_begun(self) -> bool:
        # Importing MLflow takes seconds of a processor that the replicas want for their own start.
        return any(self._folder.path.glob("trials/*/metrics.jsonl"))

    def _pause_s(self) -> float:
        if not self._failed_passes:
            return self._interval_s
        # The exponent is bounded only so that it cannot overflow.
        return min(self._interval_s * 2.0 ** min(self._failed_passes, 20), MAX_PAUSE_S)

    # One pass.

    def sync(self, *, page_only: bool = False) -> SyncResult:
        """Sends all that is on disk and not yet in MLflow; never raises.

        Args:
            page_only: of the trials nothing is new; only the sweep's report page is sent.
        """
        with self._mutex:
            self.last_result = self._try_pass(page_only=page_only)
            if self.last_result.errors and self._makes_anew():
                self.last_result = self._try_pass(page_only=False)
            self._tell(self.last_result)
            return self.last_result

    def _try_pass(self, *, page_only: bool) -> SyncResult:
        try:
            return self._locked_pass(page_only=page_only)
        except Exception as error:  # noqa: BLE001 - a view must not stop what it shows
            # Whatever was known of the store may be wrong now; the next pass asks it again.
            self._sender = None
            return SyncResult(errors=(self._text_of(error),))

    def _makes_anew(self) -> bool:
        """Whether the store was damaged and has been moved away, so that the next pass makes it."""
        try:
            kept = set_aside_if_damaged(self.tracking_uri)
        except OSError as error:
            logger.warning("a damaged MLflow store cannot be moved away: %s", error)
            return False
        if kept is None:
            return False
        logger.warning(
            "MLflow's store was damaged and is now %s; a new one is made from the records; 'ui' "
            "brings the other sweeps of the folder back, too",
            kept,
        )
        self._sender = None
        return True

    def _locked_pass(self, *, page_only: bool) -> SyncResult:
        with FileLock(self._folder.path / "mlflow.lock") as lock:
            if not lock.acquire(wait_s=LOCK_WAIT_S):
                return SyncResult(errors=(f"{lock.owner()} is sending this sweep",))
            self._sender = sender = self._sender or self._new_sender()
            parent_run_id = sender.send_sweep()
            points, errors = 0, []
            clones = [clone for clone, _ in clones_of(self._folder)]
            for trial in [] if page_only else [*self._folder.trial_folders(), *clones]:
                try:
                    points += sender.send_trial(trial, parent_run_id=parent_run_id)
                # One trial must not keep back the others.
                except Exception as error:
                    logger.debug("trial %s was not sent", trial.id, exc_info=True)
                    errors.append(f"trial {trial.id}: {self._text_of(error)}")
                    # Raises where the fault is not the trial's but the store's: the pass is over.
                    sender.forget(trial.id)
            # Last, because a place for artifacts that cannot be reached must not keep back the
            # rest.
            sender.send_page()
            return SyncResult(points, tuple(errors))

    def _new_sender(self) -> Sender:
        client = self._connect(self.tracking_uri)
        follow_moved_home(self._folder.home, self.tracking_uri)
        runs = Runs(
            client,
            sweep_id=self._folder.about().sweep_id,
            experiment=self.experiment,
            artifact_root=artifact_root(self._folder.home, self.tracking_uri),
        )
        return Sender(self._folder, runs, states=self._states)

    def _text_of(self, error: Exception) -> str:
        # A URI may carry a password, and its driver may quote it.
        return without_secrets(f"{type(error).__name__}: {error}", self.tracking_uri)

    def _tell(self, result: SyncResult) -> None:
        where = public_uri(self.tracking_uri)
        if result.errors and self._failed_passes == 0:
            logger.warning(
                "MLflow at %s could not be updated (%s); the records on disk are complete, and "
                "the rest is sent at the next sync",
                where,
                result.errors[0],
            )
        elif not result.errors and self._failed_passes:
            logger.info("MLflow at %s is up to date again", where)
        self._failed_passes = self._failed_passes + 1 if result.errors else 0

    # What is known without asking the store.

    def was_sent(self) -> bool:
        """Whether this store has ever had something of the sweep."""
        return bool(self._states.load(self._folder.path).run_id)

    @property
    def experiment_id(self) -> str:
        """MLflow's identity of the experiment, empty before the first pass that got there."""
        return self._states.load(self._folder.path).experiment_id

    def run_ids(self, *, only_complete: bool = False) -> dict[str, str]:
        """Returns MLflow's identities of the runs by trial, in the order of the trials' numbers.

        Args:
            only_complete: leave out trials that are not complete.
        """
        # Read on the caller's thread, so not with the reader of the other one.
        folder = SweepFolder(self._folder.path)
        found = {
            record.id: self._states.load(folder.trial(record.id).path).run_id
            for record in folder.trials()
            if record.status == "complete" or not only_complete
        }
        return {trial_id: run_id for trial_id, run_id in found.items() if run_id}

    def pages(self, base_url: str) -> dict[str, str]:
        """Returns the addresses of a sweep's pages by what they show, as far as they are known."""
        known = self._states.load(self._folder.path)
        run_ids = list(self.run_ids().values())
        # A run without a result has no place in the plots of its page.
        compared = list(self.run_ids(only_complete=True).values()) or run_ids
        if not known.run_id or not run_ids:
            return {"Experiment": experiment_url(base_url, known.experiment_id)}
        of, table = known.experiment_id, table_query(self._folder.name)
        charts = f"{table}&compareRunsMode=CHART"
        return {
            "Trials": runs_url(base_url, experiment_id=of, query=table),
            "Charts": runs_url(base_url, experiment_id=of, query=charts),
            "Comparison": comparison_url(base_url, experiment_id=of, run_ids=compared),
            "Sweep": run_url(base_url, experiment_id=of, run_id=known.run_id),
        }


def sweep_url(base_url: str, folder: SweepFolder, *, experiment: str | None = None) -> str:
    """Returns the page of a sweep's experiment on a server, of all where it is not known yet.

    No store is asked.

    Args:
        base_url: of the server, without a password.
        folder: of the sweep.
        experiment: asked for; None for the sweep's own.
    """
    view = MlflowView(folder, tracking_uri=base_url, experiment=experiment)
    return experiment_url(base_url, view.experiment_id)
