"""What a model holds of an adapter, by container, and what its layers share, saved once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

__all__ = ["collect_adapter_tensors", "find_followers", "find_layer_group"]


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


def collect_adapter_tensors(model: nn.Module, adapter_name: str) -> dict[str, Tensor]:
    """Returns the entries of a model's state dict that belong to an adapter, by their keys.

    They are found by where they are kept and not by their keys, in which an adapter's name may well
    be the name of something else, too.
    """
    found: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, BaseTunerLayer):
            for side, module in _list_modules(layer, adapter_name):
                found.update(module.state_dict(prefix=f"{name}.{side}.{adapter_name}."))
    return found


def _list_modules(layer: BaseTunerLayer, adapter_name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yields what a layer has for an adapter, and the container that it is in."""
    for side in layer.adapter_layer_names:
        container = getattr(layer, side)
        if isinstance(container, nn.ModuleDict) and adapter_name in container:
            yield side, container[adapter_name]


def _list_tensors(layer: BaseTunerLayer, adapter_name: str) -> Iterator[tuple[str, int]]:
    """Yields the key and identity of each parameter and buffer of a layer's adapter."""
    for side, module in _list_modules(layer, adapter_name):
        for kind in (module.named_parameters, module.named_buffers):
            for name, tensor in kind(remove_duplicate=False):
                yield f"{side}.{adapter_name}.{name}", id(tensor)
