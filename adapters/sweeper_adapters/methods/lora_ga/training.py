"""Training of LoRA-GA: gradients of the frozen weights first, and the start along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from sweeper_adapters._tuner.origin import OriginTraining
from sweeper_adapters.methods.lora_ga.tuner import LoraGaLinear

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["LoraGaTraining"]


class LoraGaTraining(OriginTraining):
    """Makes each adapter begin along the gradient of its frozen weight."""

    def __init__(self, model: PeftModel, *, gamma: float, batches: int) -> None:
        super().__init__(model)
        self._gamma = gamma
        self._batches = batches

    def prepare(self, loss: Callable[[int], Tensor]) -> None:
        """Sets the initial values; needs memory on the CPU for all adapted weights in float32.

        Only the gradient's direction matters, so the losses of the batches are just added up. A
        layer that no batch has used keeps the start of a plain LoRA.

        Args:
            loss: gives the mean loss of the i-th calibration batch; the same on all workers.

        Raises:
            ValueError: a weight is quantised, or a gradient not finite.
        """
        layers = [(x, name) for _, x, name in self.layers() if isinstance(x, LoraGaLinear)]
        weights = {id(layer.weight): layer.weight for layer, _ in layers}
        gradients = _take_gradients(list(weights.values()), loss, self._batches)
        for layer, adapter_name in layers:
            gradient = gradients.get(id(layer.weight))
            if gradient is not None:
                layer.align(adapter_name, gradient, gamma=self._gamma)
        self._agree()

    def _agree(self) -> None:
        """Gives all workers the values of the first, where their hardware may round otherwise."""
        if not dist.is_initialized():
            return
        for _, layer, adapter_name in self.layers():
            for side in layer.adapter_layer_names:
                for value in getattr(layer, side)[adapter_name].state_dict().values():
                    dist.broadcast(value, src=0)


def _take_gradients(
    weights: list[Tensor], loss: Callable[[int], Tensor], batches: int
) -> dict[int, Tensor]:
    """Returns the gradient of the summed losses by each frozen weight, on the CPU, in float32."""
    for weight in weights:
        if not weight.is_floating_point():
            raise ValueError(
                f"lora_ga: a frozen weight is of {weight.dtype}, which has no gradient; it must be "
                "float32, bfloat16 or float16; take a base that is not quantised"
            )
    sums: dict[int, Tensor] = {}

    def collect(parameter: Tensor) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.to("cpu", torch.float32, copy=True)
        # At once: all gradients together would need as much memory as the weights.
        parameter.grad = None
        total = sums.setdefault(id(parameter), torch.zeros_like(gradient))
        total += gradient

    required = [weight.requires_grad for weight in weights]
    hooks = []
    try:
        for weight in weights:
            weight.requires_grad_(True)
            hooks.append(weight.register_post_accumulate_grad_hook(collect))  # type: ignore[no-untyped-call]
        for number in range(batches):
            # Not the adapter's own parameters.
            loss(number).backward(inputs=weights)  # type: ignore[no-untyped-call]
    finally:
        for weight, before in zip(weights, required, strict=True):
            weight.requires_grad_(before)
        for hook in hooks:
            hook.remove()
    return sums
