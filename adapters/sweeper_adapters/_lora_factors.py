"""The plain LoRA with the same update, for each layer of a model with an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import torch
from peft.tuners.adalora import SVDLinear
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.tuners.vblora.layer import Linear as VBLoRALinear
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._tuner import AdapterLinear

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["LoraFactors", "find_factors", "has_adapter", "lora_factors"]

# AdaLoRA's forward pass divides by the rank plus this (PEFT 0.21, tuners/adalora/layer.py).
_ADALORA_EPS = 1e-5


@dataclass(frozen=True)
class LoraFactors:
    """A layer's update as a LoRA of scale 1: ΔW = B A."""

    a: Tensor
    """[R, I], float32."""
    b: Tensor
    """[O, R], float32."""
    is_transposed: bool
    """Whether the layer is GPT-2's Conv1D, which stores its weight as [I, O]."""

    @property
    def rank(self) -> int:
        """R; 0 where the layer has no update."""
        return self.a.shape[0]


@torch.no_grad()
def lora_factors(model: PeftModel, adapter_name: str = "default") -> dict[str, LoraFactors]:
    """Returns the factors of each adapted layer, by its name in the base model.

    Args:
        model: with an adapter that is a LoRA, whatever its method is called; not merged.
        adapter_name: which adapter.

    Raises:
        ValueError: the update of a layer is no LoRA, or no layer has one.
    """
    found = {}
    for name, layer in model.get_base_model().named_modules():
        if not isinstance(layer, BaseTunerLayer) or not has_adapter(layer, adapter_name):
            continue
        a, b = find_factors(layer, adapter_name)
        is_transposed = isinstance(layer.get_base_layer(), Conv1D)
        found[name] = LoraFactors(_copy(a), _copy(b), is_transposed)
    if not found:
        raise ValueError(
            f"adapter {adapter_name!r} adapts no linear layer, so it is no LoRA; a LoRA has "
            "matrices A and B at each target; use --format peft"
        )
    return found


def _copy(factor: Tensor) -> Tensor:
    # Layers may share it; a file holds each of them on its own.
    return factor.detach().to(torch.float32, copy=True).contiguous()


def has_adapter(layer: BaseTunerLayer, adapter_name: str) -> bool:
    """Whether a layer has an adapter of this name."""
    return any(adapter_name in getattr(layer, container) for container in layer.adapter_layer_names)


@singledispatch
def find_factors(layer: BaseTunerLayer, adapter_name: str) -> tuple[Tensor, Tensor]:
    """Returns A, [R, I], and B, [O, R], of a layer's update, with all scales in them.

    Raises:
        ValueError: the update is no LoRA.
    """
    raise _build_error(layer, f"adapter {adapter_name!r} has no matrices A and B")


def _build_error(layer: BaseTunerLayer, reason: str) -> ValueError:
    return ValueError(
        f"the adapter of a {type(layer).__module__}.{type(layer).__name__} is no LoRA: {reason}; "
        "a LoRA is B A with fixed A and B; use --format peft"
    )


@find_factors.register
def _of_ours(layer: AdapterLinear, adapter_name: str) -> tuple[Tensor, Tensor]:
    return layer.lora_factors(adapter_name)


@find_factors.register
def _of_lora(layer: LoraLayer, adapter_name: str) -> tuple[Tensor, Tensor]:
    if adapter_name in layer.lora_variant:
        raise _build_error(layer, f"it is PEFT's {type(layer.lora_variant[adapter_name]).__name__}")
    if layer.lora_bias.get(adapter_name, False):
        raise _build_error(layer, "it trains a bias, too")
    a, b = layer.lora_A[adapter_name], layer.lora_B[adapter_name]
    assert isinstance(a, nn.Linear)
    assert isinstance(b, nn.Linear)
    return a.weight, b.weight.float() * layer.scaling[adapter_name]


@find_factors.register
def _of_adalora(layer: SVDLinear, adapter_name: str) -> tuple[Tensor, Tensor]:
    """Returns Λ P and s Q over the singular values that training has not set to zero."""
    p, q = layer.lora_A[adapter_name].float(), layer.lora_B[adapter_name].float()
    values = layer.lora_E[adapter_name].float()
    kept = values.squeeze(1) != 0
    scale = layer.scaling[adapter_name] / (layer.ranknum[adapter_name].float() + _ADALORA_EPS)
    return (values * p)[kept], (q * scale)[:, kept]


@find_factors.register
def _of_vblora(layer: VBLoRALinear, adapter_name: str) -> tuple[Tensor, Tensor]:
    """Returns the matrices that are composed of the bank's vectors, fixed after training."""
    a, b = layer._get_lora_matrices(adapter_name, cast_to_fp32=True)
    return a, b
