"""Gradients of what a trial has trained, on rows of one task at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweeper.analysis.inspection.model.opening import OpenTrial
from sweeper.analysis.inspection.model.rows import Row
from sweeper.data.tokens.encoding import Tokens, collate
from sweeper.errors import BadInputError, TrialError
from sweeper.evaluation.likelihood import answer_logits
from sweeper.experiment.trial import TrialSpec
from sweeper.models import DTYPES
from sweeper.models.shapes import skeleton

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TaskBatches", "mean_gradient", "require_trained_form", "trained_parameters"]


# Rows of one pass: activations of more would be kept for the backward pass.
AT_ONCE = 16


@dataclass(frozen=True)
class TaskBatches:
    """Rows of each task, in as many batches each."""

    batches: Mapping[str, tuple[tuple[Row, ...], ...]]

    @classmethod
    def of(cls, rows: Mapping[str, Sequence[Row]], *, batches: int) -> TaskBatches:
        """Returns the rows of each task, dealt out to so many batches of one size.

        Args:
            rows: by task, each at least as many as batches.
            batches: how many.
        """
        size = min(map(len, rows.values())) // batches
        return cls(
            {
                task: tuple(
                    tuple(own[start : start + size]) for start in range(0, batches * size, size)
                )
                for task, own in rows.items()
            }
        )

    @property
    def rows(self) -> int:
        """Rows of all batches."""
        return sum(len(batch) for own in self.batches.values() for batch in own)


def require_trained_form(trial: TrialSpec) -> None:
    """Checks that an adapter's file holds the parameters that were trained.

    Raises:
        BadInputError: it holds what they come to.
    """
    if not trial.method.saves_as_trained:
        raise BadInputError(
            f"conflict: the file of a {trial.method.label} adapter holds what its trained "
            "parameters come to, and not themselves, so their gradients cannot be had; it must be "
            "a method whose file can be trained on; take a trial of another one"
        )


def trained_parameters(opened: OpenTrial) -> list[nn.Parameter]:
    """Returns the parameters that the trial has trained; they now require a gradient.

    Which they are the method itself says, put into the model's shape.
    """
    import torch

    trial, model = opened.trial, opened.adapted.model
    built = skeleton(opened.base.model.config.to_dict(), dtype=DTYPES[trial.engine.precision])
    with torch.device("meta"):
        injected = trial.method.inject(built, seed=trial.train.seed)
    names = {name for name, value in injected.named_parameters() if value.requires_grad}
    found = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
        if name in names:
            found.append(parameter)
    assert len(found) == len(names), "the adapter was loaded with the names that it has"
    return found


def mean_gradient(
    opened: OpenTrial, parameters: Sequence[nn.Parameter], rows: Sequence[Row]
) -> Tensor:
    """Returns the gradient of the mean loss of some rows, [K] float32, without dropout.

    Args:
        opened: the trial, in evaluation.
        parameters: what the gradient is of, one after another.
        rows: of one task; the loss is the mean over their learnt tokens.

    Raises:
        TrialError: the gradient is not finite.
    """
    import torch

    learnt = [_learnt(row.tokens, opened.trial) for row in rows]
    total = sum(tokens.loss_tokens for tokens in learnt)
    parts = [learnt[start : start + AT_ONCE] for start in range(0, len(learnt), AT_ONCE)]
    gradient = torch.stack([_gradient(opened, parameters, part) for part in parts]).sum(0) / total
    if not bool(torch.isfinite(gradient).all()):
        raise TrialError(
            "conflict: a gradient is not finite (NaN or infinite); the adapter must give finite "
            "losses; look at the trial's losses, or take another trial"
        )
    return gradient


def _gradient(
    opened: OpenTrial, parameters: Sequence[nn.Parameter], rows: Sequence[Tokens]
) -> Tensor:
    """Returns the gradient of the summed loss of rows, [K] float32."""
    import torch

    inputs = collate(rows, opened.base.pad_id)
    inputs = {name: value.to(opened.base.device) for name, value in inputs.items()}
    logits, labels = answer_logits(opened.adapted.forward, inputs)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat(
        [
            torch.zeros(parameter.numel(), device=parameter.device)
            if gradient is None
            else gradient.detach().float().flatten()
            for parameter, gradient in zip(parameters, found, strict=True)
        ]
    )


def _learnt(tokens: Tokens, trial: TrialSpec) -> Tokens:
    """Returns a row with the tokens marked whose loss the trial has trained."""
    if trial.train.loss_on == "answers":
        return tokens
    return replace(tokens, answer_start=1, mask=())
