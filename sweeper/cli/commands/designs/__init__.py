"""Commands that run a design which nobody has to write: of methods, of a paper's table."""

from __future__ import annotations

from sweeper.cli.commands.designs import compare, paper

__all__ = ["compare", "paper"]
