"""A model whose linear layers are kept in 4 bit, by bitsandbytes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._targets import find_stacked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["BLOCK", "measure_quantised", "quantise"]

BLOCK = 64
"""Weights that share a scale (section 3 of the paper)."""

# A product in another order; in 16 bit, of the largest output.
_SAME_PRODUCT = 0.02
_MOST_NAMED = 5

logger = logging.getLogger(__name__)


def quantise(model: PreTrainedModel, *, kind: str, double: bool) -> None:
    """Puts layers with 4-bit weights in the place of all linear layers but the output's.

    Linear are nn.Linear, Conv1D of GPT-2, and what is made of nn.Linear and computes the same, as
    Falcon's layers do. Others made of it, routers for example, are left as they are, and named in
    the log. The memory of the weights that were there is given back; who wants them again keeps a
    copy.

    Args:
        model: with weights in floating point, on the device where they are needed.
        kind: ``nf4`` or ``fp4``.
        double: whether the scales of the blocks are quantised, too.

    Raises:
        ValueError: bitsandbytes is not installed, or the model has no such layer.
    """
    if find_spec("bitsandbytes") is None:
        raise ValueError(
            "qlora: bitsandbytes is not installed here; its 4-bit layers are needed; "
            "install masa-mosa-sweeper[quantization]"
        )
    # Neither all of its methods nor what it may be marked with is annotated.
    base: Any = model
    output = base.get_output_embeddings()
    left = find_stacked(model, "all-linear")
    left += _replace_layers(model, output, kind=kind, double=double)
    layers, share = measure_quantised(model, model.parameters())
    if not layers:
        raise ValueError(
            f"qlora: no layer of a {type(model).__name__} can be quantised; needed are linear "
            f"layers with weights in floating point{_describe_left(left)}; use lora"
        )
    logger.info("qlora: %d layers, %.1f %% of all weights, are kept in 4 bit", layers, 100 * share)
    if left:
        logger.warning("qlora: not all weights are kept in 4 bit%s", _describe_left(left))
    # What transformers sets on a model that it loads in 4 bit, and PEFT looks for.
    base.is_loaded_in_4bit = True


def _replace_layers(
    model: nn.Module, output: nn.Module | None, *, kind: str, double: bool
) -> list[str]:
    """Puts quantised layers in the place of linear ones; returns the names of those left."""
    left = []
    for name, layer in list(model.named_modules()):
        if layer is output or not isinstance(layer, nn.Linear | Conv1D):
            continue
        if not _is_linear(layer):
            left.append(name)
            continue
        model.set_submodule(name, _quantise_layer(layer, kind=kind, double=double))
        layer.requires_grad_(False)
        layer.weight.data = layer.weight.data.new_empty(0)
    return left


def measure_quantised(model: nn.Module, weights: Iterable[nn.Parameter]) -> tuple[int, float]:
    """Returns how many layers of a model are kept in 4 bit, and the share of its weights in them.

    Args:
        model: with an adapter or without.
        weights: all parameters of the base.
    """
    from bitsandbytes.nn import Linear4bit

    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    inside = sum(layer.in_features * layer.out_features for layer in layers)
    packed = {id(layer.weight) for layer in layers}
    outside = sum(weight.numel() for weight in weights if id(weight) not in packed)
    return len(layers), inside / max(1, inside + outside)


def _describe_left(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"; left as they are: {shown}{rest}" if names else ""


def _is_linear(layer: nn.Module) -> bool:
    """Whether a layer multiplies by a weight in floating point, adds a bias, and does no more.

    What is made of nn.Linear may do anything: it is tried.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if not weight.is_floating_point() or weight.dim() != 2:
        return False
    if type(layer) in (nn.Linear, Conv1D):
        return True
    return isinstance(layer, nn.Linear) and _computes_linear(layer)


@torch.no_grad()
def _computes_linear(layer: nn.Linear) -> bool:
    """Whether a layer made of nn.Linear gives the output of one."""
    if tuple(layer.weight.shape) != (layer.out_features, layer.in_features):
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, layer.in_features, generator=generator).to(layer.weight)
    try:
        found = layer(x)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False
    expected = F.linear(x, layer.weight, layer.bias)
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    # Where there are no values they cannot be compared.
    is_same = (
        found.is_meta or (found - expected).abs().max() <= _SAME_PRODUCT * expected.abs().max()
    )
    return bool(is_same)


def _quantise_layer(layer: nn.Linear | Conv1D, *, kind: str, double: bool) -> nn.Linear:
    from bitsandbytes.nn import Linear4bit, Params4bit

    from sweeper_adapters.methods.qlora.linear_4bit import OneRowLinear4bit

    # Conv1D has [I, O].
    weight = layer.weight.data.T.contiguous() if isinstance(layer, Conv1D) else layer.weight.data
    out_features, in_features = weight.shape
    is_odd = weight.device.type == "cpu" and in_features % BLOCK > 0
    cls = OneRowLinear4bit if is_odd else Linear4bit
    made: Any = cls(
        in_features,
        out_features,
        bias=layer.bias is not None,
        compute_dtype=weight.dtype,
        compress_statistics=double,
        quant_type=kind,
        device="meta",
    )
    made.weight = Params4bit(
        weight.reshape(1, -1) if is_odd else weight,
        requires_grad=False,
        blocksize=BLOCK,
        compress_statistics=double,
        quant_type=kind,
        module=made,
    ).to(weight.device)
    made.bias = layer.bias
    # On a CPU that could, bitsandbytes 0.50 repacks the weights in the first evaluation, and then
    # computes without gradients in the training that goes on.
    made.support_avx512bf16_for_cpu = False
    result: nn.Linear = made
    return result
