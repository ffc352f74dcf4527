"""LoRA-GA: LoRA that begins where its first step is nearest to full fine-tuning's.

    y = W0 x + s (B A − B_0 A_0) x,    s = alpha / r

From the gradient G = U S Vᵀ of the loss by W0, [O, I], over some batches of training data:

    A_0 = c V_[1:r]ᵀ,  B_0 = c U_[r+1:2r],  c = d_out^(1/4) / √γ

(section 3 and Algorithm 1 of the paper; the singular values have no part in it). A step of gradient
descent with rate η from there moves W0 by −η s² (B_0 B_0ᵀ G + G A_0ᵀ A_0), which is −η s² c² times
the part of G along its 2r leading singular vectors: the best approximation of G by a matrix of rank
2r, and no first step of a LoRA of rank r has a higher one.

Before it has seen a gradient, an adapter begins as a plain LoRA does: A random, B zero.

With ``scaling="sqrt_rank"`` the scale is the paper's, s = alpha / √r.

This departs from the original in two ways. W0 is not changed. Initial products with
values larger than the largest of W0 are not shrunk, which the authors' code can do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from peft import PeftType
from torch import Tensor

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterModel,
    PatternedConfig,
    build_number_error,
    register_tuner,
)
from sweeper_adapters._tuner.decomposition import decompose_leading
from sweeper_adapters._tuner.origin import OriginLinear

__all__ = ["LoraGaConfig", "LoraGaLinear", "LoraGaModel"]

# Subspace iterations of the decomposition of large gradients, as in the authors' code.
_ITERATIONS = 4


@dataclass
class LoraGaConfig(PatternedConfig):
    """Config of a LoRA-GA adapter."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("LORAGA")
        self._check("lora_ga")


class LoraGaLinear(OriginLinear):
    """A linear layer with LoRA-GA adapters."""

    adapter_layer_names = ("loraga_A", "loraga_B")

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer, which begins as a plain LoRA."""
        assert isinstance(config, LoraGaConfig)
        self._add(adapter_name, config, (1, 1), keeps=True)
        self._finish(adapter_name, config)

    def align(self, adapter_name: str, gradient: Tensor, *, gamma: float) -> None:
        """Makes the adapter begin along a gradient.

        Args:
            adapter_name: of the adapter.
            gradient: of the loss by the frozen weight, in the weight's layout, on any device.
            gamma: γ, above 0; larger is a smaller start.

        Raises:
            ValueError: the gradient has values that are not finite, or fewer singular vectors than
                the rank needs.
        """
        downs, ups = self._projections(adapter_name)
        rank, limit = downs.weight.shape[1], min(gradient.shape) // 2
        if rank > limit:
            allowed = f"1 to {limit} for a gradient of {tuple(gradient.shape)}, which must have 2 r"
            raise build_number_error("lora_ga", "r", rank, allowed=f"{allowed} singular vectors")
        if not torch.isfinite(gradient).all():
            raise ValueError(
                f"lora_ga: the gradient of a weight of {tuple(gradient.shape)} has values that are "
                "not finite; all must be; take precision bf16 or fp32, or other data"
            )
        gradient = gradient.to(ups.weight.device, torch.float32)
        gradient = gradient.T if self.is_transposed else gradient
        left, _, right = decompose_leading(gradient, 2 * rank, iterations=_ITERATIONS)
        factor = self.out_features**0.25 / gamma**0.5
        self.begin_at(adapter_name, right[:rank] * factor, left[:, rank:] * factor)

    def _pairs(
        self,
        adapter_name: str,
        *,
        is_training: bool,  # noqa: ARG002 - one A and one B
    ) -> tuple[Tensor, float]:
        device = self._projections(adapter_name)[1].weight.device
        return torch.ones(1, 1, device=device), self.scaling[adapter_name]


class LoraGaModel(AdapterModel):
    """A model with LoRA-GA adapters."""

    prefix = "loraga_"
    tuner_layer_cls = LoraGaLinear


register_tuner(LoraGaConfig, LoraGaModel)
