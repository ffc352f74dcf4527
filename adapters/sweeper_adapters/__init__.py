"""Methods that fine-tune a frozen model, as PEFT tuners, and the specs that describe them.

Importing this package, or :mod:`sweeper_adapters.methods`, imports neither torch nor PEFT: a driver
that only plans stays fast. The first use of a config, layer or model class makes PEFT know our
methods; so does :func:`register`, which a script calls before ``PeftModel.from_pretrained``.

These classes are attributes of this package; their names follow from the specs. A type checker
finds them where they are defined: in ``tuner.py`` of the method's folder in :mod:`.methods`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sweeper_adapters._register import HOMES, TUNERS, register

if TYPE_CHECKING:
    from sweeper_adapters._adapted_layers import AdaptedLayer, adapted_layers
    from sweeper_adapters._lora_factors import LoraFactors, lora_factors
    from sweeper_adapters._task_ids import set_task_ids

__all__ = [
    "TUNERS",
    "AdaptedLayer",
    "LoraFactors",
    "adapted_layers",
    "lora_factors",
    "register",
    "set_task_ids",
]

_LAZY = HOMES | {
    "AdaptedLayer": "sweeper_adapters._adapted_layers",
    "adapted_layers": "sweeper_adapters._adapted_layers",
    "LoraFactors": "sweeper_adapters._lora_factors",
    "lora_factors": "sweeper_adapters._lora_factors",
    "set_task_ids": "sweeper_adapters._task_ids",
}


# Any: a class that is found by its name has no other type.
def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Returns what torch is needed for, importing it and registering with PEFT on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    register()
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted({*__all__, *_LAZY})
