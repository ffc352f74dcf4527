"""Values of layers by patterns of their names, as PEFT has them: ``rank_pattern`` and its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from sweeper_adapters._targets import describe_known

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

__all__ = ["demand_patterns", "describe_misfits", "has_match", "value_of"]

_Value = TypeVar("_Value", int, float)


def value_of(pattern: Mapping[str, _Value], name: str, default: _Value) -> _Value:
    """Returns a layer's value: that of the first key that matches its name, else the default.

    Args:
        pattern: values by regular expressions.
        name: of the layer in the base model.
        default: of the layers that no key matches.
    """
    return next((value for key, value in pattern.items() if has_match(key, name)), default)


def has_match(key: str, name: str) -> bool:
    """Whether a key of a pattern means a layer, by its whole name or what comes after a dot of it.

    That is PEFT's rule (PEFT 0.21, utils/other.py, ``get_pattern_key``).
    """
    return re.match(rf"(.*\.)?({key})$", name) is not None


def describe_misfits(
    field: str, pattern: Mapping[str, int | float], names: Sequence[str]
) -> Iterator[str]:
    """Yields what keeps a pattern from giving each layer one value.

    Where two keys match a layer, PEFT takes the first; but it saves them sorted by the alphabet, so
    that an adapter that is loaded could have other values than the one that was trained.

    Args:
        field: that has the pattern, for the message.
        pattern: values by regular expressions.
        names: of the layers that get an adapter, in the base model; one at least.
    """
    keys = {name: [key for key in pattern if has_match(key, name)] for name in names}
    missing = [key for key in pattern if not any(key in found for found in keys.values())]
    if missing:
        known = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
        yield (
            f"{field} has {', '.join(map(repr, missing))}, which matches no layer that gets an "
            f"adapter; a key is a regular expression of the end of a name as {names[0]!r}; of "
            f"the layers {describe_known(missing, known)}; correct it, or take it out"
        )
    torn = [name for name in names if len({pattern[key] for key in keys[name]}) > 1]
    if torn:
        # The others are mostly in the same case.
        listed = " and ".join(f"{key!r} ({pattern[key]:g})" for key in keys[torn[0]])
        yield (
            f"{field} has {listed} for the layer {torn[0]}; allowed is one value for a layer, "
            "since PEFT takes the first and saves the keys in another order; write keys of which "
            "one matches a layer"
        )


def demand_patterns(model: nn.Module, config: PeftConfig, fields: Sequence[str]) -> None:
    """Refuses patterns that match no layer of a model or give one two values; PEFT only warns.

    Args:
        model: the base, with adapters or without.
        config: of the adapter, with its targets.
        fields: of the config that have patterns.

    Raises:
        ValueError: a key matches no layer that gets an adapter, or two give it two values.
    """
    from peft.tuners.tuners_utils import check_target_module_exists

    given = {field: pattern for field in fields if (pattern := getattr(config, field))}
    # Without targets PEFT takes those of the model's family, later.
    has_targets = getattr(config, "target_modules", None) is not None
    names = [
        x
        for x, _ in model.named_modules()
        if given and (not has_targets or check_target_module_exists(config, x))
    ]
    # Where there is none PEFT says so.
    patterns = given if names else {}
    wrong = [text for x, y in patterns.items() for text in describe_misfits(x, y, names)]
    if wrong:
        raise ValueError("; ".join(wrong))
