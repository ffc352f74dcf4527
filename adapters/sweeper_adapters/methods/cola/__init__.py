"""CoLA."""

from __future__ import annotations

from sweeper_adapters.methods.cola.spec import ColaSpec

__all__ = ["ColaSpec"]
