"""A batch whose samples are of several adapters: PEFT's ``adapter_names`` in a forward pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

__all__ = ["BASE", "passing_adapter_names", "rows_by_adapter"]

BASE = "__base__"
"""PEFT's name for no adapter."""


@contextmanager
def passing_adapter_names(
    model: nn.Module,
    layers: Sequence[nn.Module],
    adapter_names: Sequence[str] | None,
    *,
    known: Collection[str],
    beams: int,
) -> Iterator[None]:
    """Tells each layer with adapters, while it is open, the adapter of each sample.

    Args:
        model: in evaluation.
        layers: of it that have adapters.
        adapter_names: of each sample, or ``__base__`` for none; None where all have the active one.
        known: names of the adapters that there are.
        beams: how often generation repeats each sample.

    Raises:
        ValueError: the model is in training, or has no adapter of such a name.
    """
    if adapter_names is None:
        yield
        return
    if model.training:
        raise ValueError(
            "adapter_names is given to a model in training; allowed is a model in evaluation; call "
            "model.eval(), or train one adapter at a time"
        )
    unknown = sorted(set(adapter_names).difference(known, [BASE]))
    if unknown:
        raise ValueError(
            f"adapter_names has {', '.join(map(repr, unknown))}; the model has "
            f"{', '.join(sorted(known))}, and {BASE} for none; name one of them for each sample"
        )
    repeated = [name for name in adapter_names for _ in range(beams)]
    told = [*layers, *(x for x in model.modules() if isinstance(x, AuxiliaryTrainingWrapper))]
    add = partial(_add_adapter_names, adapter_names=repeated)
    handles = [module.register_forward_pre_hook(add, with_kwargs=True) for module in told]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _add_adapter_names(
    module: nn.Module,  # noqa: ARG001 - torch's signature
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    adapter_names: list[str],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, {**kwargs, "adapter_names": adapter_names}


def rows_by_adapter(adapter_names: Sequence[str], x: Tensor) -> dict[str, Tensor]:
    """Returns the indices of the samples of each adapter that a batch has.

    Args:
        adapter_names: of each sample.
        x: activations, [B, ..., I].

    Raises:
        ValueError: they are not as many as the samples.
    """
    if len(adapter_names) != len(x):
        raise ValueError(
            f"adapter_names has {len(adapter_names)} names for activations of {len(x)} samples; "
            "each sample has one name; give one for each, and take layers out of target_modules "
            "whose inputs do not begin with the batch"
        )
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(adapter_names):
        rows.setdefault(name, []).append(row)
    rows.pop(BASE, None)
    return {name: torch.tensor(found, device=x.device) for name, found in rows.items()}
