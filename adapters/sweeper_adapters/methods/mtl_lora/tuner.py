"""MTL-LoRA: one down-projection for all tasks, which each task turns and sends up in its own way.

For a sample of task t, with M up-projections B_i, s = alpha / r and a temperature τ
(arXiv:2410.09437):

    y = W0 x + s (Σ_i softmax(w_t / τ)_i B_i) Λ_t A x

Λ_t, r × r, starts as the identity and B at zero; the softmax is taken in float32. With one task it
is a LoRA of rank r.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from peft import PeftConfig, PeftType
from torch import Tensor, nn

from sweeper_adapters._task_ids import TaskIds
from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    LowRankConfig,
    build_number_error,
    number_downs,
    register_tuner,
)

__all__ = ["MtlLoraConfig", "MtlLoraLinear", "MtlLoraModel"]


@dataclass
class MtlLoraConfig(LowRankConfig):
    """Config of an MTL-LoRA adapter."""

    num_up_projections: int = 3
    """Up-projections B of each layer: M."""
    temperature: float = 0.1
    """τ, what the logits w are divided by: the smaller, the fewer B a task uses."""
    num_tasks: int = 1
    """Tasks, each with its own Λ and w; with more than one, each sample's task must be known."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("MTLLORA")
        self._check("mtl_lora", "num_up_projections", "num_tasks")
        if not self.temperature > 0:
            raise build_number_error("mtl_lora", "temperature", self.temperature, allowed="above 0")


