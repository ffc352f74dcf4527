"""A trial in training on one worker: steps, evaluations, checkpoints, reports."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import BaseModel, Field

from sweeper._third_party import ignore_known_warnings
from sweeper.data.tokens.encoding import Tokens, collate
from sweeper.data.tokens.packing import pack
from sweeper.distributed import on_first_worker, rank, sum_over_ranks, workers
from sweeper.errors import DivergedError, TrialError
from sweeper.estimates import Estimate, from_metrics, to_metrics
from sweeper.evaluation.adapter.warm_start import start_from_parent
from sweeper.evaluation.likelihood import Forward, answer_logits
from sweeper.evaluation.racing import Contest
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.tracking.record import Course
from sweeper.tracking.row_scores import rows_at
from sweeper.training.adapter_file import adapter_elements, save_adapter
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from sweeper.training.engine import Engine
from sweeper.training.hooks.callbacks import CALLBACKS_LOG, Callbacks
from sweeper.training.hooks.embedding_noise import add_noise
from sweeper.training.patience import Waiting
from sweeper.training.schedule import DataOrder, evaluation_steps, learning_rate
from sweeper.training.validation import Validated, Validation

if TYPE_CHECKING:
    import torch

__all__ = ["Trainer", "TrainerState", "TrialReporter"]

# What worker 0 adds to the sum of a step's loss to tell the others how the trial goes on.
_COURSES: tuple[Course, ...] = ("on", "prune", "stop", "pause")


class TrialReporter(Protocol):
    """Where a trial in training reports to; called on worker 0 alone."""

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes what a step has measured. Must not raise.

        Steps after a checkpoint come again when a trial resumes, with the same values.

        Args:
            step: optimiser steps done, from 1.
            metrics: ``train_loss`` (mean over all answer tokens of the global batch, before the
                step), ``learning_rate``, ``grad_norm`` (before clipping), ``train_tokens`` (of the
                trial so far, padding not counted), ``step_time_s``; with the first step also what
                the method says of the base (``Training.facts``).
        """

    def course(self) -> Course:
        """Returns how the trial goes on after the step that comes. Must not wait, nor raise."""

    def report_evaluation(
        self, step: int, metrics: Mapping[str, Estimate], *, final: bool
    ) -> Course:
        """Takes an evaluation and returns how the trial goes on.

        A trial that resumes repeats the report of its checkpoint first, since whoever died may
        have died before answering it.

        Args:
            step: optimiser steps done.
            metrics: of :func:`sweeper.evaluation.scoring.evaluate`.
            final: whether it is the last one; the answer then changes nothing.
        """


_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Progress(BaseModel):
    """What a checkpoint says of :class:`TrainerState`; what it says besides is dropped."""

    step: _Count
    train_tokens: _Count
    train_time_s: _Seconds
    evaluation_time_s: _Seconds
    checkpoint_time_s: _Seconds
    metrics: dict[str, float]
    # Checkpoints of before there was patience have none.
    waiting: Waiting = Waiting()


@dataclass
class TrainerState:
    """How far a trial is; part of its checkpoint."""

    step: int = 0
    train_tokens: int = 0
    train_time_s: float = 0.0
    evaluation_time_s: float = 0.0
    checkpoint_time_s: float = 0.0
    metrics: dict[str, Estimate] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)

    @classmethod
    def read(cls, progress: Mapping[str, Any]) -> TrainerState:
        """Returns the state that :meth:`document` wrote; ValueError where it did not."""
        found = _Progress.model_validate(progress)
        return cls(**{**dict(found), "metrics": from_metrics(found.metrics)})

    def document(self) -> dict[str, Any]:
        """Returns the state as plain JSON."""
        metrics, waiting = to_metrics(self.metrics), self.waiting.model_dump()
        return {**vars(self), "metrics": metrics, "waiting": waiting}

    @property
    def time_s(self) -> float:
        """Spent on steps, evaluations and checkpoints."""
        return self.train_time_s + self.evaluation_time_s + self.checkpoint_time_s


