"""A replica: loads the frozen base once, then trains one trial after another.

:func:`serve` is the training function that Ray Train runs in each worker process of the group. All
workers walk through the same trials in step; rank 0 talks to the pool and writes the records.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import ray
from ray.exceptions import ActorDiedError

from sweeper.distributed import broadcast, control_group, is_meeting, on_first_worker, rank
from sweeper.errors import BadInputError, TrialError
from sweeper.estimates import to_metrics
from sweeper.execution.pool.jobs import Job, ReplicaConfig
from sweeper.execution.pool.peers import Peers
from sweeper.execution.pool.progress import PoolReporter
from sweeper.experiment.sweep import FinalSpec
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.final_result import FinalResult, is_evaluated, write_final
from sweeper.tracking.mirror import StoreError, fetch
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from sweeper.evaluation.racing import Contest
    from sweeper.models import FrozenBase
    from sweeper.training.trial import TrialOutcome

__all__ = ["ReplicaWorker", "serve"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Seconds that a replica waits for a trial before it asks again. All ranks but the first sit in a
# collective meanwhile, which must not run into the process group's timeout.
IDLE_S = 60.0


def serve(config: dict[str, Any]) -> None:
    """Serves trials until the pool closes.

    Args:
        config: ``pool`` (the actor), ``replica`` (its index), ``config`` (:class:`ReplicaConfig`).
    """
    worker = ReplicaWorker(config["pool"], config["replica"], config["config"])
    if not worker.register():
        return
    try:
        base = worker.load()
    except BadInputError as error:
        # A restart would find the same; the pool tells the trials, and the driver the user.
        worker.tell_broken(error)
        return
    except Exception as error:
        worker.tell_broken(error)
        raise
    worker.tell_ready()
    while (job := worker.next_job()) is not None:
        worker.run(job, base)


class ReplicaWorker:
    """One process of a replica."""

    def __init__(self, pool: ActorHandle[Any], replica: int, config: ReplicaConfig) -> None:
        """Makes the process one of a replica's.

        Args:
            pool: the actor that has the trials.
            replica: its index.
            config: what all replicas of the sweep are made of.
        """
        import torch

        # Ray sets OMP_NUM_THREADS by the worker's CPUs; torch must not take more than that.
        torch.set_num_threads(max(1, int(config.resources.cpus_per_worker)))
        self._pool = pool
        self._replica = replica
        self._config = config
        self._rank = rank()
        # Waiting workers sit in this group, not in the one that trains: with NCCL they would spin
        # on the GPU.
        self._control = control_group()
        self._peers = Peers(self._control)

    def register(self) -> bool:
        """Returns whether the pool wants this replica to serve."""
        asked: Any = self._pool.register.remote(self._replica) if self._rank == 0 else None
        return bool(self._share(ray.get(asked) if asked is not None else None))

    def load(self) -> FrozenBase:
        """Returns the frozen base and its data; the first replica of a sweep scores it, too."""
        import torch

        from sweeper.evaluation.protocol import rung_protocol
        from sweeper.evaluation.scoring import evaluate_base
        from sweeper.models import load_base

        config = self._config
        cuda = config.resources.gpus_per_worker > 0
        device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
        base = load_base(
            config.model,
            config.data,
            precision=config.precision,
            max_length=config.train.max_length,
            device=device,
            metrics=config.evaluation.metric_names,
        )
        if self._share(self._rank == 0 and ray.get(self._pool.claim_base.remote(self._replica))):
            rows = config.sweep_folder / VALIDATION_ROWS
            # Before the metrics, which say that the base is scored.
            keep = functools.partial(write_row_scores, rows) if self._rank == 0 else None
            scores = evaluate_base(
                base,
                max_length=config.train.max_length,
                count=config.train.eval_examples,
                spec=config.evaluation,
                keep=keep,
            )
            if self._rank == 0:
                folder = SweepFolder(config.sweep_folder)
                folder.note_protocol(rung_protocol(base, config.train, config.evaluation))
                folder.note_base(scores)
        return base

    def tell_broken(self, error: Exception) -> None:
        """Tells the pool why this replica cannot get ready."""
        if self._rank == 0:
            reason = f"{type(error).__name__}: {error}"
            ray.get(self._pool.broken.remote(self._replica, reason))

    def tell_ready(self) -> None:
        """Tells the pool that this replica takes trials."""
        if self._rank == 0:
            ray.get(self._pool.ready.remote(self._replica))

    def next_job(self) -> Job | None:
        """Returns the next trial, the same on all ranks; None when the pool closes."""
        while True:
            taken = self._share(self._take() if self._rank == 0 else None)
            if not isinstance(taken, str):
                return taken

    def _take(self) -> Job | str | None:
        asked: Any = self._pool.take.remote(self._replica, timeout_s=IDLE_S)
        job: Job | str | None = ray.get(asked)
        return job

    def _share(self, value: T) -> T:
        """Returns rank 0's value on all ranks."""
        return broadcast(value, group=self._control)

    def run(self, job: Job, base: FrozenBase) -> None:
        """Trains one trial, or evaluates it; whatever it raises ends that alone."""
        if job.final is not None:
            self._evaluate(job, base, job.final)
        else:
            self._train(job, base)

    def _evaluate(self, job: Job, base: FrozenBase, final: FinalSpec) -> None:
        from sweeper.evaluation.final import evaluate_final

        # The replica that did it may have died before it could say so.
        if self._share(self._rank == 0 and is_evaluated(job.folder)):
            if self._rank == 0:
                ray.get(self._pool.done.remote(job.trial_id, "complete", metrics={}))
            return
        trial = TrialSpec.model_validate_json(job.spec_json)
        adapter = None if job.is_base else TrialFolder(job.folder).adapter
        try:
            if adapter is not None:
                on_first_worker(lambda: fetch(adapter), failure=TrialError, group=self._control)
            found = evaluate_final(trial, base, final, adapter=adapter, chosen_by=job.chosen_by)
        except Exception as error:  # noqa: BLE001 - the boundary of a trial
            reason = f"{type(error).__name__}: {error}"
            logger.warning("the final evaluation of %s failed: %s", job.trial_id, reason)
            self._end_failed(
                job, error, lambda: write_final(job.folder, FinalResult.failed(final, reason))
            )
            return
        if self._rank == 0:
            try:
                write_final(job.folder, *found)
            except OSError as error:
                self._note_failed(job, error, lambda: None)
                return
            ray.get(self._pool.done.remote(job.trial_id, "complete", metrics={}))

    def _train(self, job: Job, base: FrozenBase) -> None:
        from sweeper.training.trial import train

        folder = TrialFolder(job.folder)
        progress = PoolReporter(self._pool, job, folder)
        trial = TrialSpec.model_validate_json(job.spec_json)

        def begin() -> int:
            _fetch_checkpoint(folder)
            job.require_callbacks(trial)
            shape = trial.model.shape()
            trainable = trial.model.trainable(trial.method)
            total = shape.total_parameters + trainable
            begun = folder.begin(trainable=trainable, total=total, nodes=self._peers.nodes())
            return begun.attempts

        try:
            progress.attempt = on_first_worker(begin, failure=TrialError, group=self._control)
            contest = self._contest(job)
            outcome = train(trial, base, folder=job.folder, progress=progress, contest=contest)
            progress.require_own()
        except Exception as error:  # noqa: BLE001 - the boundary of a trial
            # Where it is another's by now, no word of this replica is wanted.
            progress.require_own()
            self._fail(job, folder, error)
            return
        if self._rank == 0:
            try:
                self._finish(job, folder, outcome, progress)
            except OSError as error:
                # The others are done with this trial; what could not be written is rank 0's.
                kind, text = type(error).__name__, str(error)
                self._note_failed(job, error, lambda: folder.fail(kind, text))

    def _contest(self, job: Job) -> Contest | None:
        """Returns the races of a trial, where the sweep holds races."""
        from sweeper.evaluation.racing import Contest
        from sweeper.tracking.racing import Incumbents

        if job.racing is None:
            return None
        return Contest(Incumbents(self._config.sweep_folder), job.trial_id, job.racing)

    def _finish(
        self, job: Job, folder: TrialFolder, outcome: TrialOutcome, progress: PoolReporter
    ) -> None:
        if outcome.status == "paused":
            # Its record waits with it: whoever resumes the sweep goes on from the checkpoint.
            folder.requeue()
            progress.push()
            ray.get(self._pool.put_off.remote(job.trial_id))
            return
        # Where the time went that was not spent on steps, and what of the data was not trained on.
        totals: dict[str, float] = {
            "evaluation_time_s": outcome.evaluation_time_s,
            "checkpoint_time_s": outcome.checkpoint_time_s,
            "overhead_time_s": outcome.overhead_time_s,
            "train_examples": outcome.examples,
            "train_prompts_cut": outcome.prompts_cut,
            "train_answers_cut": outcome.answers_cut,
        }
        folder.append(outcome.steps, {**totals, **outcome.race_facts})
        if outcome.status == "stopped":
            folder.stop(train_time_s=outcome.attempt_train_time_s)
        else:
            end = folder.complete if outcome.status == "complete" else folder.prune
            end(train_time_s=outcome.attempt_train_time_s, ended_by=outcome.ended_by)
        progress.push()
        done: Callable[..., Any] = self._pool.done.remote
        metrics = to_metrics(outcome.metrics)
        ray.get(done(job.trial_id, outcome.status, step=outcome.steps, metrics=metrics))

    def _fail(self, job: Job, folder: TrialFolder, error: Exception) -> None:
        logger.warning("trial %s failed: %s: %s", job.trial_id, type(error).__name__, error)
        trace = traceback.format_exc()
        self._end_failed(
            job, error, lambda: folder.fail(type(error).__name__, str(error), traceback=trace)
        )

    def _end_failed(self, job: Job, error: Exception, note: Callable[[], object]) -> None:
        """Notes why a job failed, and tells the pool; raises where the workers lost each other."""
        is_together = is_meeting(self._control)
        if not is_together and self._peers.is_one_lost():
            # The trial is not to blame: a replica that has all of its workers takes it up again.
            raise RuntimeError("a worker of the replica is lost; restarting all") from error
        # Where one rank alone failed, it is the one that knows why; rank 0 may hang in a
        # collective.
        if self._rank == 0 or not is_together:
            self._note_failed(job, error, note)
        if not is_together:
            raise RuntimeError("one worker of the replica failed alone; restarting all") from error

    def _is_pool_dead(self) -> bool:
        try:
            ray.get(self._pool.status.remote())
        except ActorDiedError:
            return True
        return False

    def _note_failed(self, job: Job, error: Exception, note: Callable[[], object]) -> None:
        """Notes why a job failed, where there is room for it, and tells the pool in any case.

        Where the pool has died with its driver, nothing is noted: the job is not to blame, and
        whoever resumes the sweep does it again.
        """
        if self._is_pool_dead():
            return
        try:
            note()
        except OSError as problem:
            logger.warning("the end of %s could not be recorded: %s", job.trial_id, problem)
        reason = f"{type(error).__name__}: {error}"
        ray.get(self._pool.done.remote(job.trial_id, "failed", metrics={}, error=reason))


def _fetch_checkpoint(folder: TrialFolder) -> None:
    """Gets the checkpoints of a trial that another machine has begun, where the store has some."""
    try:
        fetch(folder.checkpoint)
    except StoreError as error:
        # The same steps give the same trial again.
        logger.warning("trial %s starts anew, without its checkpoint: %s", folder.id, error)
