"""What PiSSA does in training: it is saved as a LoRA that needs no other base."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sweeper_adapters.training import Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["PissaTraining"]

# Fields of the config in which the LoRA that is saved differs from what is trained.
_CHANGED = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "init_lora_weights")


class PissaTraining(Training):
    """Saves the adapter as the LoRA of twice the rank that does the same on the original base."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__(model)
        name = model.active_adapter
        layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
        self._first: dict[Any, tuple[Tensor, Tensor]] = {
            layer: (_copy_to_cpu(layer.lora_A[name]), _copy_to_cpu(layer.lora_B[name]))
            for layer in layers
        }

    def file_elements(self, injected: int) -> int:
        """Returns twice as many: what was trained, and what it began with."""
        return 2 * injected

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Makes it that LoRA while it is open: ``B A - B_0 A_0 = [B, -B_0] [A; A_0]``."""
        name = self.model.active_adapter
        config: Any = self.model.peft_config[name]
        trained = {layer: (layer.lora_A[name], layer.lora_B[name]) for layer in self._first}
        before = {field: getattr(config, field) for field in _CHANGED}
        # The scale, which is alpha through r or through its root, stays.
        factor = math.sqrt(2) if config.use_rslora else 2
        config.r, config.lora_alpha = 2 * config.r, factor * config.lora_alpha
        config.rank_pattern = {key: 2 * rank for key, rank in config.rank_pattern.items()}
        config.alpha_pattern = {key: factor * x for key, x in config.alpha_pattern.items()}
        config.init_lora_weights = True
        for layer, (a, b) in self._first.items():
            layer.lora_A[name] = _join(layer.lora_A[name].weight, a, dim=0)
            layer.lora_B[name] = _join(layer.lora_B[name].weight, -b, dim=1)
        try:
            yield
        finally:
            for field, value in before.items():
                setattr(config, field, value)
            for layer, (a, b) in trained.items():
                layer.lora_A[name], layer.lora_B[name] = a, b


def _copy_to_cpu(side: nn.Linear) -> Tensor:
    # Where parameters are only counted there are no values to copy.
    device = "meta" if side.weight.is_meta else "cpu"
    return side.weight.detach().to(device, copy=True)


def _join(trained: Tensor, first: Tensor, *, dim: int) -> nn.Linear:
    """Returns a linear layer with both weights, one under the other or side by side."""
    weight = torch.cat([trained.detach(), first.to(trained)], dim=dim)
    joined = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    return joined
