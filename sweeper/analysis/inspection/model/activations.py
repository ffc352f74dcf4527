"""What the adapted layers are given for rows of data: inputs, one batch and one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sweeper.analysis.inspection.model.opening import OpenTrial
from sweeper.analysis.inspection.model.rows import Row
from sweeper.data.tokens.encoding import collate
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sweeper_adapters import AdaptedLayer

__all__ = ["LayerInput", "layer_inputs"]

# Rows of one pass where nothing else says how many.
BATCH = 16


@dataclass(frozen=True, eq=False)
class LayerInput:
    """What a layer sees of a batch."""

    layer: AdaptedLayer
    x: Tensor
    """[B, T, I], in the model's dtype, on its device; padding included."""
    mask: Tensor
    """[B, T], bool: what is a token of a row. The first token is none: as an attention sink it has
    activations of another size, whatever the row says (Sun et al. 2024, arXiv:2402.17762)."""


def layer_inputs(
    opened: OpenTrial,
    layers: Sequence[AdaptedLayer],
    rows: Sequence[Row],
    take: Callable[[LayerInput], None],
    *,
    batch: int = BATCH,
) -> Iterator[list[Row]]:
    """Runs rows through the model, and yields each batch when all layers have been seen.

    Nothing of a batch is kept: a layer's input is handed on while the model runs.

    Args:
        opened: the trial.
        layers: whose inputs are wanted.
        rows: in their order.
        take: called for each layer of each batch, in the model's order.
        batch: rows of one pass; the last one may have fewer.

    Raises:
        BadInputError: a layer does not see whole rows.
    """
    import torch

    for start in range(0, len(rows), batch):
        own = list(rows[start : start + batch])
        inputs = collate([row.tokens for row in own], opened.base.pad_id)
        inputs = {name: value.to(opened.base.device) for name, value in inputs.items()}
        del inputs["labels"]
        mask = inputs["attention_mask"].bool()
        kept = torch.zeros_like(mask)
        kept[:, -1] = True
        tokens = mask.clone()
        tokens[:, 0] = False
        with torch.no_grad(), ExitStack() as hooks:
            for layer in layers:
                hook = partial(_hand_on, layer=layer, mask=tokens, take=take)
                handle = _module(layer).register_forward_pre_hook(hook)
                hooks.callback(handle.remove)
            opened.adapted.forward(**inputs, logits_to_keep=kept)
        yield own


def _module(layer: AdaptedLayer) -> torch.nn.Module:
    import torch

    assert isinstance(layer.layer, torch.nn.Module)
    return layer.layer


def _hand_on(
    module: torch.nn.Module,  # noqa: ARG001 - torch's signature
    args: tuple[Any, ...],
    *,
    layer: AdaptedLayer,
    mask: Tensor,
    take: Callable[[LayerInput], None],
) -> None:
    x = args[0]
    if x.dim() != 3 or x.shape[:2] != mask.shape:
        raise BadInputError(
            f"{layer.name}: it sees activations of shape {list(x.shape)}, not whole rows; only "
            "layers that see [rows, tokens, features] can be compared row by row; leave it out "
            "with --modules"
        )
    take(LayerInput(layer, x, mask))
