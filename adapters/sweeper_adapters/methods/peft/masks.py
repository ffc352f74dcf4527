"""SHIRA's mask of trained weights, also of layers without values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.shira.mask_functions import random_mask
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["mask_of"]


def mask_of(base_layer: nn.Linear, r: int, **fields: Any) -> Tensor:
    """Returns which weights are trained, [O, I]: PEFT's choice, where there are values.

    On torch's meta device nobody can look which ones they are; of the mask made there only their
    number is right.

    Args:
        base_layer: the frozen layer.
        r: as many weights are trained as a LoRA of this rank has.
        **fields: of PEFT's config.
    """
    if not base_layer.weight.is_meta:
        mask: Tensor = random_mask(base_layer, r, **fields)
        return mask
    outputs, inputs = base_layer.weight.shape
    flat = torch.zeros(outputs * inputs, device="cpu")
    flat[: r * (outputs + inputs)] = 1
    return flat.view(outputs, inputs)
