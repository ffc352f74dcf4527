"""Near names, for whoever has named a layer that a model does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["demand_targets", "describe_known", "list_linear_names"]


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
    names = [f".{name}" for name, _ in model.named_modules()]
    missing = [x for x in targets if not any(name.endswith(f".{x}") for name in names)]
    if missing:
        listed = ", ".join(repr(target) for target in missing)
        raise ValueError(
            f"target {listed} matches no layer of the model; "
            f"{describe_known(missing, list_linear_names(model))}"
        )
