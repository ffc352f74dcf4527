"""Any tuner of PEFT, by its type and the fields of its config."""

from __future__ import annotations

from sweeper_adapters.methods.peft.spec import PeftSpec

__all__ = ["PeftSpec"]
