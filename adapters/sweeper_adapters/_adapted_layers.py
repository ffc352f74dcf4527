"""What an adapter does in each layer of a model: the matrices A, ΔW, and what it adds to outputs.

One layer at a time, whatever the method: nothing here holds the ΔW of two layers at once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from peft.tuners.hira import HiraLayer
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.tuners.vblora.layer import Linear as VBLoRALinear
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._lora_factors import find_factors, has_adapter
from sweeper_adapters._tuner import AdapterLinear
from sweeper_adapters._tuner.sharing import find_layer_group

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["AdaptedLayer", "adapted_layers"]

# Of unit vectors: more at once would take more memory than the weight itself.
_AT_ONCE = 512
# In float64, of sums over thousands of numbers.
_SAME = 1e-8


@dataclass(frozen=True, eq=False)
class AdaptedLayer:
    """A linear layer with an adapter in it."""

    name: str
    """Of the layer in the base model, ``model.layers.3.self_attn.q_proj``."""
    layer: BaseTunerLayer
    adapter_name: str = "default"

    @property
    def module(self) -> str:
        """The last part of its name, ``q_proj``."""
        return self.name.rpartition(".")[2]

    @property
    def kind(self) -> str:
        """Its name without the number of its decoder layer: adjacent layers have it in common."""
        return find_layer_group(self.name, 1)[0]

    @property
    def number(self) -> int:
        """Of its decoder layer, from 0; 0 where its name has no number."""
        return find_layer_group(self.name, 1)[1]

    @torch.no_grad()
    def factors(self) -> tuple[Tensor, Tensor] | None:
        """Returns A, [R, I], and B, [O, R], of the LoRA with the same ΔW = B A, all scales in B.

        At least float32. None where the update is no LoRA.
        """
        try:
            a, b = find_factors(self.layer, self.adapter_name)
        except ValueError:
            return None
        return _widened(a), _widened(b)

    @torch.no_grad()
    def delta(self) -> Tensor:
        """Returns ΔW, [O, I], at least float32: the linear map that the adapter adds to the layer.

        Where PEFT runs the method, ΔW is measured: what the layer adds to unit vectors, in float64.
        PEFT's own ``get_delta_weight`` of some methods is another matrix, as DoRA's without its
        magnitudes.

        Raises:
            ValueError: the update is not linear in the input, or each task has its own.
        """
        factors = self.factors()
        if factors is not None:
            return factors[1] @ factors[0]
        if isinstance(self.layer, AdapterLinear):
            return _widened(self.layer.delta(self.adapter_name))
        return _measure(self.layer)

    @torch.no_grad()
    def downs(self) -> dict[str, Tensor]:
        """Returns the down-projections A by name, each [R, I], at least float32; empty without any.

        Experts are ``A1`` … ``AN``; a layer's only one is ``A``.
        """
        found = _find_downs(self.layer, self.adapter_name)
        return {name: _widened(matrix) for name, matrix in found.items()}

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor | None:
        """Returns what comes out of A, [..., R], at least float32; None without a matrix A.

        Where the update is a LoRA of A's own rank it is A x of that LoRA: of MASA (Σ A_i) x, Eq. 4.
        Else all A_i x side by side, before a router has weighed them.

        Args:
            x: inputs of the layer, [..., I].
        """
        downs = self.downs()
        if not downs:
            return None
        factors = self.factors()
        largest = max(len(down) for down in downs.values())
        is_one = factors is not None and len(factors[0]) <= largest
        a = factors[0] if factors is not None and is_one else torch.cat(list(downs.values()))
        return F.linear(x.to(a.dtype), a)

    @torch.no_grad()
    def increment(self, x: Tensor) -> Tensor:
        """Returns what the adapter adds to the layer's output, [..., O], at least float32.

        Where it is told the tasks of a batch it must see the whole batch.

        Args:
            x: inputs of the layer, [B, T, I].
        """
        if isinstance(self.layer, AdapterLinear):
            return _widened(self.layer.update(self.adapter_name, x))
        factors = self.factors()
        if factors is not None:
            a, b = factors
            return F.linear(F.linear(x.to(a.dtype), a), b)
        return _added(self.layer, x)


def adapted_layers(model: PeftModel, adapter_name: str = "default") -> list[AdaptedLayer]:
    """Returns the linear layers of a model that have an adapter, in the model's order.

    Args:
        model: with an adapter of any method, not merged, in evaluation.
        adapter_name: which adapter.

    Raises:
        ValueError: none has one, as with prompts that are learnt.
    """
    found = [
        AdaptedLayer(name, layer, adapter_name)
        for name, layer in model.get_base_model().named_modules()
        if isinstance(layer, BaseTunerLayer)
        and isinstance(layer.get_base_layer(), nn.Linear | Conv1D)
        and has_adapter(layer, adapter_name)
    ]
    if not found:
        raise ValueError(
            f"adapter {adapter_name!r} adapts no linear layer, so it has no ΔW and no A; methods "
            "that put adapters into layers have; take a trial of one of them"
        )
    return found


def _widened(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _added(layer: BaseTunerLayer, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Module)
    # Not called: whoever asks may be in a hook of the layer.
    return _widened(layer.forward(x)) - _widened(layer.get_base_layer()(x))


def _measure(layer: BaseTunerLayer) -> Tensor:
    """Returns what a layer adds to each unit vector, [O, I], float64.

    Raises:
        ValueError: it is not linear in the input.
    """
    assert isinstance(layer, nn.Module)
    # A copy: the layer itself stays as it is, and the others with it.
    precise = copy.deepcopy(layer).double().eval()
    assert isinstance(precise, BaseTunerLayer)
    frozen = precise.get_base_layer()
    assert isinstance(frozen, nn.Linear | Conv1D)
    size = frozen.nx if isinstance(frozen, Conv1D) else frozen.in_features
    units = torch.eye(size, dtype=torch.float64, device=frozen.weight.device)
    nothing = _added(precise, torch.zeros_like(units[:1]))
    starts = range(0, size, _AT_ONCE)
    delta = torch.cat([_added(precise, units[x : x + _AT_ONCE]) - nothing for x in starts]).T
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, size, generator=generator, dtype=torch.float64).to(units)
    expected = F.linear(x, delta) + nothing
    error = (_added(precise, x) - expected).abs().max()
    if error > _SAME * max(1.0, float(expected.abs().max())):
        raise ValueError(
            f"the update of a {type(layer).__module__}.{type(layer).__name__} is not linear in its "
            "input, so it has no ΔW; allowed are methods whose update is a matrix"
        )
    return delta


@singledispatch
def _find_downs(
    layer: BaseTunerLayer,  # noqa: ARG001 - the base of the others
    adapter_name: str,  # noqa: ARG001
) -> Mapping[str, Tensor]:
    """Returns the matrices A of a layer by name; empty where it has none."""
    return {}


@_find_downs.register
def _of_ours(layer: AdapterLinear, adapter_name: str) -> Mapping[str, Tensor]:
    return layer.down_projections(adapter_name)


@_find_downs.register(LoraLayer)
@_find_downs.register(HiraLayer)
def _of_lora(layer: BaseTunerLayer, adapter_name: str) -> Mapping[str, Tensor]:
    name = "lora_A" if isinstance(layer, LoraLayer) else "hira_A"
    inside = getattr(layer, name)[adapter_name]
    return {"A": inside if isinstance(inside, Tensor) else inside.weight}


@_find_downs.register
def _of_vblora(layer: VBLoRALinear, adapter_name: str) -> Mapping[str, Tensor]:
    return {"A": layer._get_lora_matrices(adapter_name, cast_to_fp32=True)[0]}
