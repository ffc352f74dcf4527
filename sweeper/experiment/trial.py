"""What one trial is: method, training, model, data, engine.

Whoever has a :class:`TrialSpec` and its data can repeat the trial; its hash is the trial's
identity.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sweeper._spec import Spec
from sweeper.data import DataSpec
from sweeper.experiment.documents.callbacks import callback_content, require_callback_name
from sweeper.experiment.metrics import MetricEntry, PythonMetricSpec, metric_name
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.models import ModelSpec
from sweeper_adapters.methods import Method, identity_content

__all__ = ["IDENTITY_VERSION", "EngineSpec", "EvaluationSpec", "TrainSpec", "TrialSpec"]

IDENTITY_VERSION = 5
"""Part of every trial's identity; raised by any change of code that changes losses."""


class TrainSpec(Spec):
    """How one trial is trained: the optimiser is AdamW on the adapter's parameters.

    A field that earlier versions do not have is left out of what is written where it changes
    nothing: the trials of those versions keep their identities.
    """

    steps: int = Field(ge=1)
    """Optimiser steps. A file may give ``epochs`` in their place."""
    learning_rate: float = Field(gt=0, le=10)
    """Peak learning rate. A file may give ``auto`` in its place: each trial then has the rate that
    is expected to be best for its method, in its size, on the model; ``plan`` says which and
    why."""
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    """Decoupled weight decay of AdamW."""
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after the warm-up; linear and cosine end at zero."""
    beta1: float = Field(default=0.9, ge=0, lt=1, exclude_if=lambda beta: beta == 0.9)
    """Decay of AdamW's mean of the gradients."""
    beta2: float = Field(default=0.999, ge=0, lt=1, exclude_if=lambda beta: beta == 0.999)
    """Decay of AdamW's mean of their squares."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradient-norm clip over all trainable parameters; 0 turns it off."""
    batch_size: int = Field(default=8, ge=1)
    """Sequences in one micro-batch of one worker. A file may say ``auto``, with
    ``global_batch_size`` beside it: as many as there is memory for."""
    max_length: int = Field(default=256, ge=8)
    """Most tokens of an example, prompt and answer together. A longer example is cut: its prompt on
    the left and, in training, an answer that takes half of the length or more on the right. Both
    are counted. Evaluations never cut an answer."""
    bucketing: bool = False
    """Forms micro-batches of examples of similar length, which reduces padding. The order of the
    data is then less random: every 64 micro-batches of the shuffled data are sorted by length,
    divided into micro-batches, and those are shuffled. The order still depends on the seed
    alone."""
    packing: bool = False
    """Packs several examples of a micro-batch into one row of at most ``max_length`` tokens, which
    reduces padding. Examples do not attend to each other. The batch holds the same examples, and
    loss and gradients are the same up to rounding."""
    loss_on: Literal["answers", "all"] = Field(
        default="answers", exclude_if=lambda tokens: tokens == "answers"
    )
    """Tokens whose loss is trained: those of the answers, or those of the prompts, too. Evaluations
    always measure the loss of the answers."""
    noise_alpha: float = Field(default=0.0, ge=0, le=1000, exclude_if=lambda alpha: alpha == 0)
    """Scale of uniform noise on the tokens' embeddings in training (NEFTune, Jain et al. 2023,
    arXiv:2310.05914, whose authors try 5, 10 and 15); 0 for none."""
    evaluations: int = Field(default=4, ge=1)
    """Evaluations on the validation split, evenly spaced; the last one is at the end. ASHA stops
    trials only at these."""
    eval_examples: int = Field(default=64, ge=1)
    """Validation examples of one evaluation. All trials are evaluated on the same seeded subset,
    which contains examples of every task if it is large enough."""
    patience: int = Field(default=0, ge=0, exclude_if=lambda evaluations: evaluations == 0)
    """Evaluations in a row without improvement of the objective after which a trial ends; 0 for
    none. Such a trial is complete: it counts with its last evaluation and its last weights. The
    learning rate's schedule stays laid out for ``steps``. At most ``evaluations - 2``."""
    min_improvement: float = Field(default=0.0, ge=0, exclude_if=lambda least: least == 0)
    """By how much the objective must be better than at its last improvement to count as improved,
    in units of the objective, with ``patience``; at 0 anything better counts."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the adapter's initial values, the order of the data, and dropout."""
    callbacks: tuple[str, ...] = Field(default=(), exclude_if=lambda callbacks: not callbacks)
    """Classes whose objects see each step and each evaluation of a trial, and may stop it:
    ``FILE.py:CLASS`` or ``PACKAGE.MODULE:CLASS``. A relative file is looked for beside the
    search-space file, then in the current folder; on a cluster it must lie at the same path on
    every node. It is code that runs with your rights in the workers. A trial's identity has the
    hash of the file, not of what it imports."""

    @field_validator("callbacks")
    @classmethod
    def _callbacks_are_named(cls, callbacks: tuple[str, ...]) -> tuple[str, ...]:
        for name in callbacks:
            require_callback_name(name)
        return callbacks

    @model_validator(mode="after")
    def _evaluations_fit(self) -> TrainSpec:
        if self.evaluations > self.steps:
            raise ValueError(
                f"evaluations is {self.evaluations} but steps is {self.steps}; "
                "give at most one evaluation a step"
            )
        return self

    @model_validator(mode="after")
    def _patience_can_end_it(self) -> TrainSpec:
        if self.min_improvement > 0 and self.patience == 0:
            raise ValueError(
                f"min_improvement is {self.min_improvement:g} but patience is 0, so nothing asks "
                "for it; it must stand beside a patience of at least 1; set patience, or leave "
                "min_improvement out"
            )
        most = self.evaluations - 2
        if self.patience > max(0, most):
            allowed = f"{most} at most" if most > 0 else "0, for so few evaluations"
            raise ValueError(
                f"patience is {self.patience} but evaluations is {self.evaluations}, so that a "
                f"trial would end at evaluation {self.patience + 1} at the earliest and nothing "
                f"be saved; it must be {allowed}; lower patience, or give more evaluations"
            )
        return self


