"""A mixture of LoRA experts, weighed token by token by a router.

With N experts, s = alpha / r and p(x) = softmax(W_g x), taken in float32:

    y = W0 x + s Σ_i p_i(x) B_i A_i x

This is the layer of LoRAMoE (arXiv:2312.09979), each expert with an A and a B of its own; the loss
that LoRAMoE adds to it is in :mod:`sweeper_adapters.methods.loramoe.training`. MoELoRA is the layer
alone. Its update depends on the input, so it cannot be merged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from peft import PeftConfig, PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    LowRankConfig,
    number_downs,
    register_tuner,
)

__all__ = ["GateRecord", "MoeConfig", "MoeLinear", "MoeModel"]


@dataclass
class MoeConfig(LowRankConfig):
    """Config of a mixture of LoRA experts."""

    num_experts: int = 2
    """Experts of each layer: N."""
    expert_dropout: Literal["shared", "each"] = "shared"
    """Dropout masks of a pass: one for all experts, or one for each."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("MOELORA")
        self._check("moelora", "num_experts")
        self._check_choice("moelora", "expert_dropout", ("shared", "each"))


class GateRecord:
    """How the layers of a model share tokens out among their experts, for a loss on it.

    It is off, and keeps nothing, unless a training hook asks for one forward pass at a time. It is
    off again before the backward pass, in which gradient checkpointing runs layers once more. For
    the same reason gates are kept as they are, and summed up outside the layers: both runs of a
    layer must save the same tensors.
    """

    def __init__(self) -> None:
        self._gates: list[Tensor] | None = None
        self._mask: Tensor | None = None

    def start(self) -> None:
        """Keeps what the next forward pass in training mode adds, and forgets what it has."""
        self._gates = []
        self._mask = None

    def set_mask(self, mask: Tensor | None) -> None:
        """Takes the attention mask of the forward pass that begins; None where there is none."""
        if self._gates is not None:
            self._mask = mask

    def add(self, gates: Tensor) -> None:
        """Adds the gates of one layer, [B, T, N]."""
        if self._gates is not None:
            self._gates.append(gates)

    def take(self) -> list[Tensor]:
        """Returns Σ_tokens p of each layer, in their order, each [B, N]; switches itself off.

        Padding does not count where the forward pass was given an attention mask of [B, T].

        Raises:
            ValueError: a layer does not see whole samples.
        """
        gates, mask = self._gates or [], self._mask
        self._gates = self._mask = None
        for found in gates:
            if found.dim() != 3:
                raise ValueError(
                    "moelora: a layer has activations of shape "
                    f"{(*found.shape[:-1], 'features')}; the balance of experts needs samples and "
                    "tokens, [B, T, features]; take layers that see tokens alone out of targets"
                )
        if mask is None or not all(mask.shape == found.shape[:2] for found in gates):
            return [found.sum(dim=1) for found in gates]
        return [(found * mask.to(found)[..., None]).sum(dim=1) for found in gates]


class _DownProjections(nn.Module):
    """The matrices A_1 … A_N, [N, R, I], and the router W_g, [N, I]: all that sees the input."""

    def __init__(self, config: MoeConfig, *, in_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.r, in_features))
        self.router = nn.Parameter(torch.empty(config.num_experts, in_features))
        self.dropout = nn.Dropout(config.dropout)
        self.has_a_mask_each = config.expert_dropout == "each"
        for matrix in (*self.weight, self.router):
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features A_i x, [..., N, R], and the gates p, [..., N], at least float32.

        Args:
            x: activations, [..., I].
        """
        experts, rank, _ = self.weight.shape
        down = self.weight.flatten(0, 1)
        if self.training and self.dropout.p > 0:
            features, scores = self._dropped(x, down), F.linear(x, self.router)
        else:
            # One product reads x once; two take almost twice as long.
            both = F.linear(x, torch.cat((down, self.router)))
            features, scores = both.split_with_sizes((experts * rank, experts), dim=-1)
        at_least_32_bit = torch.promote_types(scores.dtype, torch.float32)
        gates = F.softmax(scores, dim=-1, dtype=at_least_32_bit)
        return features.view(*features.shape[:-1], experts, rank), gates

    def _dropped(self, x: Tensor, down: Tensor) -> Tensor:
        """Returns the features of inputs with dropout, [..., N * R]."""
        if not self.has_a_mask_each:
            return F.linear(self.dropout(x), down)
        return torch.cat([F.linear(self.dropout(x), matrix) for matrix in self.weight], dim=-1)


class _UpProjections(nn.Module):
    """The matrices B_1 … B_N, zero at the start, [N, O, R]."""

    def __init__(self, experts: int, *, rank: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(experts, out_features, rank))

    def forward(self, features: Tensor) -> Tensor:
        """Returns Σ_i B_i u_i, [..., O], for u, [..., N, R]."""
        return F.linear(features.flatten(-2), self.weight.transpose(0, 1).flatten(1))


class MoeLinear(AdapterLinear):
    """A linear layer with mixtures of LoRA experts."""

    adapter_layer_names = ("moelora_A", "moelora_B")
    other_param_names = ("scaling",)

    def __init__(self, base_layer: nn.Module, gate_record: GateRecord) -> None:
        super().__init__(base_layer)
        self.gate_record = gate_record
        self.scaling: dict[str, float] = {}
        self.moelora_A = nn.ModuleDict()
        self.moelora_B = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""
        assert isinstance(config, MoeConfig)
        self.scaling[adapter_name] = config.scale
        self.moelora_A[adapter_name] = _DownProjections(config, in_features=self.in_features)
        up = _UpProjections(config.num_experts, rank=config.r, out_features=self.out_features)
        if not config.init_weights:
            nn.init.kaiming_uniform_(up.weight, a=math.sqrt(5))
        self.moelora_B[adapter_name] = up
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.moelora_A

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s Σ_i p_i(x) B_i A_i x, [..., O], in the dtype of the adapter."""
        down, up = self.moelora_A[adapter_name], self.moelora_B[adapter_name]
        assert isinstance(up, _UpProjections)
        features, gates = down(self._cast_input_dtype(x, up.weight.dtype))
        if self.training:
            self.gate_record.add(gates)
        # Scaled where it is small.
        weights = gates.to(features.dtype)[..., None] * self.scaling[adapter_name]
        result: Tensor = up(features * weights)
        return result

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns A_1 … A_N, each [R, I]."""
        down = self.moelora_A[adapter_name]
        assert isinstance(down, _DownProjections)
        return number_downs(down.weight)

    def delta(self, adapter_name: str) -> Tensor:
        """Always refuses.

        Raises:
            ValueError: the experts' weights depend on the input.
        """
        raise ValueError(
            f"moelora: adapter {adapter_name!r} has a router, whose weights depend on the input, "
            "and cannot be merged; allowed are methods without one; run the model unmerged"
        )


class MoeModel(AdapterModel):
    """A model with mixtures of LoRA experts."""

    prefix = "moelora_"
    tuner_layer_cls = MoeLinear

    def _pre_injection_hook(
        self,
        model: nn.Module,
        config: PeftConfig,
        adapter_name: str,
    ) -> None:
        super()._pre_injection_hook(model, config, adapter_name)
        self.gate_record = GateRecord()

    def forward(self, *args: Any, **kwargs: Any) -> object:
        """Returns what the model returns; its attention mask tells what is padding."""
        self.gate_record.set_mask(kwargs.get("attention_mask"))
        return super().forward(*args, **kwargs)

    def _new_layer(self, target: nn.Module) -> AdapterLinear:
        return MoeLinear(target, self.gate_record)


register_tuner(MoeConfig, MoeModel)