class Trainer:
    """A trial in training on this worker, between its adapter put in and taken out."""

    course: Course = "on"
    """Why it has ended before its last step; else it has not."""
    validated = Validated()
    """The last evaluation of this attempt."""

    def __init__(
        self,
        trial: TrialSpec,
        base: FrozenBase,
        folder: Path,
        progress: TrialReporter,
        *,
        contest: Contest | None = None,
    ) -> None:
        import torch

        self._trial, self._base, self._folder = trial, base, folder
        self._progress, self._contest = progress, contest
        self._identity = trial.identity(data_fingerprint=base.data.fingerprint)
        train = trial.train
        self._order = DataOrder(
            base.data.train_tokens(train.max_length),
            seed=train.seed,
            bucket=train.batch_size if train.bucketing else 1,
        )
        if train.packing:
            base.require_packable()
        self._callbacks = Callbacks(train.callbacks, log=folder / CALLBACKS_LOG)
        # The number of the evaluation after each step that has one.
        self._evaluations = {step: n for n, step in enumerate(evaluation_steps(train), start=1)}
        self.state = TrainerState()
        self.resumed_at = 0
        """Step of the checkpoint that it resumed from; 0 if it started from scratch."""
        self.before = TrainerState()
        """How far it was there."""
        ignore_known_warnings()
        self._model = trial.method.inject(base.model, seed=trial.train.seed)
        self.trainable = sum(p.numel() for p in self._model.parameters() if p.requires_grad)
        """Trainable parameters, as the method counts them."""
        self._elements = adapter_elements(self._model)
        self._training = trial.method.training(self._model, steps=trial.train.steps)
        self._training.prepare(self._calibration_loss)
        start_from_parent(self._model, folder)
        if train.noise_alpha > 0:
            # The snapshot of the base takes it away again.
            add_noise(base.model.get_input_embeddings(), alpha=train.noise_alpha)
        self._engine = Engine(
            self._training,
            trial.train,
            trial.engine,
            task_ids=trial.method.task_ids(base.data.domains),
        )
        # Dropout: another stream on each worker, whatever the adapter has drawn before.
        torch.manual_seed(trial.train.seed + (rank() + 1 << 31))

    def train(self) -> None:
        """Trains until the trial is complete or told to end."""
        self._resume()
        # Between two evaluations, where an owner stops a sweep, there is nothing to report again.
        if self.state.step in self._evaluations:
            self.course = self._report()
        while self.course == "on" and not self.is_complete:
            self.course = self._step()
            if self.state.step in self._evaluations:
                self._evaluate()
                self.course = self._finish_evaluation()
            elif self.course != "on":
                self._save_checkpoint()

    def _finish_evaluation(self) -> Course:
        """Keeps and reports an evaluation on all rows; returns how the trial goes on."""
        if self.validated.is_cut:
            return "prune"
        has_lost = bool(self.validated.lost_to) and not self.is_complete
        if not has_lost:
            # One that has lost is resumed from the checkpoint before, and its race held again.
            self._save_checkpoint()
        course = self._report()
        return "prune" if has_lost and course != "stop" else course

    @cached_property
    def _validation(self) -> Validation:
        return Validation(
            self._trial,
            self._base,
            self._folder,
            virtual_tokens=self._training.virtual_tokens,
            contest=self._contest,
        )

    @property
    def is_over(self) -> bool:
        """Whether it is not to be gone on with."""
        return self.course != "pause" or self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether all steps are trained, or the trial's own patience is over."""
        if self.validated.is_cut:
            return False
        return self.state.step == self._trial.train.steps or self.has_waited

    @property
    def has_waited(self) -> bool:
        """Whether the trial's patience is over before all steps are trained."""
        is_early = self.state.step < self._trial.train.steps
        return is_early and self.state.waiting.is_over(self._trial)

    def save_adapter(self) -> None:
        """Writes the adapter in PEFT's format, and the chat template that it was trained with."""
        elements = self._training.file_elements(self._elements)
        template = self._base.data.chat_template
        with self._engine.whole_adapter(), self._training.finished():
            save_adapter(
                self._model, self._folder / "adapter", elements=elements, template=template
            )

    def close(self) -> None:
        """Takes the engine off the model; the base is still to be put back."""
        self._engine.close()
        del self._engine, self._model, self._training

    def _resume(self) -> None:
        found = load_checkpoint(
            self._folder / "checkpoint",
            identity=self._identity,
            workers=workers(),
            device=self._base.device,
            read_progress=TrainerState.read,
        )
        if found is None:
            return
        engine_state, self.state = found
        self._engine.restore(engine_state)
        self.resumed_at = self.state.step
        self.before = replace(self.state)

    def _step(self) -> Course:
        """Takes one optimiser step on one global batch; returns how the trial goes on."""
        train, state = self._trial.train, self.state
        started_s = time.perf_counter()
        micro_batches = self._trial.engine.gradient_accumulation
        across = train.batch_size * workers()
        examples = self._examples(state.step, across * micro_batches)
        # Each worker knows the whole global batch, so none has to ask for its answer tokens.
        answer_tokens = sum(tokens.loss_tokens for tokens in examples)
        loss = 0.0
        for number in range(micro_batches):
            start = number * across + rank() * train.batch_size
            part = self._loss(self._engine, examples[start : start + train.batch_size])
            part = part / answer_tokens
            loss += float(part.detach())
            auxiliary = self._training.auxiliary_loss()
            if auxiliary is not None:
                part = part + auxiliary / (micro_batches * workers())
            self._engine.backward(part, is_last=number == micro_batches - 1)
        course = _COURSES.index(self._progress.course()) if rank() == 0 else 0
        loss, told = sum_over_ranks([loss, course], device=self._base.device)
        self._require_finite("training", loss, step=state.step + 1)
        rate = learning_rate(train, state.step)
        norm = self._engine.step(learning_rate=rate)
        elapsed_s = time.perf_counter() - started_s
        state.step += 1
        state.train_tokens += sum(len(tokens.ids) for tokens in examples)
        state.train_time_s += elapsed_s
        metrics = {
            "train_loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            "train_tokens": float(state.train_tokens),
            "step_time_s": elapsed_s,
        }
        if rank() == 0:
            # Once in each attempt: they do not change.
            if state.step == self.resumed_at + 1:
                metrics |= self._training.facts()
            self._progress.log_step(state.step, metrics)
        self._callbacks.after_step(state.step, metrics)
        return _COURSES[round(told)]

    def _examples(self, step: int, size: int) -> list[Tokens]:
        """Returns so many training examples, with the tokens marked whose loss is trained."""
        found = self._order.batch(step, size)
        if self._trial.train.loss_on == "answers":
            return found
        # The first token of a text has nothing before it that could predict it.
        return [replace(tokens, answer_start=1, mask=()) for tokens in found]

    def _calibration_loss(self, number: int) -> torch.Tensor:
        """Returns the mean loss of a batch of training examples, the same on all workers."""

        def forward(*, domains: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
            del domains
            logits: torch.Tensor = self._model(**inputs).logits
            return logits

        examples = self._examples(number, self._trial.train.batch_size)
        answer_tokens = sum(tokens.loss_tokens for tokens in examples)
        return self._loss(forward, examples) / answer_tokens

    def _loss(self, forward: Forward, examples: list[Tokens]) -> torch.Tensor:
        """Returns the loss of some examples, summed over their answers' tokens."""
        import torch

        train, pad_id = self._trial.train, self._base.pad_id
        if train.packing:
            batch = pack(examples, pad_id, max_length=train.max_length)
        else:
            batch = collate(examples, pad_id)
        batch = {name: value.to(self._base.device) for name, value in batch.items()}
        # A cache would be of no use, and with one the model does not tell packed examples apart.
        logits, labels = answer_logits(partial(forward, use_cache=False), batch)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")

    def _evaluate(self) -> None:
        started_s = time.perf_counter()
        evaluation = self._evaluations[self.state.step]
        with self._engine.evaluating():
            found = self._validation.evaluate(self._engine, evaluation=evaluation)
        self.validated = found
        if not found.is_cut:
            self._take(found.metrics, evaluation=evaluation)
        self.state.evaluation_time_s += time.perf_counter() - started_s

    def _take(self, metrics: Mapping[str, Estimate], *, evaluation: int) -> None:
        """Takes the metrics of all rows for the trial's own."""
        state = self.state
        self._require_finite("evaluation", metrics["eval_loss"].value, step=state.step)
        state.metrics = dict(metrics)
        state.waiting = state.waiting.after(metrics, self._trial)
        if self.is_complete:
            # Before the checkpoint: whoever resumes from it does not evaluate again.
            self._validation.keep_rows(metrics, step=state.step)
        if self._trial.evaluation.keep_rows == "every":
            self._validation.keep_rows(metrics, step=state.step, name=rows_at(state.step))
        self._validation.finish(metrics, step=state.step, evaluation=evaluation)

    def _require_finite(self, kind: str, loss: float, *, step: int) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the {kind} loss is {loss} at step {step} with learning rate "
                f"{self._trial.train.learning_rate:g}; it must be a finite number; "
                "lower the learning rate"
            )

    def _save_checkpoint(self) -> None:
        started_s = time.perf_counter()
        save_checkpoint(
            self._folder / "checkpoint",
            self._engine.state(),
            identity=self._identity,
            step=self.state.step,
            progress=self.state.document(),
        )
        self.state.checkpoint_time_s += time.perf_counter() - started_s

    def _report(self) -> Course:
        """Returns, on all workers, what worker 0 was told; a callback may end the trial, too."""

        def report() -> Course:
            return self._progress.report_evaluation(
                self.state.step, self.state.metrics, final=self.is_complete
            )

        def failure(reason: str) -> TrialError:
            return TrialError(f"worker 0 could not report an evaluation: {reason}")

        course = on_first_worker(report, failure=failure)
        wants_stop = self._callbacks.after_evaluation(
            self.state.step, to_metrics(self.state.metrics)
        )
        return "prune" if wants_stop and course == "on" else course