class EngineSpec(Spec):
    """How DeepSpeed runs a trial."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    """ZeRO stage: 0 replicates, 1 shards the optimiser state, 2 also gradients, 3 also weights."""
    offload: Literal["none", "cpu"] = "none"
    """Where the optimiser state is kept (and, with ZeRO 3, the weights)."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Dtype of the frozen base and of the arithmetic; with bf16 and fp16 the optimiser keeps fp32
    copies."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """Micro-batches in one optimiser step."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass (always non-reentrant)."""

    @model_validator(mode="after")
    def _offload_needs_zero(self) -> EngineSpec:
        if self.offload != "none" and self.zero_stage == 0:
            raise ValueError(
                "offload is 'cpu' but zero_stage is 0; offload needs zero_stage 1, 2 or 3"
            )
        return self


class EvaluationSpec(Spec):
    """How answers are generated and scored, where what a model writes is scored."""

    metrics: tuple[MetricEntry, ...] = Field(default=(), exclude_if=lambda metrics: not metrics)
    """Metrics of data that is not made of tasks, by name, or as Python functions:
    ``[rouge_l, {python: "my_metrics.py:score", mode: max}]``. Each is reported as ``<metric>`` and,
    where there are several domains, ``<metric>/<domain>``. Answers are generated for all of them
    but ``choice`` (reported as ``accuracy``) and ``perplexity``. Without any, such data has
    ``accuracy`` besides the loss. Tasks name their own."""
    generates: bool = False
    """Whether evaluations during training generate answers. If false, metrics of generated text are
    not reported there; the loss is, and whether greedy decoding would give the reference answer
    token by token. The final evaluation always generates."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a generated answer; null uses the task's limit. Without a task it is as many
    as the longest answer has among the rows of the evaluation."""
    stop: tuple[str, ...] | None = None
    """Texts that end a generated answer; null uses the task's."""
    keep_rows: Literal["last", "every"] = Field(
        default="last", exclude_if=lambda kept: kept == "last"
    )
    """Of which evaluations in training a trial keeps what each row contributes: of the last one, or
    of every one, a file each (``validation_rows-<step>.npz``). The files of 128 rows take about
    2 KB each. It is part of a trial's identity, so that whoever asks for the files gets them."""
    encoder: str | None = None
    """Folder of the encoder for BERTScore. Without it the metric is not computed."""
    encoder_layer: int | None = Field(default=None, ge=1)
    """Layer of the encoder whose outputs BERTScore compares, counted from 1; null uses the last.
    The authors use layer 17 of roberta-large."""

    @field_validator("metrics")
    @classmethod
    def _each_once(
        cls, metrics: tuple[str | PythonMetricSpec, ...]
    ) -> tuple[str | PythonMetricSpec, ...]:
        names = [metric_name(entry) for entry in metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"{', '.join(twice)} stands there more than once; a metric is reported under its "
                "name; remove one, or give a function another name"
            )
        return metrics

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of ``metrics``, in their order."""
        return tuple(metric_name(entry) for entry in self.metrics)

    @property
    def functions(self) -> tuple[PythonMetricSpec, ...]:
        """Those of ``metrics`` that are Python functions."""
        return tuple(entry for entry in self.metrics if not isinstance(entry, str))


class TrialSpec(Spec):
    """One training run, complete: whoever has this and the data can repeat it."""

    method: Method
    """The adapter and its parameters."""
    train: TrainSpec
    """Optimisation."""
    model: ModelSpec
    """The frozen base model."""
    data: DataSpec
    """Training and evaluation data."""
    engine: EngineSpec = EngineSpec()
    """DeepSpeed."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """How generated answers are scored."""
    objective: ObjectiveSpec | None = Field(
        default=None, validate_default=True, exclude_if=lambda objective: objective is None
    )
    """What ``train.patience`` looks at: the sweep's objective. A trial without patience has none,
    whatever it is given: its training does not hang on it."""
    workers: int = Field(default=1, ge=1)
    """Data-parallel workers; part of the identity, because the batch grows with them."""

    @field_validator("train")
    @classmethod
    def _method_is_packable(cls, train: TrainSpec, info: ValidationInfo) -> TrainSpec:
        method: Method | None = info.data.get("method")
        if train.packing and method is not None and not method.is_packable:
            raise ValueError(
                f"packing is true but {method.name} adds to the rows of a batch, or treats them "
                "apart; with it each row may hold one example only; set packing to false"
            )
        return train

    @field_validator("train")
    @classmethod
    def _method_takes_betas(cls, train: TrainSpec, info: ValidationInfo) -> TrainSpec:
        method: Method | None = info.data.get("method")
        is_plain = (train.beta1, train.beta2) == (0.9, 0.999)
        if method is not None and method.has_own_moments and not is_plain:
            raise ValueError(
                f"beta1 is {train.beta1:g} and beta2 is {train.beta2:g}, but {method.name} keeps "
                "moments of its own, with 0.9 and 0.999; leave both out"
            )
        return train

    @field_validator("train")
    @classmethod
    def _method_may_end_early(cls, train: TrainSpec, info: ValidationInfo) -> TrainSpec:
        method: Method | None = info.data.get("method")
        if train.patience and method is not None and method.needs_all_steps:
            raise ValueError(
                f"patience is {train.patience}, but {method.name} lays its training out over all "
                "steps, so that what ends early is not what was asked for; it must be 0; leave "
                "patience out, or the method"
            )
        return train

    @field_validator("objective", mode="before")
    @classmethod
    def _objective_is_of_patience(cls, objective: object, info: ValidationInfo) -> object:
        train: TrainSpec | None = info.data.get("train")
        if train is None or not train.patience:
            return None
        if objective is None:
            raise ValueError(
                f"is missing, but train.patience is {train.patience}; patience needs the metric "
                "that must improve; give the metric and its mode, or leave patience out"
            )
        return objective

    def identity(self, *, data_fingerprint: str = "") -> str:
        """Returns 12 hex digits that name this trial by its content.

        Args:
            data_fingerprint: hash of the data's content, and of the model's where its spec names a
                path, so that changed files make a new trial.

        Raises:
            MissingError: a callback's file is not there.
        """
        content = self.model_dump(mode="json")
        content["method"] = identity_content(self.method)
        if self.evaluation.metrics:
            content["evaluation"]["metrics"] = [
                entry if isinstance(entry, str) else entry.content()
                for entry in self.evaluation.metrics
            ]
        if self.train.callbacks:
            content["train"]["callbacks"] = [callback_content(x) for x in self.train.callbacks]
        content["identity_version"] = IDENTITY_VERSION
        content["data_fingerprint"] = data_fingerprint
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
