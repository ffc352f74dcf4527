"""A callback that makes a trial slow enough to be hit, and hits it from within when it is told to.

It stands in every drill's search space, so that one undisturbed run is the reference of all.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

__all__ = ["FOLDER", "Trouble"]

FOLDER = "DRILL_FOLDER"
"""Environment variable: where ``pace`` has the seconds that a step lasts at the least, and
``order`` the trouble to make, once; it is absent for most of the time."""

# Bytes that a process gets beside what it has, before they are taken, too.
_ROOM = 256 << 20
_PIECE = 1 << 20


class Trouble:
    """A user's callback that raises, or leaves the process without memory."""

    def __init__(self) -> None:
        self._held: list[bytearray] = []

    def on_step(self, step: int, loss: float, metrics: object) -> None:
        folder = Path(os.environ[FOLDER])
        time.sleep(float((folder / "pace").read_text(encoding="ascii")))
        order = self._take(folder / "order")
        if order == "raise":
            raise ValueError(f"the user's code met row {step}, which it cannot read")
        if order == "hoard":
            self._hoard()

    @staticmethod
    def _take(order: Path) -> str:
        """Returns what is asked for, once: the file that asks is removed."""
        if not order.is_file():
            return ""
        text = order.read_text(encoding="ascii")
        order.unlink()
        return text

    def _hoard(self) -> None:
        """Takes all memory that the process may have, until the trial ends, and asks for more.

        Raises:
            MemoryError: there is no more.
        """
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, hard))
        piece = _PIECE
        while piece > 64:
            try:
                self._held.append(bytearray(piece))
            except MemoryError:
                piece //= 2
        self._held.append(bytearray(_ROOM))
