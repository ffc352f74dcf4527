"""A trained adapter, as it lies on disk, evaluated on a replica's base; and the base itself.

Knows nothing of Ray, of checkpoints or of DeepSpeed. All workers call each function together, and
share the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sweeper_adapters
from sweeper.data import Example
from sweeper.data.questions import questions_of, rows_by_task, split_by_room
from sweeper.data.row_order import RowOrder, row_order
from sweeper.errors import DataError
from sweeper.estimates import Estimate, to_metrics
from sweeper.evaluation.adapter.loading import load_adapter
from sweeper.evaluation.likelihood import Forward
from sweeper.evaluation.protocol import generation_settings, protocol_of
from sweeper.evaluation.scoring import evaluate_on, frozen_forward
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.models.snapshot import ModelSnapshot

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

__all__ = [
    "AdaptedModel",
    "Evaluation",
    "evaluate_adapter",
    "evaluate_frozen",
    "require_domains",
    "with_adapter",
]


@dataclass(frozen=True)
class Evaluation:
    """Metrics, and how they were measured."""

    estimates: Mapping[str, Estimate]
    """As of :func:`sweeper.evaluation.scoring.evaluate`."""
    protocol: Mapping[str, object]
    """As of :func:`sweeper.evaluation.protocol.protocol_of`."""
    rows: Mapping[str, int]
    """Examples evaluated, by task; under an empty name those of no task."""
    rows_left_out: Mapping[str, int]
    """Examples left out, because an answer did not fit; only if there are any."""
    order: RowOrder
    """The examples evaluated, in the order in which they were asked."""

    @property
    def metrics(self) -> dict[str, float]:
        """The same as plain numbers."""
        return to_metrics(self.estimates)


@dataclass(frozen=True)
class AdaptedModel:
    """A base with a trained adapter in it."""

    model: PeftModel
    forward: Forward
    """The model as :func:`sweeper.evaluation.scoring.evaluate` takes it."""
    virtual_tokens: int
    """That the method puts before each text."""


def require_domains(trial: TrialSpec, base: FrozenBase) -> Mapping[str, int]:
    """Returns the method's number of each domain that it was trained on.

    Args:
        trial: that trained the adapter.
        base: with the trial's data.

    Raises:
        DataError: the data has other domains than then.
    """
    try:
        return dict(zip(base.data.domains, trial.method.task_ids(base.data.domains), strict=True))
    except ValueError as error:
        raise DataError(
            f"the data is not what the trial was trained on: {error}; its domains select the part "
            "of the adapter that is used; restore the data that the trial ran on"
        ) from error


@contextmanager
def with_adapter(trial: TrialSpec, base: FrozenBase, adapter: Path) -> Iterator[AdaptedModel]:
    """Puts an adapter into a base for as long as it is open.

    Args:
        trial: that trained the adapter.
        base: with the trial's model and data; not in use by another trial.
        adapter: folder with PEFT's files.

    Raises:
        AdapterError: the files in the folder are missing, damaged, or of another adapter.
    """
    kept = ModelSnapshot(base.model, copies_weights=trial.method.changes_base)
    try:
        # In the dtype that it has on disk, which is the one it was trained and evaluated in.
        model = load_adapter(trial, base.model, adapter)
        model.eval()
        yield _with_domains(trial, base, model)
        del model
    finally:
        base.put_back(kept)


def evaluate_adapter(
    trial: TrialSpec, base: FrozenBase, adapter: Path, examples: Sequence[Example]
) -> Evaluation:
    """Returns the metrics of a trained adapter; tasks that score generated answers generate them.

    Args:
        trial: that trained the adapter; says how long prompts may be and how answers are generated.
        base: with the trial's model and data.
        adapter: folder with PEFT's files.
        examples: what to ask: of the base's splits, or of any task. One of a domain that the trial
            was not trained on counts as of its first.

    Raises:
        AdapterError: the files in the folder are missing, damaged, or of another adapter.
        DataError: there is no example to evaluate on.
    """
    with with_adapter(trial, base, adapter) as found:
        return _evaluate(found.forward, trial, base, examples, virtual_tokens=found.virtual_tokens)


def evaluate_frozen(trial: TrialSpec, base: FrozenBase, examples: Sequence[Example]) -> Evaluation:
    """Returns the metrics of the base without an adapter, evaluated as a trial is.

    Args:
        trial: that it is compared with.
        base: not in use by a trial.
        examples: as in :func:`evaluate_adapter`.
    """
    return _evaluate(frozen_forward(base), trial, base, examples, virtual_tokens=0)


def _evaluate(
    forward: Forward,
    trial: TrialSpec,
    base: FrozenBase,
    examples: Sequence[Example],
    *,
    virtual_tokens: int,
) -> Evaluation:
    import torch

    length = trial.train.max_length
    questions = questions_of(examples, base.tokenizer, length, domains=base.data.domains)
    settings = generation_settings(
        base, trial.evaluation, max_length=length, virtual_tokens=virtual_tokens
    )
    with torch.no_grad():
        estimates = evaluate_on(base, forward, questions, settings, generates=True)
    asked, left_out = split_by_room(questions, generates=True)
    return Evaluation(
        estimates,
        protocol_of(questions, settings, max_length=length),
        rows_by_task(asked),
        rows_by_task(left_out),
        row_order(questions, generates=True),
    )


def _with_domains(trial: TrialSpec, base: FrozenBase, model: PeftModel) -> AdaptedModel:
    import torch

    task_ids = torch.tensor(trial.method.task_ids(base.data.domains), device=base.device)
    config = model.active_peft_config
    virtual_tokens = int(config.num_virtual_tokens) if config.is_prompt_learning else 0

    def forward(
        *, domains: torch.Tensor, logits_to_keep: torch.Tensor, **inputs: torch.Tensor
    ) -> torch.Tensor:
        if trial.method.needs_task_ids:
            sweeper_adapters.set_task_ids(model, task_ids[domains])
        kept = torch.nn.functional.pad(logits_to_keep, (virtual_tokens, 0))
        logits: torch.Tensor = model(**inputs, logits_to_keep=kept).logits
        return logits

    return AdaptedModel(model, forward, virtual_tokens)
