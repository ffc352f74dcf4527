"""Modules that layers share: one module under several names, saved once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

__all__ = ["find_followers", "find_layer_group"]


def find_layer_group(name: str, group_size: int) -> tuple[str, int]:
    """Returns the kind of a layer and which group of adjacent layers it is in.

    The layer's index is the first number in its name: ``model.layers.12.self_attn.q_proj`` is layer
    12, of a kind that is called ``model.layers.*.self_attn.q_proj``.
    """
    number = re.search(r"(?:^|(?<=\.))\d+(?=\.|$)", name)
    if number is None:
        return name, 0
    kind = f"{name[: number.start()]}*{name[number.end() :]}"
    return kind, int(number.group()) // group_size


def find_followers(model: nn.Module, adapter_name: str) -> dict[str, str]:
    """Returns, for each key of a shared tensor but the first, that first key."""
    first: dict[int, str] = {}
    found = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        for key, identity in _list_tensors(layer, adapter_name):
            leader = first.setdefault(identity, f"{name}.{key}")
            if leader != f"{name}.{key}":
                found[f"{name}.{key}"] = leader
    return found


def _list_tensors(layer: BaseTunerLayer, adapter_name: str) -> Iterator[tuple[str, int]]:
    """Yields the key and identity of each parameter and buffer of a layer's adapter."""
    for side in layer.adapter_layer_names:
        container = getattr(layer, side)
        if not isinstance(container, nn.ModuleDict) or adapter_name not in container:
            continue
        module = container[adapter_name]
        for kind in (module.named_parameters, module.named_buffers):
            for name, tensor in kind(remove_duplicate=False):
                yield f"{side}.{adapter_name}.{name}", id(tensor)
