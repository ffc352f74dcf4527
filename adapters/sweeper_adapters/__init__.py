"""Methods that fine-tune a frozen model, as PEFT tuners, and the specs that describe them.

Importing this package, or :mod:`sweeper_adapters.methods`, imports neither torch nor PEFT: a driver
that only plans stays fast. The first use of a config, layer or model class makes PEFT know our
methods; so does :func:`register`, which a script calls before ``PeftModel.from_pretrained``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sweeper_adapters._register import register

if TYPE_CHECKING:
    from sweeper_adapters.masa import MasaConfig, MasaLinear, MasaModel
    from sweeper_adapters.mosa import MosaConfig, MosaLinear, MosaModel

__all__ = [
    "MasaConfig",
    "MasaLinear",
    "MasaModel",
    "MosaConfig",
    "MosaLinear",
    "MosaModel",
    "register",
]

_HOME = {name: f"sweeper_adapters.{name[:4].lower()}" for name in __all__ if name != "register"}


def __getattr__(name: str) -> object:
    """Returns a class of ours, importing its module and registering with PEFT on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    register()
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(__all__)
