"""A frozen linear layer with an update, which each of our tuners says anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from warnings import warn

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._tuner.config import AdapterConfig
from sweeper_adapters._tuner.mixed_batch import rows_by_adapter

__all__ = ["AdapterLinear", "number_downs"]


class AdapterLinear(nn.Module, BaseTunerLayer):
    """A frozen linear layer with an update: ``y = base_layer(x) + update(x)``.

    A subclass keeps its parameters in containers by adapter name, listed in
    ``adapter_layer_names``, and says what the update is.
    """

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.merged_adapters = []
        self._disable_adapters = False
        self._to_be_loaded: set[str] = set()
        self._weight_before_merge: Tensor | None = None
        frozen = self.get_base_layer()
        # GPT-2's Conv1D is a linear layer whose weight is [I, O].
        self.is_transposed = isinstance(frozen, Conv1D)
        names = ("nx", "nf") if self.is_transposed else ("in_features", "out_features")
        self.in_features: int = getattr(frozen, names[0])
        self.out_features: int = getattr(frozen, names[1])

    def _move_adapter_to_device_of_base_layer(
        self, adapter_name: str, device: torch.device | None = None
    ) -> None:
        """Moves an adapter to the device of the frozen layer, and a new one to its dtype.

        PEFT calls it again when it has loaded an adapter with ``low_cpu_mem_usage``, and would then
        round values of float32 to the 16 bit of the base.
        """
        sides = [getattr(self, side) for side in self.adapter_layer_names]
        inside = [side[adapter_name] for side in sides if adapter_name in side]
        if adapter_name in self._to_be_loaded:
            self._to_be_loaded.discard(adapter_name)
            for module in inside:
                module.to(device or self.weight.device)
            return
        if any(p.is_meta for module in inside for p in module.parameters()):
            self._to_be_loaded.add(adapter_name)
        super()._move_adapter_to_device_of_base_layer(adapter_name, device)

    @abstractmethod
    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""

    @abstractmethod
    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""

    @abstractmethod
    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns what the adapter adds to the output, [..., O], for x, [..., I]."""

    @abstractmethod
    def delta(self, adapter_name: str) -> Tensor:
        """Returns ΔW, [O, I].

        Raises:
            ValueError: when the update is not a matrix product, and cannot be merged.
        """

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns A, [R, I], and B, [O, R], of the LoRA with the same update: ΔW = B A.

        Raises:
            ValueError: when the update is no LoRA.
        """
        raise ValueError(
            f"adapter {adapter_name!r} of a {type(self).__name__} is not a LoRA; it can be "
            "exported in its own format; use --format peft"
        )

    def down_projections(
        self,
        adapter_name: str,  # noqa: ARG002 - most layers have none
    ) -> Mapping[str, Tensor]:
        """Returns the matrices A that see the input, each [R, I], by name: A, or A1 … AN.

        Empty where the update is not made by such matrices.
        """
        return {}

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """Returns ΔW in the layout of the frozen weight, in the adapter's dtype."""
        delta = self.delta(adapter_name)
        return delta.T if self.is_transposed else delta

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the updates of adapters to the frozen weight.

        Args:
            safe_merge: refuse to merge when the result has NaN or infinite values.
            adapter_names: the adapters, or None for the active ones.

        Raises:
            ValueError: when the update cannot be merged, or ``safe_merge`` finds such a value.
        """
        names = [x for x in check_adapters_to_merge(self, adapter_names) if self.holds(x)]
        if not names:
            return
        weight = self.weight
        # A sum in 16 bit would round once for each adapter.
        merged = weight.data.to(torch.promote_types(weight.dtype, torch.float32))
        for name in names:
            merged = merged + self.get_delta_weight(name)
        if safe_merge and not torch.isfinite(merged).all():
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {','.join(names)} seems to be "
                "broken; allowed are finite values; merge an earlier checkpoint"
            )
        if self._weight_before_merge is None:
            # Subtracting the update again would not give the same bits.
            self._weight_before_merge = weight.data.to("cpu", copy=True)
        weight.data.copy_(merged)
        self.merged_adapters.extend(names)

    def unmerge(self) -> None:
        """Restores the frozen weight, bit for bit."""
        if self._weight_before_merge is None:
            warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        self.weight.data.copy_(self._weight_before_merge)
        self._weight_before_merge = None
        self.merged_adapters.clear()

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the frozen layer's output plus the active adapters' updates.

        Args:
            x: activations, [..., I], any floating-point dtype.
            *args: passed to the frozen layer.
            **kwargs: passed to the frozen layer; but ``adapter_names``, the adapter of each sample.

        Raises:
            ValueError: ``adapter_names`` is given while adapters are merged, or is not one for each
                sample.
        """
        adapter_names = kwargs.pop("adapter_names", None)
        if self.disable_adapters and self.merged:
            self.unmerge()
        result: Tensor = self.base_layer(x, *args, **kwargs)
        if adapter_names is not None and not self.disable_adapters:
            return self._add_by_row(adapter_names, result, x)
        if self.disable_adapters or self.merged:
            return result
        dtype = result.dtype
        for name in self.active_adapters:
            if self.holds(name):
                result = self.add_update(name, result, x)
        return result.to(dtype)

    def _add_by_row(self, adapter_names: list[str], result: Tensor, x: Tensor) -> Tensor:
        """Returns ``result`` plus each sample's own update, [B, ..., O]."""
        if self.merged:
            raise ValueError(
                f"adapter_names is given while {', '.join(self.merged_adapters)} is merged; no "
                "adapter may be; call unmerge_adapter() first"
            )
        for name, rows in rows_by_adapter(adapter_names, x).items():
            if self.holds(name):
                with self._on_rows(rows):
                    updated = self.add_update(name, result[rows], x[rows])
                result = result.index_copy(0, rows, updated.to(result.dtype))
        return result

    def _on_rows(self, rows: Tensor) -> AbstractContextManager[None]:  # noqa: ARG002 - most are told nothing
        """Makes what a layer is told of each sample that of some of them, while it is open.

        Args:
            rows: their indices; most layers are told nothing.
        """
        return nullcontext()

    def add_update(self, adapter_name: str, result: Tensor, x: Tensor) -> Tensor:
        """Returns ``result`` plus the update, [..., O], in the wider of their dtypes."""
        return result + self.update(adapter_name, x)

    def _can_fuse(self, x: Tensor, *inside: nn.Module) -> bool:
        """Whether reading the weights of layers is the same as calling the layers.

        It is not where something depends on the call: under ZeRO-3, which gathers weights in the
        hooks of the calls; under offloading; for quantised weights; under autocast; and where
        adapters are merged or disabled.

        Args:
            x: input of the layer.
            *inside: modules of the adapter whose parameters would be read, too.
        """
        frozen = self.base_layer
        return (
            not self.disable_adapters
            and not self.merged
            and type(frozen) is nn.Linear
            and frozen.weight.device == x.device
            and frozen.weight.dtype == x.dtype
            and not torch.is_autocast_enabled(x.device.type)
            and all(_is_bare(module) for module in (frozen, *inside))
        )


def number_downs(matrices: Iterable[Tensor]) -> dict[str, Tensor]:
    """Returns matrices A by name: A1 … AN; A where it is the only one."""
    found = list(matrices)
    if len(found) == 1:
        return {"A": found[0]}
    return {f"A{number}": matrix for number, matrix in enumerate(found, start=1)}


def _is_bare(module: nn.Module) -> bool:
    """Whether calling a module does no more than its class says, with weights that are there."""
    # Asked for each layer in each pass, so without the generators of nn.Module.
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
        # The mark of a weight that ZeRO-3 has partitioned.
        or any(hasattr(parameter, "ds_id") for parameter in module._parameters.values())
    )
