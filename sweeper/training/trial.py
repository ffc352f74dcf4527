"""Trains one trial on the base model of a replica: plain PyTorch and the engine.

Knows nothing of Ray. All workers of a replica call :func:`train` together, with torch.distributed
started; a replica of one worker has a process group of one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sweeper.distributed import is_meeting, rank, workers
from sweeper.errors import TrialError
from sweeper.estimates import Estimate
from sweeper.evaluation.racing import Contest
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.models.snapshot import ModelSnapshot
from sweeper.tracking.record import Course
from sweeper.training.trainer import Trainer, TrialReporter

__all__ = ["TrialOutcome", "train"]


@dataclass(frozen=True)
class TrialOutcome:
    """The outcome of a trial; its times and tokens include those before a resume, or say so."""

    status: Literal["complete", "pruned", "stopped", "paused"]
    """Pruned by the search or a callback, stopped by its owner, or paused: to be gone on with."""
    ended_by: str
    """``patience`` where that ended a complete trial before all steps were trained, ``race with``
    an identity where a pruned one has lost to that trial; empty where neither did."""
    steps: int
    """Optimiser steps done."""
    metrics: Mapping[str, Estimate]
    """Of the last evaluation."""
    trainable: int
    """Trained parameters."""
    train_tokens: int
    """Tokens seen in training, padding not counted."""
    examples: int
    """Number of training examples."""
    prompts_cut: int
    """Number of training examples whose prompt was cut."""
    answers_cut: int
    """Number of training examples whose answer was cut."""
    resumed_at: int
    """Step of the checkpoint that it resumed from; 0 if it started from scratch."""
    train_time_s: float
    attempt_train_time_s: float
    """Of it, that of this call."""
    evaluation_time_s: float
    checkpoint_time_s: float
    race_facts: Mapping[str, float]
    """Of the race that a pruned trial has lost, as :class:`~sweeper.training.validation.Validated`
    has them; empty where it has lost none."""
    overhead_time_s: float
    """The rest of this call alone: adapter in, engine, reports, adapter saved, base put back."""


def train(
    trial: TrialSpec,
    base: FrozenBase,
    *,
    folder: Path,
    progress: TrialReporter,
    contest: Contest | None = None,
) -> TrialOutcome:
    """Trains a trial from its last checkpoint, or from the start, and leaves the base as it was.

    Afterwards ``folder/adapter`` holds the adapter in PEFT's format, and ``folder/checkpoint`` the
    last checkpoint, from which the same call returns again without training. A trial that is paused
    has no adapter yet, and the same call goes on with it.

    Args:
        trial: what to train; its model, data, precision and workers must be those of ``base``.
        base: of this replica.
        folder: of the trial, on storage that all workers share.
        progress: called on worker 0.
        contest: with the other trials of a sweep, which may end it; None trains it to its end.

    Raises:
        DivergedError: a loss was not a finite number; on all workers alike.
        TrialError: the trial does not belong on this base, its adapter or a checkpoint could not be
            written, worker 0 could not report, or the workers have lost each other.
    """
    _check(trial, base)
    started_s = time.perf_counter()
    kept = ModelSnapshot(base.model, copies_weights=trial.method.changes_base)
    run: Trainer | None = None
    try:
        run = Trainer(trial, base, folder, progress, contest=contest)
        run.train()
        if run.is_over:
            run.save_adapter()
    except BaseException as error:
        # Frames of the traceback would keep the model, and with it the GPU's memory, alive.
        traceback.clear_frames(error.__traceback__)
        if kept.is_sharded and not is_meeting(base.control):
            raise TrialError(
                f"{type(error).__name__} on worker {rank()} alone: {error}; the others hang, and "
                "with ZeRO-3 each holds a part of the base; restart the replica"
            ) from error
        _put_back(run, base, kept)
        raise
    _put_back(run, base, kept)
    return _outcome(trial, base, run=run, elapsed_s=time.perf_counter() - started_s)


_STATUS: dict[Course, Literal["complete", "pruned", "stopped", "paused"]] = {
    "on": "complete",
    "prune": "pruned",
    "stop": "stopped",
    "pause": "paused",
}


def _check(trial: TrialSpec, base: FrozenBase) -> None:
    pairs = {
        "model": (trial.model, base.model_spec),
        "data": (trial.data, base.data.spec),
        "engine.precision": (trial.engine.precision, base.precision),
        "workers": (trial.workers, workers()),
    }
    for name, (wanted, held) in pairs.items():
        if wanted != held:
            raise TrialError(
                f"{name} of the trial is {wanted} but the replica has {held}; both must be equal; "
                "start a replica for this trial"
            )


def _put_back(run: Trainer | None, base: FrozenBase, kept: ModelSnapshot) -> None:
    try:
        if run is not None:
            run.close()
    finally:
        base.put_back(kept)


def _outcome(trial: TrialSpec, base: FrozenBase, *, run: Trainer, elapsed_s: float) -> TrialOutcome:
    state = run.state
    table = base.data.train_tokens(trial.train.max_length)
    status = _STATUS["on" if run.is_complete else run.course]
    has_lost = bool(run.validated.lost_to) and status == "pruned"
    lost = f"race with {run.validated.lost_to}" if has_lost else ""
    return TrialOutcome(
        status=status,
        ended_by="patience" if run.has_waited else lost,
        steps=state.step,
        metrics=state.metrics,
        trainable=run.trainable,
        train_tokens=state.train_tokens,
        examples=len(table),
        prompts_cut=table.prompts_cut,
        answers_cut=table.answers_cut,
        resumed_at=run.resumed_at,
        train_time_s=state.train_time_s,
        attempt_train_time_s=state.train_time_s - run.before.train_time_s,
        evaluation_time_s=state.evaluation_time_s,
        checkpoint_time_s=state.checkpoint_time_s,
        race_facts=run.validated.facts if has_lost else {},
        overhead_time_s=elapsed_s - (state.time_s - run.before.time_s),
    )
