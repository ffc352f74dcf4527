"""What our methods have in common as PEFT tuners: config, layer, model, and how PEFT knows them."""

from __future__ import annotations

from sweeper_adapters._tuner.config import (
    AdapterConfig,
    LowRankConfig,
    PatternedConfig,
    build_number_error,
)
from sweeper_adapters._tuner.layer import AdapterLinear, number_downs
from sweeper_adapters._tuner.model import AdapterModel
from sweeper_adapters._tuner.registration import register_tuner

__all__ = [
    "AdapterConfig",
    "AdapterLinear",
    "AdapterModel",
    "LowRankConfig",
    "PatternedConfig",
    "build_number_error",
    "number_downs",
    "register_tuner",
]
