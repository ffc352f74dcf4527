"""Ray Tune over trials that are only messengers.

A Tune trial owns no model and no CPU: it hands its job to the pool and relays what comes back. What
comes next and what stops is decided in :mod:`sweeper.search`; this module carries the decisions to
Tune. What is suggested, what has ended and how is kept in Optuna's SQLite study and in the records
on disk, so that a sweep goes on from there after anything; Tune's own experiment state is not used.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.air._internal import usage
from ray.exceptions import RayActorError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeper.errors import TrialError
from sweeper.estimates import ERROR
from sweeper.execution.pool import Job, Message
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.search import Suggestion, Suggestions
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "EVALUATION",
    "IS_FINAL",
    "NothingUnpickled",
    "StudySearch",
    "ThinTrial",
    "run_tune",
]

# Key of Tune results: which evaluation of the trial this is: the unit of time of what stops trials.
EVALUATION = "evaluation"
IS_FINAL = "is_final"


# What Tune logs of a trial that failed, and of all that did at the end.
_LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")
_FAILED_AT_THE_END = "Trials did not complete: %s"
# It logs a traceback where its files have no room: nobody reads them.
_STATE_LOGGER = "ray.tune.execution.experiment_state"


class StudySearch(Searcher):
    """The suggestions of a study that outlives the driver, as Tune asks for them.

    It takes the place of Ray's ``OptunaSearch``, which tells Optuna that a trial is complete that
    ASHA stopped, so that TPE takes an early value for the last one.
    """

    def __init__(
        self,
        suggestions: Suggestions,
        *,
        objective: ObjectiveSpec,
        make_job: Callable[[Suggestion], Job],
        release: Callable[[str], object],
        pool_name: str,
        is_stopped: Callable[[str], bool],
        compared_at: int,
        admits: Callable[[str, Sequence[str]], bool] = lambda _, __: True,
    ) -> None:
        """Begins with a study as it is.

        Args:
            suggestions: of the study.
            objective: the metric that Optuna is told.
            make_job: makes the job of a suggestion, and its folder on disk.
            release: stops a trial in the pool whose thin half is gone.
            pool_name: name of the pool's actor.
            is_stopped: whether the trial of an identity has not failed, but was ended on purpose
                before it had a value: by its owner, or by a race.
            compared_at: evaluation from which on Optuna is told a value as that of a whole trial.
            admits: whether a trial may begin, after others, in the time that there is.
        """
        super().__init__(metric=objective.metric, mode=objective.mode)
        self._suggestions = suggestions
        self._make_job = make_job
        self._release = release
        self._pool_name = pool_name
        self._is_stopped = is_stopped
        self._compared_at = compared_at
        self._admits = admits
        # One at most: what is drawn and not admitted yet.
        self._drawn: list[tuple[Suggestion, Job]] = []
        # The suggestion of each Tune trial that runs.
        self._running: dict[str, Suggestion] = {}
        self.failure: Exception | None = None
        """What the study has raised first: the sweep cannot go on. Tune makes a text of it, or
        takes it for a trial's."""

    # Tune's own word FINISHED is not in its annotation.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Returns the configuration of the next trial, None for later, or Tune's word for none."""
        if self.failure is not None:
            raise self.failure
        if not self._drawn and (found := self._suggestions.next()) is not None:
            self._drawn.append((found, self._make_job(found)))
        before = [one.trial_id for one in self._running.values()]
        if not self._drawn or not self._admits(self._drawn[0][1].trial_id, before):
            # Tune asks again as long as others run.
            return None if self._drawn and before else Searcher.FINISHED
        suggestion, job = self._drawn.pop()
        self._running[trial_id] = suggestion
        return {"job": job, "pool": self._pool_name, "metric": self.metric}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells Optuna an intermediate value; its step is the number of the evaluation."""
        if self.failure is not None:
            raise self.failure
        try:
            self._suggestions.report(
                self._running[trial_id].number,
                evaluation=int(result[EVALUATION]),
                value=float(result[self.metric]),
            )
        except Exception as error:
            self.failure = error
            raise

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells Optuna how the trial ended: complete, pruned or failed; raises nothing.

        What goes wrong is raised at the next call of the others, or when Tune has ended.
        """
        suggestion = self._running.pop(trial_id, None)
        if suggestion is None:
            return
        try:
            self._tell_end(suggestion, result, is_failed=error)
        except Exception as problem:  # noqa: BLE001 - Tune would fail the trial and go on
            self.failure = self.failure or problem

    def _tell_end(
        self, suggestion: Suggestion, result: dict[str, Any] | None, *, is_failed: bool
    ) -> None:
        number = suggestion.number
        if is_failed or not result:
            # Its actor may have died without a word to the pool, where a replica waits for it.
            # Where the pool has died, this raises: the trial has not failed, and is taken up again.
            self._release(suggestion.trial_id)
            # What was ended on purpose before its first evaluation is not to be tried again.
            end = (
                self._suggestions.drop
                if self._is_stopped(suggestion.trial_id)
                else self._suggestions.fail
            )
            end(number)
            return
        # Tune does not call on_trial_result for the result at which a trial was stopped.
        evaluation = int(result[EVALUATION])
        self._suggestions.end(
            number,
            evaluation=evaluation,
            value=float(result[self.metric]),
            is_complete=bool(result.get(IS_FINAL)) or evaluation >= self._compared_at,
            standard_error=result.get(f"{self.metric}{ERROR}"),
        )

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher into files that a resume of ours does not read.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Writes nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Reads nothing: the study is the state."""


class ThinTrial(tune.Trainable):
    """A Tune trial without a model: submits a job to the pool and relays its reports.

    A class, not a function: Tune tells a class when it is stopped.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Takes up the job of ``config``; the pool hears of it at the first step.

        Tune may drop an actor that it has just set up, and give its trial to one that has become
        free. What was not submitted here is not stopped in the pool when this actor goes.
        """
        self._pool = ray.get_actor(config["pool"])
        self._job: Job = config["job"]
        self._metric: str = config["metric"]
        folder = TrialFolder(self._job.folder)
        record = folder.read()
        steps = set(self._job.evaluation_steps)
        found = folder.evaluations(self._metric)
        self._recorded = deque((step, metrics) for step, metrics in found if step in steps)
        self._final_status = record.status if record.is_final else ""
        self._last_step = 0
        self._is_submitted = False

    def step(self) -> dict[str, Any]:
        """Returns the next evaluation: from the record as long as it has one, then from the pool.

        Raises:
            TrialError: the trial failed, or was stopped before it had a value to be told.
        """
        if not (self._is_submitted or self._final_status):
            ray.get(self._pool.submit.remote(self._job))
            self._is_submitted = True
        if self._recorded:
            step, metrics = self._recorded.popleft()
            is_last = bool(self._final_status) and not self._recorded
            if self._final_status != "failed" or not is_last:
                return self._result(step, metrics, is_last=is_last)
        if self._final_status == "failed":
            raise TrialError("it failed before; its record says why")
        if self._final_status:
            raise self._without_value()
        return self._live()

    def _live(self) -> dict[str, Any]:
        while True:
            asked: Any = self._pool.next_message.remote(self._job.trial_id)
            message: Message = ray.get(asked)
            if message.kind == "end":
                self._is_submitted = False
                if message.status == "failed":
                    if not message.is_recorded:
                        TrialFolder(self._job.folder).fail("ReplicaLost", message.error)
                    raise TrialError(message.error)
                if message.status == "stopped" and not message.is_recorded:
                    TrialFolder(self._job.folder).stop()
                self._final_status = message.status
                if self._metric not in message.metrics:
                    raise self._without_value()
                if message.status == "complete":
                    # Its own patience may have ended it before its last step.
                    return self._result(message.step, message.metrics, is_last=True)
                # A callback or its owner has ended it after an evaluation that Tune has had.
                if self._last_step:
                    return self._result(self._last_step, message.metrics, is_last=True)
                raise self._without_value()
            # A trial that goes on from a checkpoint repeats reports that Tune has had.
            if message.step > self._last_step:
                return self._result(message.step, message.metrics, is_last=False)

    def _without_value(self) -> TrialError:
        # Tune takes no result without the objective.
        return TrialError(f"it is {self._final_status} without a last value of {self._metric}")

    def _result(self, step: int, metrics: Mapping[str, float], *, is_last: bool) -> dict[str, Any]:
        self._last_step = step
        return {
            **metrics,
            EVALUATION: self._job.evaluation_steps.index(step) + 1,
            IS_FINAL: is_last and self._final_status == "complete",
            "done": is_last,
        }

    def cleanup(self) -> None:
        """Stops the trial in the pool if this actor has submitted it and it still runs there."""
        if self._is_submitted:
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


class NothingUnpickled(tune.Callback):
    """Keeps Tune from reading back, at its end, the pickled errors of failed trials.

    They lie in the sweep's folder, where somebody else may have put one that runs code. Why a trial
    failed is in its record.
    """

    def on_experiment_end(self, trials: list[tune.experiment.Trial], **info: Any) -> None:  # noqa: ARG002 - Tune's signature
        """Has Tune forget where the errors are."""
        for trial in trials:
            trial.run_metadata.pickled_error_filename = None


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

    Raises:
        Exception: what the study has raised, as it was.
    """
    for name in _LOGGERS:
        # Adding it again changes nothing.
        logging.getLogger(name).addFilter(_is_news)
    logging.getLogger(_STATE_LOGGER).setLevel(logging.CRITICAL)
    # Ray counts which callbacks are used, and imports MLflow and others to tell them apart.
    usage.tag_callbacks = _count_none
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
        run_config=tune.RunConfig(
            name="tune", storage_path=str(folder), verbose=0, callbacks=[NothingUnpickled()]
        ),
    )
    try:
        tuner.fit()
    except Exception:
        if search_alg.failure is None:
            raise
    if search_alg.failure is not None:
        raise search_alg.failure


def _count_none(callbacks: Sequence[tune.Callback] | None) -> bool:
    del callbacks
    return False


def _name(trial: tune.experiment.Trial) -> str:
    job: Job = trial.config["job"]
    return f"{job.number:04d}-{job.trial_id}"


def _is_news(entry: logging.LogRecord) -> bool:
    """Returns whether an entry of Tune's log says more than a failed trial's own record does.

    Tune logs the whole way of an error through Ray, which would stand between the sweep's lines.
    That the pool's actor has died, the sweep says in a sentence.
    """
    error = entry.exc_info[1] if entry.exc_info else None
    return not isinstance(error, TrialError | RayActorError) and entry.msg != _FAILED_AT_THE_END
