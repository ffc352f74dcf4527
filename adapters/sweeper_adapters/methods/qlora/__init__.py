"""QLoRA."""

from __future__ import annotations

from sweeper_adapters.methods.qlora.spec import QloraSpec

__all__ = ["QloraSpec"]
