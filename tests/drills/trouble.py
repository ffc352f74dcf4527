"""A callback that makes a trial slow enough to be hit, and hits it from within when it is told to.

It stands in every drill's search space, so that one undisturbed run is the reference of all.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

__all__ = ["ORDER", "STEP_S", "Trouble"]

ORDER = "DRILL_ORDER"
"""Environment variable: the file whose text is the trouble to make, once; absent for most of it."""
STEP_S = "DRILL_STEP_S"
"""Environment variable: seconds that a step lasts at the least."""

# Bytes that a process gets beside what it has, before they are taken, too.
_ROOM = 256 << 20
_PIECE = 1 << 20


class Trouble:
    """A user's callback that raises, or leaves the process without memory."""

    def __init__(self) -> None:
        self._held: list[bytearray] = []

    def on_step(self, step: int, loss: float, metrics: object) -> None:
        time.sleep(float(os.environ.get(STEP_S, "0")))
        order = self._order()
        if order == "raise":
            raise ValueError(f"the user's code met row {step}, which it cannot read")
        if order == "hoard":
            self._hoard()

    @staticmethod
    def _order() -> str:
        """Returns what is asked for, once: the file that asks is removed."""
        path = Path(os.environ.get(ORDER, ""))
        if not path.name or not path.is_file():
            return ""
        text = path.read_text(encoding="utf-8")
        path.unlink()
        return text

    def _hoard(self) -> None:
        """Takes all memory that the process may have, until the trial ends."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, hard))
        piece = _PIECE
        while piece > 64:
            try:
                self._held.append(bytearray(piece))
            except MemoryError:
                piece //= 2
