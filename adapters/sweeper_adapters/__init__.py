"""Methods that fine-tune a frozen model, as PEFT tuners, and the specs that describe them.

Importing this package, or :mod:`sweeper_adapters.methods`, imports neither torch nor PEFT: a driver
that only plans stays fast. The first use of a config, layer or model class makes PEFT know our
methods; so does :func:`register`, which a script calls before ``PeftModel.from_pretrained``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sweeper_adapters._register import TUNERS, register

if TYPE_CHECKING:
    from sweeper_adapters._lora_factors import LoraFactors, lora_factors
    from sweeper_adapters._tasks import set_task_ids
    from sweeper_adapters.bslora import BsloraConfig, BsloraLinear, BsloraModel
    from sweeper_adapters.cola import ColaConfig, ColaLinear, ColaModel
    from sweeper_adapters.hd_pissa import HdPissaConfig, HdPissaLinear, HdPissaModel
    from sweeper_adapters.lora_ga import LoraGaConfig, LoraGaLinear, LoraGaModel
    from sweeper_adapters.masa import MasaConfig, MasaLinear, MasaModel
    from sweeper_adapters.moe import MoeConfig, MoeLinear, MoeModel
    from sweeper_adapters.mora import MoraConfig, MoraLinear, MoraModel
    from sweeper_adapters.mosa import MosaConfig, MosaLinear, MosaModel
    from sweeper_adapters.mtl_lora import MtlLoraConfig, MtlLoraLinear, MtlLoraModel
    from sweeper_adapters.multilora import MultiLoraConfig, MultiLoraLinear, MultiLoraModel

__all__ = [
    "TUNERS",
    "BsloraConfig",
    "BsloraLinear",
    "BsloraModel",
    "ColaConfig",
    "ColaLinear",
    "ColaModel",
    "HdPissaConfig",
    "HdPissaLinear",
    "HdPissaModel",
    "LoraFactors",
    "LoraGaConfig",
    "LoraGaLinear",
    "LoraGaModel",
    "MasaConfig",
    "MasaLinear",
    "MasaModel",
    "MoeConfig",
    "MoeLinear",
    "MoeModel",
    "MoraConfig",
    "MoraLinear",
    "MoraModel",
    "MosaConfig",
    "MosaLinear",
    "MosaModel",
    "MtlLoraConfig",
    "MtlLoraLinear",
    "MtlLoraModel",
    "MultiLoraConfig",
    "MultiLoraLinear",
    "MultiLoraModel",
    "lora_factors",
    "register",
    "set_task_ids",
]

_HOME = {
    f"{stem}{kind}": f"sweeper_adapters.{module}"
    for module, stem in TUNERS.values()
    for kind in ("Config", "Linear", "Model")
} | {
    "LoraFactors": "sweeper_adapters._lora_factors",
    "lora_factors": "sweeper_adapters._lora_factors",
    "set_task_ids": "sweeper_adapters._tasks",
}


def __getattr__(name: str) -> object:
    """Returns what torch is needed for, importing it and registering with PEFT on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    register()
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(__all__)
