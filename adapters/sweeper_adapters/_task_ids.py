"""Which task each sample of a batch belongs to, for the layers that treat tasks apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from sweeper_adapters.training import Training

__all__ = ["TaskIds", "TaskTraining", "set_task_ids"]


class TaskIds:
    """The task of each sample in the passes that follow; one for each model, read by its layers.

    It is not forgotten after a forward pass: gradient checkpointing runs it again in the backward
    pass.
    """

    def __init__(self) -> None:
        self._ids: Tensor | None = None

    def set(self, task_ids: Tensor | None) -> None:
        """Takes the task of each sample, [B], integers from 0; None when it is not known."""
        self._ids = task_ids

    @contextmanager
    def on_rows(self, rows: Tensor) -> Iterator[None]:
        """Knows, while it is open, the tasks of some samples of the batch alone.

        Args:
            rows: their indices, int64.
        """
        whole = self._ids
        if whole is not None:
            self._ids = whole[rows.to(whole.device)]
        try:
            yield
        finally:
            self._ids = whole

    def of(self, x: Tensor, *, tasks: int, method: str) -> Tensor:
        """Returns the task of each sample of x, [B], on its device.

        Args:
            x: activations, [B, ..., I].
            tasks: how many there are; with one task nothing need be known.
            method: name for the message.

        Raises:
            ValueError: they are not known, or are not as many as the samples.
        """
        if tasks == 1:
            return x.new_zeros(x.shape[0]).long()
        ids = self._ids
        if ids is not None and x.ndim == 2 and 1 < len(ids) < len(x):
            raise ValueError(
                f"{method}: the model gives this layer {len(x)} rows for {len(ids)} samples, "
                "samples and tokens in one dimension, so that the task of a row cannot be known; "
                "leave the layer out of the targets, or take a method without tasks"
            )
        if ids is None or ids.shape != x.shape[:1]:
            got = "none" if ids is None else f"{tuple(ids.shape)}"
            raise ValueError(
                f"{method}: task ids are {got} for a batch of {x.shape[0]}; needed is one for each "
                "sample; call sweeper_adapters.set_task_ids(model, ids) before the forward pass"
            )
        return ids.to(x.device)


def set_task_ids(model: nn.Module, task_ids: Tensor | None) -> None:
    """Tells a model's adapters the task of each sample of the passes that follow.

    Args:
        model: with an adapter that treats tasks apart; any other is left alone.
        task_ids: [B], integers from 0; None when it is not known.
    """
    holders = (getattr(module, "task_ids", None) for module in model.modules())
    for holder in {id(found): found for found in holders if isinstance(found, TaskIds)}.values():
        holder.set(task_ids)


class TaskTraining(Training):
    """Training of a method whose layers treat tasks apart."""

    def set_task_ids(self, task_ids: Tensor) -> None:
        """Tells the layers the task of each sample of the passes that follow, [B], int64."""
        set_task_ids(self.model, task_ids)
