"""HD-PiSSA: K slices of W's singular triplets, each trained on a share of the batch, one update.

Slice i has A_i = √S Vᵀ and B_i = U √S from the triplets [i R, (i + 1) R) of W = U S Vᵀ. They never
change: from the gradients of A_i and B_i Adam makes the steps ΔA_i and ΔB_i, and the weight takes
all of them,

    W ← W + Σ_i [(B_i − ΔB_i)(A_i − ΔA_i) − B_i A_i].

Here W stays as it is, too, since it serves other trials. What is trained are the moves δA_i and
δB_i: zero in every forward pass, and −ΔA_i and −ΔB_i after the optimiser's step. The layer
computes, for a sample x of slice i,

    y = W x + D x + [δB_i A_i + (B_i + δB_i) δA_i] x.

The last term is zero, and has the gradients of A_i and B_i. After each step D, the change of W so
far, takes it up for all slices, and the moves become zero again (see ``training.py``). Where
it is not told which slice a sample belongs to, a layer adds up all slices: without the trainer it
is a LoRA of rank K R that starts like PiSSA.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from peft import PeftConfig, PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    build_number_error,
    number_downs,
    register_tuner,
)
from sweeper_adapters._tuner.decomposition import decompose_leading, demand_iterations

__all__ = ["HdPissaConfig", "HdPissaLinear", "HdPissaModel", "SliceIds", "Slices"]


@dataclass
class HdPissaConfig(AdapterConfig):
    """Config of an HD-PiSSA adapter."""

    r: int = 16
    """Singular triplets of each slice."""
    slices: int = 8
    """Slices: the paper's number of GPUs, K."""
    svd_iterations: int | None = 16
    """Subspace iterations of the randomised decomposition of large weights; None for the exact one
    of all. A config in inference mode, as an adapter is loaded by default, decomposes nothing, nor
    does ``low_cpu_mem_usage``: the values come from the file."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("HDPISSA")
        for name in ("r", "slices"):
            if getattr(self, name) < 1:
                raise build_number_error("hd_pissa", name, getattr(self, name), allowed="1 or more")
        demand_iterations("hd_pissa", self.svd_iterations)


class SliceIds:
    """The slice of each sample in the passes that follow; one for each model, read by its layers.

    It is not forgotten after a forward pass: gradient checkpointing runs it again in the backward
    pass.
    """

    def __init__(self) -> None:
        self._ids: Tensor | None = None

    def set(self, ids: Tensor | None) -> None:
        """Takes the slice of each sample, [B], int64; None where each sample is of all."""
        self._ids = ids

    def of(self, x: Tensor) -> Tensor | None:
        """Returns the slice of each sample of x, [B], or None.

        Args:
            x: activations, [B, ..., I].

        Raises:
            ValueError: they are not as many as the samples.
        """
        if self._ids is not None and self._ids.shape != x.shape[:1]:
            raise ValueError(
                f"hd_pissa: slices are known of {len(self._ids)} samples but the activations of a "
                f"target are of {x.shape[0]}; both must be the same; take layers out of targets "
                "whose inputs do not begin with the batch"
            )
        return self._ids


class Slices(nn.Module):
    """All slices of one layer: what is frozen, what is trained, and what the training has changed.

    The moves δA, [K, R, I], and δB, [K, O, R], are parameters; A, [K, R, I], B, [K, O, R], and D,
    [O, I], are buffers in float32, whatever the dtype of the moves.
    """

    a: Tensor
    b: Tensor
    change: Tensor

    def __init__(self, count: int, rank: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.move_a = nn.Parameter(torch.zeros(count, rank, in_features))
        self.move_b = nn.Parameter(torch.zeros(count, out_features, rank))

    def add_frozen(self, device: torch.device) -> None:
        """Adds A, B and D, all zero."""
        for name, shape in (("a", self.move_a.shape), ("b", self.move_b.shape)):
            self.register_buffer(name, torch.zeros(shape, device=device))
        shape = torch.Size([self.move_b.shape[1], self.move_a.shape[2]])
        self.register_buffer("change", torch.zeros(shape, device=device))

    @torch.no_grad()
    def begin_at(self, left: Tensor, values: Tensor, right: Tensor) -> None:
        """Sets A and B.

        A pair of singular vectors has either sign, and hardware differs in which it gives: here the
        right one's largest number is positive.

        Args:
            left: left singular vectors, [O, K * R].
            values: singular values, [K * R].
            right: right singular vectors, [K * R, I].
        """
        signs = right.gather(1, right.abs().argmax(1, keepdim=True)).sign()
        left, right = left * signs.T, right * signs
        roots = values.sqrt()
        self.a.copy_((roots[:, None] * right).view(self.a.shape))
        self.b.copy_((left * roots).view(len(left), *self.a.shape[:2]).transpose(0, 1))

    def forward(self, x: Tensor, ids: Tensor | None) -> Tensor:
        """Returns D x and the last term, [B, ..., O], in the dtype of the moves.

        Args:
            x: activations, [B, ..., I], in the dtype of the moves.
            ids: the slice of each sample, [B]; None where each sample is of all, and x [..., I].
        """
        a, b, change = (tensor.to(x.dtype) for tensor in (self.a, self.b, self.change))
        changed = F.linear(x, change)
        if ids is None:
            moved_a, moved_b, a, b = (_join(t) for t in (self.move_a.mT, self.move_b, a.mT, b))
            features, moved = x @ a, x @ moved_a
            return changed + F.linear(features, moved_b) + F.linear(moved, b + moved_b)
        tokens = x.flatten(1, -2) if x.dim() > 2 else x[:, None]
        moved_a, moved_b = self.move_a[ids], self.move_b[ids]
        features, moved = tokens @ a[ids].mT, tokens @ moved_a.mT
        term = features @ moved_b.mT + moved @ (b[ids] + moved_b).mT
        return changed + term.view(changed.shape)

    @torch.no_grad()
    def total(self, move_a: Tensor, move_b: Tensor) -> Tensor:
        """Returns D and what moves add to it, [O, I], at least float32.

        Args:
            move_a: δA, [K, R, I].
            move_b: δB, [K, O, R].
        """
        dtype = torch.promote_types(move_a.dtype, torch.float32)
        a, b, move_a, move_b = (x.to(dtype) for x in (self.a, self.b, move_a, move_b))
        left = _join(torch.cat([move_b, b + move_b], dim=2))
        right = _join(torch.cat([a, move_a], dim=1).mT)
        return self.change.to(dtype) + left @ right.T


def _join(matrices: Tensor) -> Tensor:
    """Returns K matrices side by side, [P, K * Q], for [K, P, Q]."""
    return matrices.transpose(0, 1).flatten(1)


class HdPissaLinear(AdapterLinear):
    """A linear layer with HD-PiSSA adapters."""

    adapter_layer_names = ("hdpissa_slices",)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module, slice_ids: SliceIds) -> None:
        super().__init__(base_layer)
        self.slice_ids = slice_ids
        self.hdpissa_slices = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer.

        Raises:
            ValueError: the frozen weight has fewer singular triplets, or is quantised.
        """
        assert isinstance(config, HdPissaConfig)
        self._demand_triplets(config)
        slices = Slices(config.slices, config.r, self.in_features, self.out_features)
        if not config.init_weights:
            nn.init.kaiming_uniform_(slices.move_b, a=math.sqrt(5))
        self.hdpissa_slices[adapter_name] = slices
        self._move_adapter_to_device_of_base_layer(adapter_name)
        # After it, since it makes buffers 16 bit where the frozen weight is.
        slices.add_frozen(slices.move_a.device)
        if not (config.inference_mode or self.weight.is_meta or slices.move_a.is_meta):
            weight = self.weight.detach()
            slices.begin_at(
                *decompose_leading(
                    weight.T if self.is_transposed else weight,
                    config.slices * config.r,
                    iterations=config.svd_iterations,
                )
            )
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _demand_triplets(self, config: HdPissaConfig) -> None:
        limit = min(self.in_features, self.out_features)
        if config.slices * config.r > limit:
            raise ValueError(
                f"hd_pissa: {config.slices} slices of r {config.r} are {config.slices * config.r} "
                f"singular triplets but a layer {self.in_features} -> {self.out_features} has "
                f"{limit}; slices times r may be {limit} at most; lower one of them"
            )
        weight = self.weight
        if not weight.is_floating_point() or weight.numel() != self.in_features * self.out_features:
            raise ValueError(
                f"hd_pissa: the frozen weight is of {weight.dtype} with {weight.numel()} elements "
                f"where the layer is {self.in_features} -> {self.out_features}; it must be whole, "
                "and not quantised, to be decomposed; load the base so"
            )

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.hdpissa_slices

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns D x + [δB_i A_i + (B_i + δB_i) δA_i] x, [..., O], in the dtype of the adapter.

        For i all slices, summed, in evaluation, and where a sample's slice is not told.
        """
        slices = self.slices(adapter_name)
        ids = self.slice_ids.of(x) if self.training else None
        x = self._cast_input_dtype(x, slices.move_a.dtype)
        result: Tensor = slices(x, ids)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns D + Σ_i [δB_i A_i + (B_i + δB_i) δA_i], [O, I], float32."""
        slices = self.slices(adapter_name)
        return slices.total(slices.move_a, slices.move_b)

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns A_i + δA_i of each slice, [R, I], at least float32."""
        slices = self.slices(adapter_name)
        return number_downs(slices.a + slices.move_a)

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - true for all
    ) -> bool:
        """Whether the update is a matrix: it always is."""
        return True

    def slices(self, adapter_name: str) -> Slices:
        """Returns what the layer has for an adapter."""
        slices = self.hdpissa_slices[adapter_name]
        assert isinstance(slices, Slices)
        return slices


class HdPissaModel(AdapterModel):
    """A model with HD-PiSSA adapters."""

    prefix = "hdpissa_"
    tuner_layer_cls = HdPissaLinear

    def _pre_injection_hook(
        self,
        model: nn.Module,  # noqa: ARG002 - PEFT's signature, here and below
        config: PeftConfig,  # noqa: ARG002
        adapter_name: str,  # noqa: ARG002
    ) -> None:
        # Called once for a model, not for its later adapters: they see the same batches.
        self._slice_ids = SliceIds()

    def _new_layer(self, target: nn.Module) -> AdapterLinear:
        return HdPissaLinear(target, self._slice_ids)


register_tuner(HdPissaConfig, HdPissaModel)
