"""Near names, for whoever has named a layer that a model does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "demand_layer_indices",
    "demand_modules",
    "demand_no_stacked",
    "demand_targets",
    "describe_known",
    "describe_stacked",
    "find_missing",
    "find_stacked",
    "list_linear_names",
]

# What the layers of one expert were called before transformers 5 stacked them: of Mixtral, and of
# Qwen's mixtures (PEFT 0.21, utils/transformers_weight_conversion.py).
_STACKED_NAMES = {
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
    "w1": "gate_up_proj",
    "w3": "gate_up_proj",
    "w2": "down_proj",
}


def describe_known(targets: Iterable[str], known: Sequence[str]) -> str:
    """Returns what a model has in the place of targets that match nothing, for a message.

    Args:
        targets: names or regular expressions.
        known: names of the layers that the model has.
    """
    words = [word for target in targets for word in (target, *re.findall(r"\w+", target))]
    near = [
        match
        for word in words
        if word not in known
        for match in get_close_matches(word, known, n=1)
    ]
    names = ", ".join(repr(name) for name in dict.fromkeys(near))
    hint = f"did you mean {names}?" if names else "take names from this list"
    return f"it has {', '.join(known)}; {hint}"


def list_linear_names(model: nn.Module) -> list[str]:
    """Returns the last part of the name of each linear layer of a model, each once."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    names = [name for name, x in model.named_modules() if isinstance(x, nn.Linear | Conv1D)]
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def demand_targets(model: nn.Module, targets: Sequence[str]) -> None:
    """Refuses targets that name no layer of a model.

    PEFT itself only refuses a list of which none does, and gives no names.

    Raises:
        ValueError: a target is neither a module's name nor its last part.
    """
    missing = find_missing(model, targets)
    if missing:
        listed = ", ".join(repr(target) for target in missing)
        stacked = find_stacked(model, missing)
        hint = f"; {describe_stacked(stacked)}" if stacked else ""
        raise ValueError(
            f"target {listed} matches no layer of the model; "
            f"{describe_known(missing, list_linear_names(model))}{hint}"
        )


def demand_modules(model: nn.Module, field: str, names: Iterable[str]) -> None:
    """Refuses names of a config's field that no module of a model has; PEFT passes over them.

    Args:
        model: with adapters or without.
        field: of the config, for the message.
        names: modules by name, or by the end of it.

    Raises:
        ValueError: one is the end of no module's name.
    """
    known = _list_names(model)
    missing = sorted(x for x in names if not any(name.endswith(x) for name in known))
    if missing:
        parts = sorted({name.rpartition(".")[2] for name in known} - {""})
        near = describe_known(missing, [part for part in parts if not part.isdigit()])
        raise ValueError(
            f"{field} has {', '.join(map(repr, missing))}, which no module of the model is called; "
            f"{near}; correct it, or take it out"
        )


def find_missing(model: nn.Module, targets: Iterable[str]) -> list[str]:
    """Returns the targets that name no layer of a model."""
    names = [f".{name}" for name in _list_names(model)]
    return [x for x in targets if not any(name.endswith(f".{x}") for name in names)]


def demand_no_stacked(model: nn.Module, targets: Sequence[str]) -> None:
    """Refuses targets that speak of experts' stacked weights besides linear layers.

    Raises:
        ValueError: one does; part of what it names would get no adapter.
    """
    stacked = find_stacked(model, targets)
    if stacked:
        ours = [target for target in targets if find_stacked(model, [target])]
        raise ValueError(
            f"target {', '.join(map(repr, ours))} speaks of more than linear layers: "
            f"{describe_stacked(stacked)}; name the linear layers alone, as in "
            "'shared_expert.up_proj', or leave them out of targets"
        )


def demand_layer_indices(model: nn.Module, indices: int | Sequence[int]) -> None:
    """Refuses indices of decoder layers that a model does not have.

    Raises:
        ValueError: no module's name has such a number.
    """
    wanted = {indices} if isinstance(indices, int) else set(indices)
    known = {int(part) for name in _list_names(model) for part in name.split(".") if part.isdigit()}
    missing = sorted(wanted - known)
    if missing:
        has = f"0 to {max(known)}" if known else "none"
        raise ValueError(
            f"layers_to_transform has {', '.join(map(str, missing))}, the index of no layer of "
            f"the model; allowed are those that it has, {has}; take it out"
        )


def find_stacked(model: nn.Module, targets: str | Iterable[str]) -> list[str]:
    """Returns the stacked weights of experts that targets speak of, by name.

    transformers 5 keeps the weights of all experts of a layer in one parameter of 3 dimensions,
    which is no linear layer. A target may call it by its own name, or by that of the layers that
    were there before.

    Args:
        model: with adapters or without.
        targets: names, or a regular expression; ``all-linear`` speaks of all.
    """
    stacked = _list_stacked(model)
    if isinstance(targets, str):
        if targets.lower() == "all-linear":
            return stacked
        return [name for name in stacked if re.fullmatch(targets, name)]
    wanted = {f".{other}" for target in targets for other in (target, _rename(target))}
    return [name for name in stacked if any(f".{name}".endswith(end) for end in wanted)]


def describe_stacked(names: Sequence[str]) -> str:
    """Returns what is said of stacked weights of experts that get no adapter."""
    shown = list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names))
    return (
        f"the stacked weights of experts {', '.join(shown)} are no linear layers and get no "
        "adapter; PEFT's own LoraConfig adapts them, by target_parameters"
    )


def _rename(target: str) -> str:
    parent, dot, last = target.rpartition(".")
    return f"{parent}{dot}{_STACKED_NAMES.get(last, last)}"


def _list_names(model: nn.Module) -> list[str]:
    """Returns the names of all modules, but of those inside of adapted layers."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    names, inside = [], None
    # What is in a module comes right after it.
    for name, module in model.named_modules():
        if inside is not None and name.startswith(inside):
            continue
        names.append(name)
        inside = f"{name}." if isinstance(module, BaseTunerLayer) else None
    return names


def _list_stacked(model: nn.Module) -> list[str]:
    """Returns the names of the parameters of 3 dimensions, but of convolutions and of adapters."""
    from torch.nn.modules.conv import _ConvNd

    return [
        f"{name}.{parameter_name}".removeprefix(".")
        for name in _list_names(model)
        if not isinstance(module := model.get_submodule(name), _ConvNd)
        for parameter_name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() == 3
    ]
