"""A model whose linear layers are kept in 4 bit, by bitsandbytes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["BLOCK", "quantise"]

BLOCK = 64
"""Weights that share a scale (section 3 of the paper)."""


def quantise(model: PreTrainedModel, *, kind: str, double: bool) -> None:
    """Puts layers with 4-bit weights in the place of all linear layers but the output's.

    The memory of the weights that were there is given back; who wants them again keeps a copy.

    Args:
        model: with weights in floating point, on the device where they are needed.
        kind: ``nf4`` or ``fp4``.
        double: whether the scales of the blocks are quantised, too.

    Raises:
        ValueError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise ValueError(
            "qlora: bitsandbytes is not installed here; its 4-bit layers are needed; "
            "install masa-mosa-sweeper[quantization]"
        )
    # Neither all of its methods nor what it may be marked with is annotated.
    base: Any = model
    output = base.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if type(layer) is nn.Linear and layer is not output:
            model.set_submodule(name, _quantise_layer(layer, kind=kind, double=double))
            layer.requires_grad_(False)
            layer.weight.data = layer.weight.data.new_empty(0)
    # What transformers sets on a model that it loads in 4 bit, and PEFT looks for.
    base.is_loaded_in_4bit = True


def _quantise_layer(layer: nn.Linear, *, kind: str, double: bool) -> nn.Linear:
    from bitsandbytes.nn import Linear4bit, Params4bit

    from sweeper_adapters.methods.qlora.linear_4bit import OneRowLinear4bit

    weight = layer.weight
    is_odd = weight.device.type == "cpu" and layer.in_features % BLOCK > 0
    cls = OneRowLinear4bit if is_odd else Linear4bit
    made: Any = cls(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=weight.dtype,
        compress_statistics=double,
        quant_type=kind,
        device="meta",
    )
    made.weight = Params4bit(
        weight.data.reshape(1, -1) if is_odd else weight.data,
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
