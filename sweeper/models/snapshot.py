"""The state of a model before a trial, and the way back to it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from sweeper.distributed import workers

if TYPE_CHECKING:
    import torch

__all__ = ["ModelSnapshot"]


class ModelSnapshot:
    """The state of a model before a trial, and the way back to it.

    An adapter replaces modules, an engine adds hooks and attributes and, under ZeRO-3, cuts the
    weights into shards. All of that hangs on the attributes of modules and parameters, so these are
    noted and put back, whatever a trial did and wherever it failed. The weights themselves are
    copied, to the CPU, only for a method that changes them. Good for one restore.
    """

    def __init__(self, model: torch.nn.Module, *, copies_weights: bool = False) -> None:
        self._modules = [(module, _note(module)) for module in model.modules()]
        self._parameters = [
            (parameter, parameter.requires_grad, dict(vars(parameter)))
            for parameter in model.parameters()
        ]
        copied = model.parameters() if copies_weights else ()
        self._weights = [parameter.detach().to("cpu", copy=True) for parameter in copied]

    @property
    def is_sharded(self) -> bool:
        """Whether a weight is cut into shards (ZeRO-3), so that putting it back needs all ranks."""
        return any(hasattr(parameter, "ds_tensor") for parameter, _, _ in self._parameters)

    def restore(self) -> None:
        """Puts the model back. Under ZeRO-3 all workers must call it."""
        for parameter, requires_grad, attributes in self._parameters:
            _unshard(parameter)
            vars(parameter).clear()
            vars(parameter).update(attributes)
            parameter.requires_grad_(requires_grad)
            parameter.grad = None
        for (parameter, _, _), weight in zip(self._parameters, self._weights, strict=False):
            # The method may have given back the memory that it was in.
            parameter.data = weight.to(parameter.device)
        # Whoever holds the error of a failed trial would hold them, too.
        self._weights.clear()
        for module, noted in self._modules:
            vars(module).clear()
            vars(module).update(noted)


def _note(module: torch.nn.Module) -> dict[str, Any]:
    """Returns the attributes of a module, with a copy of each container (children, hooks, …)."""
    containers = {dict, OrderedDict, set, list}
    return {
        name: value.copy() if type(value) in containers else value
        for name, value in vars(module).items()
    }


def _unshard(parameter: torch.nn.Parameter) -> None:
    """Makes a parameter whole that ZeRO-3 has cut into shards.

    Reads the shards themselves, not DeepSpeed's gathered copy: they are right also where a trial
    failed in the middle of a forward pass.
    """
    import torch
    import torch.distributed as dist

    shard = getattr(parameter, "ds_tensor", None)
    if shard is None:
        return
    # With offload the shard lives in the CPU's memory, the process group on the GPU.
    local = shard.data.to(parameter.device)
    shards = [local]
    if workers() > 1:
        shards = [torch.empty_like(local) for _ in range(workers())]
        dist.all_gather(shards, local)
    whole = torch.cat(shards)[: parameter.ds_numel]  # type: ignore[attr-defined]
    parameter.data = whole.view(parameter.ds_shape).clone()  # type: ignore[attr-defined]
