"""The search: Ray Tune, Optuna and ASHA over trials that are only messengers.

A Tune trial owns no model and no CPU: it hands its job to the pool and relays what comes back. What
is suggested, what has ended and how is kept in Optuna's SQLite study and in the records on disk, so
that a sweep goes on from there after anything; Tune's own experiment state is not used.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import ray
from optuna.trial import TrialState
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from sweeper.errors import TrialError
from sweeper.execution.pool.jobs import Job
from sweeper.execution.pool.queue import Message
from sweeper.experiment.space.space import Point, Space
from sweeper.experiment.sweep import AshaSpec, ObjectiveSpec, SearchSpec
from sweeper.search.study import TRIAL_ID, draw, redraw
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["EVALUATION", "IS_FINAL", "StudySearch", "ThinTrial", "run_tune", "scheduler_for"]

logger = logging.getLogger(__name__)

# Key of Tune results: which evaluation of the trial this is. ASHA's unit of time.
EVALUATION = "evaluation"
IS_FINAL = "is_final"


class StudySearch(OptunaSearch):
    """OptunaSearch on a study that outlives the driver.

    It differs from its base in what it tells Optuna: a trial that ASHA stopped is pruned, with its
    intermediate values, where the base calls it complete and TPE takes an early value for the last
    one. Trials that a dead driver left behind are suggested again before new ones are drawn.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        space: Space,
        search: SearchSpec,
        objective: ObjectiveSpec,
        make_job: Callable[[Point, int], Job],
        pool_name: str,
    ) -> None:
        """Takes up ``study``.

        Args:
            study: from :func:`open_study`.
            space: where the points come from.
            search: for the sampler's settings.
            objective: the metric that Optuna is told.
            make_job: makes the job of a point and an Optuna trial number, and its folder on disk.
            pool_name: name of the pool's actor.
        """
        # The base class's study is made in its constructor when it gets a space; ours exists
        # already.
        super().__init__(space=None, metric=objective.metric, mode=objective.mode)
        self._points = space
        self._study = study
        self._search = search
        self._make_job = make_job
        self._pool_name = pool_name
        self._told: dict[str, optuna.Trial] = {}
        self._left_behind = study.get_trials(states=[TrialState.RUNNING])

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Returns the configuration of Tune's next trial: one left behind, or a new point."""
        if self._left_behind:
            frozen = self._left_behind.pop(0)
            trial, point = redraw(self._study, frozen, self._points, self._search)
        else:
            trial, point = draw(self._study, self._points, self._search)
        job = self._make_job(point, trial.number)
        trial.set_user_attr(TRIAL_ID, job.trial_id)
        self._told[trial_id] = trial
        return {"job": job, "pool": self._pool_name, "metric": self.metric}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells Optuna an intermediate value; its step is the number of the evaluation."""
        self._report(self._told[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells Optuna how the trial ended: complete, pruned or failed."""
        trial = self._told.pop(trial_id, None)
        if trial is None:
            return
        if error or not result or self.metric not in result:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        # Tune does not call on_trial_result for the result at which a trial was stopped.
        self._report(trial, result)
        if result.get(IS_FINAL):
            self._study.tell(trial, float(result[self.metric]))
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _report(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        step = int(result[EVALUATION])
        # After a resume the first evaluations of a trial are told a second time.
        if step not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(float(result[self.metric]), step)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher into files that a resume of ours does not read.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Writes nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Reads nothing: the study is the state."""


class ThinTrial(tune.Trainable):
    """A Tune trial without a model: submits a job to the pool and relays its reports.

    A class, not a function: Tune tells a class when ASHA stops it.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Submits the job of ``config``; what its record already has is told to Tune first."""
        self._pool = ray.get_actor(config["pool"])
        self._job: Job = config["job"]
        folder = TrialFolder(self._job.folder)
        record = folder.read()
        self._recorded = deque(folder.evaluations(config["metric"]))
        self._final_status = record.status if record.is_final else ""
        self._last_step = 0
        self._is_over = record.is_final
        if not record.is_final:
            ray.get(self._pool.submit.remote(self._job))

    def step(self) -> dict[str, Any]:
        """Returns the next evaluation: from the record as long as it has one, then from the pool.

        Raises:
            TrialError: the trial failed.
        """
        if self._recorded:
            step, metrics = self._recorded.popleft()
            is_last = bool(self._final_status) and not self._recorded
            if self._final_status != "failed" or not is_last:
                return self._result(step, metrics, is_last=is_last)
        if self._final_status:
            raise TrialError("it failed before; see its record, or 'resume --retry-failed'")
        return self._live()

    def _live(self) -> dict[str, Any]:
        while True:
            asked: Any = self._pool.next_message.remote(self._job.trial_id)
            message: Message = ray.get(asked)
            if message.kind == "end":
                self._is_over = True
                if message.status == "failed":
                    if not message.is_recorded:
                        TrialFolder(self._job.folder).fail("ReplicaLost", message.error)
                    raise TrialError(message.error)
                self._final_status = message.status
                return self._result(self._job.evaluation_steps[-1], message.metrics, is_last=True)
            # A trial that goes on from a checkpoint repeats reports that Tune has had.
            if message.step > self._last_step:
                return self._result(message.step, message.metrics, is_last=False)

    def _result(self, step: int, metrics: Mapping[str, float], *, is_last: bool) -> dict[str, Any]:
        self._last_step = step
        return {
            **metrics,
            EVALUATION: self._job.evaluation_steps.index(step) + 1,
            IS_FINAL: is_last and self._final_status == "complete",
            "done": is_last,
        }

    def cleanup(self) -> None:
        """Stops the trial in the pool if it still runs there."""
        if not self._is_over:
            ray.get(self._pool.stop.remote(self._job.trial_id))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes up another trial in the same actor."""
        self.cleanup()
        self.setup(new_config)
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes nothing: the replica writes the trial's checkpoints."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Reads nothing: the replica finds the trial's checkpoint itself."""


def scheduler_for(
    asha: AshaSpec | None,
    *,
    objective: ObjectiveSpec,
    evaluations: int,
    past: Iterable[Sequence[float]] = (),
) -> TrialScheduler:
    """Returns the scheduler of a sweep.

    Args:
        asha: None lets every trial run to its end.
        objective: the metric that trials are compared by.
        evaluations: evaluations of a full trial.
        past: for each trial that ended before a resume, the objective at its evaluations: ASHA's
            rungs are filled with them, so that later trials are judged as if nothing had happened.
    """
    if asha is None or asha.grace >= evaluations:
        return cast("TrialScheduler", FIFOScheduler())  # type: ignore[no-untyped-call]
    scheduler = AsyncHyperBandScheduler(
        time_attr=EVALUATION,
        metric=objective.metric,
        mode=objective.mode,
        max_t=evaluations,
        grace_period=asha.grace,
        reduction_factor=asha.reduction,
        stop_last_trials=False,
    )
    for number, values in enumerate(past):
        # The scheduler only reads the identity of a trial.
        trial = cast("tune.experiment.Trial", SimpleNamespace(trial_id=f"past-{number}"))
        scheduler.on_trial_add(cast("Any", None), trial)
        for evaluation, value in enumerate(values, start=1):
            result = {EVALUATION: evaluation, objective.metric: value}
            scheduler.on_trial_result(cast("Any", None), trial, result)
    return scheduler


def run_tune(
    search_alg: StudySearch,
    scheduler: TrialScheduler,
    *,
    trials: int,
    concurrent: int,
    resources: Mapping[str, float],
    folder: Path,
) -> None:
    """Runs Tune until ``trials`` trials have ended.

    Args:
        search_alg: suggests the trials.
        scheduler: stops some of them.
        trials: trials still to run, those left behind included.
        concurrent: thin trials alive at once.
        resources: what a thin trial asks for.
        folder: where Tune keeps its own files.
    """
    tuner = tune.Tuner(
        tune.with_resources(ThinTrial, dict(resources)),
        tune_config=tune.TuneConfig(
            search_alg=search_alg,
            scheduler=scheduler,
            num_samples=trials,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
    )
    tuner.fit()


def _name(trial: tune.experiment.Trial) -> str:
    job: Job = trial.config["job"]
    return f"{job.number:04d}-{job.trial_id}"
