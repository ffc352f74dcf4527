"""Training of HD-PiSSA: whose sample each is, and what happens after each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from sweeper_adapters.methods.hd_pissa.tuner import HdPissaLinear, SliceIds, Slices
from sweeper_adapters.training import ParameterGroup, Parameters, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["HdPissaTraining"]


class HdPissaTraining(Training):
    """Training of K slices on any number of workers, with the numbers of the paper's K.

    Every worker holds all slices. The samples that all workers see at once, worker by worker, go to
    slices 0, 1, …, K − 1, 0, 1, … in turn, as the authors' sampler deals them out to GPUs. A
    gradient is summed over the workers, so each slice gets that of its own samples, and nothing of
    the others', wherever they were. This does not depend on how a global batch is cut into workers
    and micro-batches.
    """

    def __init__(self, model: PeftModel, *, slices: int) -> None:
        super().__init__(model)
        self._count = slices
        started = dist.is_available() and dist.is_initialized()
        self._rank, self._workers = (dist.get_rank(), dist.get_world_size()) if started else (0, 1)

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns all moves, without weight decay: they are zero when it would act.

        A slice sees about 1/K of the global batch, whose mean loss is what is differentiated; the
        paper's GPU takes the mean over its own samples. AdamW's step is unchanged by the factor K
        once ε has it, too.
        """
        trained = tuple(p for p in self.model.parameters() if p.requires_grad)
        return [ParameterGroup(trained, weight_decay=0.0, eps=1 / self._count)]

    def set_task_ids(self, task_ids: Tensor) -> None:
        """Tells the layers the slice of each sample; in evaluation, where moves are zero, of none.

        Args:
            task_ids: what is read is how many samples there are, [B].

        Raises:
            ValueError: the samples of all workers cannot be dealt out evenly.
        """
        ids = None
        if self.model.training:
            samples = len(task_ids)
            if samples * self._workers % self._count:
                raise ValueError(
                    f"hd_pissa: {self._workers} workers with {samples} sequences each in a "
                    f"micro-batch see {samples * self._workers} at once; it must be a multiple of "
                    f"the {self._count} slices; change batch_size, workers or slices"
                )
            ids = torch.arange(samples, device=task_ids.device) + self._rank * samples
            ids %= self._count
        for holder in self._holders():
            holder.set(ids)

    def after_step(
        self,
        parameters: Parameters,
        *,
        learning_rate: float,  # noqa: ARG002 - the base class's signature
        weight_decay: float,  # noqa: ARG002
    ) -> None:
        """Adds what all slices have moved to D, and makes the moves zero."""
        for _, slices in self._layers():
            move_a, move_b = parameters.value(slices.move_a), parameters.value(slices.move_b)
            slices.change.copy_(slices.total(move_a, move_b))
            parameters.set_value(slices.move_a, torch.zeros_like(move_a))
            parameters.set_value(slices.move_b, torch.zeros_like(move_b))

    def state(self) -> Mapping[str, Tensor]:
        """Returns A, B and D of all layers.

        A and B could be computed again, but hardly on other hardware to the same signs.
        """
        return {
            f"{name}.{part}": buffer.detach()
            for name, slices in self._layers()
            for part, buffer in slices.named_buffers()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets them."""
        for name, slices in self._layers():
            for part, buffer in slices.named_buffers():
                buffer.copy_(state[f"{name}.{part}"])

    def _layers(self) -> Iterator[tuple[str, Slices]]:
        """Yields name and slices for each active adapter of each layer."""
        for name, layer in self.model.named_modules():
            if isinstance(layer, HdPissaLinear):
                for adapter_name in layer.active_adapters:
                    if layer.holds(adapter_name):
                        yield f"{name}.{adapter_name}", layer.slices(adapter_name)

    def _holders(self) -> set[SliceIds]:
        layers = (x for x in self.model.modules() if isinstance(x, HdPissaLinear))
        return {layer.slice_ids for layer in layers}