class _DownProjection(nn.Module):
    """The matrix A, [R, I], and what each of K tasks makes of it: Λ, [K, R, R]."""

    def __init__(self, tasks: int, *, rank: int, in_features: int) -> None:
        super().__init__()
        self.tasks = tasks
        self.weight = nn.Parameter(torch.empty(rank, in_features))
        self.lambdas = nn.Parameter(torch.eye(rank).repeat(tasks, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, task_ids: Tensor) -> Tensor:
        """Returns Λ_t A x, [B, ..., R], for x, [B, ..., I], and t, [B]."""
        return _multiply(F.linear(x, self.weight), self.lambdas, task_ids)


class _UpProjections(nn.Module):
    """The matrices B_1 … B_M, zero at the start, [M, O, R], and each task's w, [K, M]."""

    def __init__(self, config: MtlLoraConfig, *, out_features: int) -> None:
        super().__init__()
        count = config.num_up_projections
        self.temperature = config.temperature
        self.weight = nn.Parameter(torch.zeros(count, out_features, config.r))
        self.mixture = nn.Parameter(torch.empty(config.num_tasks, count))
        nn.init.kaiming_uniform_(self.mixture, a=math.sqrt(5))
        if not config.init_weights:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def mixed(self) -> Tensor:
        """Returns Σ_i softmax(w_t / τ)_i B_i for each task, [K, O, R]."""
        at_least_32_bit = torch.promote_types(self.mixture.dtype, torch.float32)
        shares = F.softmax(self.mixture.to(at_least_32_bit) / self.temperature, dim=-1)
        return torch.einsum("km,mor->kor", shares.to(self.weight.dtype), self.weight)

    def forward(self, features: Tensor, task_ids: Tensor) -> Tensor:
        """Returns the mixture of task t times its features, [B, ..., O].

        Args:
            features: [B, ..., R].
            task_ids: t, [B].
        """
        return _multiply(features, self.mixed(), task_ids)


def _multiply(x: Tensor, matrices: Tensor, task_ids: Tensor) -> Tensor:
    """Returns M_t x of each sample, [B, ..., P].

    Args:
        x: [B, ..., Q].
        matrices: M of each task, [K, P, Q].
        task_ids: t, [B]; not read where there is one task.
    """
    if len(matrices) == 1:
        return F.linear(x, matrices[0])
    return torch.einsum("b...q,bpq->b...p", x, matrices[task_ids])


class MtlLoraLinear(AdapterLinear):
    """A linear layer with MTL-LoRA adapters."""

    adapter_layer_names = ("mtllora_A", "mtllora_B")
    other_param_names = ("scaling", "mtllora_dropout")

    def __init__(self, base_layer: nn.Module, task_ids: TaskIds) -> None:
        super().__init__(base_layer)
        self.task_ids = task_ids
        self.scaling: dict[str, float] = {}
        self.mtllora_dropout = nn.ModuleDict()
        self.mtllora_A = nn.ModuleDict()
        self.mtllora_B = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""
        assert isinstance(config, MtlLoraConfig)
        self.scaling[adapter_name] = config.scale
        self.mtllora_dropout[adapter_name] = nn.Dropout(config.dropout)
        self.mtllora_A[adapter_name] = _DownProjection(
            config.num_tasks, rank=config.r, in_features=self.in_features
        )
        self.mtllora_B[adapter_name] = _UpProjections(config, out_features=self.out_features)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.mtllora_A

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s (Σ_i softmax(w_t / τ)_i B_i) Λ_t A x, [..., O], in the dtype of the adapter.

        Args:
            adapter_name: which adapter.
            x: activations, [B, ..., I]; with one task, [..., I].

        Raises:
            ValueError: there are several tasks, and it is not known of which each sample is.
        """
        down, up = self._projections(adapter_name)
        task_ids = self.task_ids.of(x, tasks=down.tasks, method="mtl_lora")
        x = self._cast_input_dtype(x, up.weight.dtype)
        # Scaled where it is small.
        features = down(self.mtllora_dropout[adapter_name](x), task_ids)
        result: Tensor = up(features * self.scaling[adapter_name], task_ids)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns s (Σ_i softmax(w / τ)_i B_i) Λ A, [O, I], of the only task.

        Raises:
            ValueError: when there are several.
        """
        tasks = self._projections(adapter_name)[0].tasks
        if tasks > 1:
            raise ValueError(
                f"mtl_lora: adapter {adapter_name!r} has {tasks} tasks, each with an update of its "
                "own, and cannot be merged; allowed is one task; run the model unmerged"
            )
        down, up = self.lora_factors(adapter_name)
        return up @ down

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns A, [R, I], and s (Σ_i softmax(w / τ)_i B_i) Λ, [O, R], of the only task.

        Raises:
            ValueError: when there are several.
        """
        down, up = self._projections(adapter_name)
        if down.tasks > 1:
            return super().lora_factors(adapter_name)
        return down.weight, up.mixed()[0] @ down.lambdas[0] * self.scaling[adapter_name]

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns A, [R, I], which all tasks have in common."""
        return number_downs([self._projections(adapter_name)[0].weight])

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Whether the update is one low-rank matrix: with one task it is."""
        return self._projections(adapter_name)[0].tasks == 1

    def _on_rows(self, rows: Tensor) -> AbstractContextManager[None]:
        return self.task_ids.on_rows(rows)

    def _projections(self, adapter_name: str) -> tuple[_DownProjection, _UpProjections]:
        down, up = self.mtllora_A[adapter_name], self.mtllora_B[adapter_name]
        assert isinstance(down, _DownProjection)
        assert isinstance(up, _UpProjections)
        return down, up


class MtlLoraModel(AdapterModel):
    """A model with MTL-LoRA adapters; all its layers read the samples' tasks in one place."""

    prefix = "mtllora_"
    tuner_layer_cls = MtlLoraLinear

    def _pre_injection_hook(
        self,
        model: nn.Module,
        config: PeftConfig,
        adapter_name: str,
    ) -> None:
        super()._pre_injection_hook(model, config, adapter_name)
        self.task_ids = TaskIds()

    def _new_layer(self, target: nn.Module) -> AdapterLinear:
        return MtlLoraLinear(target, self.task_ids)


register_tuner(MtlLoraConfig, MtlLoraModel)
