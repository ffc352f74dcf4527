"""The command line: parse, call, print.

Exit codes: 0 ok, 1 some trials or a check failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

from sweeper.cli.app import app, main

__all__ = ["app", "main"]
