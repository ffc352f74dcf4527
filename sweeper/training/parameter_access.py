"""Access to trained parameters and their gradients, whichever way DeepSpeed keeps them.

Each class here is a :class:`~sweeper_adapters.training.Parameters`. They look into DeepSpeed 0.19.8
where its own ``deepspeed.utils.safe_get_full_grad`` and the like do not do it:

* without ZeRO and in 16 bit these find no float32 values, and give gradients in 16 bit;
* they leave the loss scale in gradients;
* under ZeRO-3 writing fails when a parameter cannot be cut into equal parts for all workers;
* with offload the norm that gradients are clipped by stays that of the gradients before;
* what they write as a value reaches the model only after the next step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweeper.distributed import rank, workers

if TYPE_CHECKING:
    import torch

    from sweeper_adapters.training import Parameters

__all__ = ["parameters_of"]


def parameters_of(
    optimizer: Any,  # noqa: ANN401 - here and below: DeepSpeed has no types
    *,
    zero_stage: int,
    precision: str,
) -> Parameters:
    """Returns access to the trained parameters of a DeepSpeed engine.

    Args:
        optimizer: the engine's.
        zero_stage: 0 to 3.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """
    if zero_stage == 0:
        return _Plain() if precision == "fp32" else _Copies(optimizer)
    return _Shards(optimizer) if zero_stage == 3 else _Fragments(optimizer)


class _Plain:
    """ZeRO-0 in float32: torch's optimizer on the model's own parameters."""

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        import torch

        if parameter.grad is None:
            return torch.zeros_like(parameter)
        return parameter.grad.clone()

    def set_gradient(self, parameter: torch.nn.Parameter, gradient: torch.Tensor) -> None:
        parameter.grad = gradient.clone()

    def value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        return parameter.detach().clone()

    def set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        parameter.data.copy_(value)


class _Copies:
    """ZeRO-0 in 16 bit: gradients in 16 bit, and float32 copies of the parameters."""

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401
        self._optimizer = optimizer
        self._copies = {
            id(parameter): copy
            for parameters, copies in zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True)
            for parameter, copy in zip(parameters, copies, strict=True)
        }

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        import torch

        if parameter.grad is None:
            return torch.zeros_like(parameter, dtype=torch.float32)
        gradient: torch.Tensor = parameter.grad.float() / self._optimizer.loss_scale
        return gradient

    def set_gradient(self, parameter: torch.nn.Parameter, gradient: torch.Tensor) -> None:
        parameter.grad = (gradient * self._optimizer.loss_scale).to(parameter.dtype)

    def value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        copy: torch.Tensor = self._copies[id(parameter)]
        return copy.detach().clone()

    def set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        self._copies[id(parameter)].data.copy_(value)
        parameter.data.copy_(value)


class _Fragments:
    """ZeRO-1 and 2: each worker has the gradients and float32 values of its part of all of them.

    A parameter may lie in the parts of several workers; on each, DeepSpeed notes the fragment.
    """

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401
        self._optimizer = optimizer

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        scaled = parameter.get_full_hp_grad()  # type: ignore[attr-defined]
        gradient: torch.Tensor = scaled / self._optimizer.loss_scale
        return gradient

    def set_gradient(self, parameter: torch.nn.Parameter, gradient: torch.Tensor) -> None:
        scaled = gradient * self._optimizer.loss_scale
        parameter.set_full_hp_grad(scaled)  # type: ignore[attr-defined]
        fragment = parameter._hp_mapping  # type: ignore[attr-defined]
        if fragment is not None and fragment.use_offload:
            index = parameter._index_in_param_group  # type: ignore[attr-defined]
            norm = fragment.get_lp_grad_fragment(index).double().norm()
            self._optimizer.norm_for_param_grads[self._optimizer.get_param_id(parameter)] = norm

    def value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        value: torch.Tensor = parameter.get_full_hp_param()  # type: ignore[attr-defined]
        return value

    def set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        parameter.set_full_hp_param(value)  # type: ignore[attr-defined]
        parameter.data.copy_(value)


class _Shards:
    """ZeRO-3: each worker has an equal shard of each parameter, filled up at the end."""

    def __init__(self, optimizer: Any) -> None:  # noqa: ANN401
        self._optimizer = optimizer

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        scaled = self._optimizer.get_fp32_grad_for_param(parameter)
        gradient: torch.Tensor = scaled / self._optimizer.loss_scale
        return gradient

    def set_gradient(self, parameter: torch.nn.Parameter, gradient: torch.Tensor) -> None:
        shard = _shard(parameter, gradient * self._optimizer.loss_scale)
        # Of DeepSpeed's two ways to write it the one that updates the norm, too.
        self._optimizer.set_local_grad_for_param(shard, parameter)

    def value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        value: torch.Tensor = self._optimizer.get_full_hp_param(parameter)
        return value.clone()

    def set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        shard = _shard(parameter, value)
        self._optimizer.set_local_hp_param(shard, parameter)
        parameter.ds_tensor.data.copy_(shard)  # type: ignore[attr-defined]
        # A small parameter stays whole between the passes, beside its shard.
        if parameter.shape == parameter.ds_shape:  # type: ignore[attr-defined]
            parameter.data.copy_(value)


def _shard(parameter: torch.nn.Parameter, whole: torch.Tensor) -> torch.Tensor:
    """Returns this worker's shard of a tensor of the shape of a parameter under ZeRO-3."""
    size: int = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
    padded = whole.new_zeros(size * workers())
    padded[: whole.numel()] = whole.flatten()
    return padded[rank() * size : (rank() + 1) * size]
