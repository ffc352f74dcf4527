"""All methods as specs: what a method is called, how large it is, and what PEFT makes of it.

The tagged union :data:`Method` is the registry: a new method is one spec and one line here. Nothing
in this package imports torch or PEFT until an adapter is made.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper_adapters.methods._base import (
    AnyMethodSpec,
    EngineFacts,
    Linear,
    MethodSpec,
    ModelShape,
)
from sweeper_adapters.methods.lora import LoraSpec
from sweeper_adapters.methods.masa import MasaControlSpec, MasaSpec
from sweeper_adapters.methods.mosa import MosaSpec

__all__ = [
    "AnyMethodSpec",
    "EngineFacts",
    "Linear",
    "LoraSpec",
    "MasaControlSpec",
    "MasaSpec",
    "Method",
    "MethodSpec",
    "ModelShape",
    "MosaSpec",
]

Method = Annotated[
    LoraSpec | MasaSpec | MasaControlSpec | MosaSpec,
    Field(discriminator="name"),
]
"""Any method, told apart by ``name``."""
