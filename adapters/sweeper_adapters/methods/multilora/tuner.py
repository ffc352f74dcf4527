"""MultiLoRA: several LoRAs side by side, each with a trained scale for each output.

    y = W0 x + s Σ_i c_i ∘ (B_i A_i x),    s = alpha / r

The A_i and B_i are random at the start and the scales c_i zero, so that the first step moves the
scales alone. The n LoRAs of rank r are one of rank n r, whose B has the blocks diag(c_i) B_i: the
scales are folded into it, and a layer costs what that LoRA costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from peft import PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    LowRankConfig,
    number_downs,
    register_tuner,
)

__all__ = ["MultiLoraConfig", "MultiLoraLinear", "MultiLoraModel"]


@dataclass
class MultiLoraConfig(LowRankConfig):
    """Config of a MultiLoRA adapter."""

    parallel: int = 2
    """LoRAs side by side: n in the paper."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("MULTILORA")
        self._check("multilora", "parallel")


def _draw_matrices(count: int, rows: int, columns: int) -> nn.Parameter:
    """Returns random matrices, [N, P, Q], each as nn.Linear begins."""
    values = torch.empty(count, rows, columns)
    for matrix in values:
        nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
    return nn.Parameter(values)


class _Downs(nn.Module):
    """The matrices A_1 … A_n of a layer, [N, R, I]."""

    def __init__(self, count: int, rank: int, in_features: int) -> None:
        super().__init__()
        self.weight = _draw_matrices(count, rank, in_features)

    def matrix(self) -> Tensor:
        """Returns all of them, one below the other, [N * R, I]."""
        return self.weight.flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns A_1 x … A_n x, [..., N * R]."""
        return F.linear(x, self.matrix())


class _Ups(nn.Module):
    """The matrices B_1 … B_n of a layer, [N, O, R], and their scales c, [N, O]."""

    def __init__(self, count: int, out_features: int, rank: int) -> None:
        super().__init__()
        self.weight = _draw_matrices(count, out_features, rank)
        self.scales = nn.Parameter(torch.zeros(count, out_features))

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Returns diag(c_1) B_1 … diag(c_n) B_n, side by side, [O, N * R]."""
        scaled = self.weight.to(dtype) * self.scales.to(dtype).unsqueeze(-1)
        return scaled.transpose(0, 1).flatten(1)

    def forward(self, features: Tensor) -> Tensor:
        """Returns Σ_i c_i ∘ (B_i u_i), [..., O], for u, [..., N * R]."""
        return F.linear(features, self.matrix(self.weight.dtype))


class MultiLoraLinear(AdapterLinear):
    """A linear layer with MultiLoRA adapters."""

    adapter_layer_names = ("multilora_A", "multilora_B")
    other_param_names = ("scaling", "multilora_dropout")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.scaling: dict[str, float] = {}
        self.multilora_dropout = nn.ModuleDict()
        self.multilora_A = nn.ModuleDict()
        self.multilora_B = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""
        assert isinstance(config, MultiLoraConfig)
        self.scaling[adapter_name] = config.scale
        self.multilora_dropout[adapter_name] = nn.Dropout(config.dropout)
        self.multilora_A[adapter_name] = _Downs(config.parallel, config.r, self.in_features)
        ups = _Ups(config.parallel, self.out_features, config.r)
        if not config.init_weights:
            nn.init.normal_(ups.scales)
        self.multilora_B[adapter_name] = ups
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.multilora_A

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s Σ_i c_i ∘ (B_i A_i x), [..., O], in the dtype of the adapter."""
        downs, ups = self._projections(adapter_name)
        x = self._cast_input_dtype(x, ups.weight.dtype)
        features = downs(self.multilora_dropout[adapter_name](x))
        # Scaled where it is small.
        result: Tensor = ups(features * self.scaling[adapter_name])
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns s Σ_i diag(c_i) B_i A_i, [O, I]."""
        down, up = self.lora_factors(adapter_name)
        return (up @ down).to(self._projections(adapter_name)[1].weight.dtype)

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns the A_i, [N * R, I], and the s diag(c_i) B_i, [O, N * R]."""
        downs, ups = self._projections(adapter_name)
        dtype = torch.promote_types(ups.weight.dtype, torch.float32)
        return downs.matrix().to(dtype), ups.matrix(dtype) * self.scaling[adapter_name]

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns A_1 … A_n, each [R, I]."""
        return number_downs(self._projections(adapter_name)[0].weight)

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - PEFT's signature
    ) -> bool:
        """True: the update is one low-rank matrix."""
        return True

    def _projections(self, adapter_name: str) -> tuple[_Downs, _Ups]:
        downs, ups = self.multilora_A[adapter_name], self.multilora_B[adapter_name]
        assert isinstance(downs, _Downs)
        assert isinstance(ups, _Ups)
        return downs, ups


class MultiLoraModel(AdapterModel):
    """A model with MultiLoRA adapters."""

    prefix = "multilora_"
    tuner_layer_cls = MultiLoraLinear


register_tuner(MultiLoraConfig, MultiLoraModel)
