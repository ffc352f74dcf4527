"""Trainings that take turns in one process, a step at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["Turns"]


class Turns:
    """A training in a thread of its own, which goes on by one step each time that it is called.

    All others wait meanwhile, so the seconds of CPU of the process are those of the step.
    """

    def __init__(
        self,
        work: Callable[[Callable[[], None]], None],
        *,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Starts nothing yet: the first call does, and takes the first step.

        Args:
            work: trains, and calls what it is given after each step.
            around: gives what is open while it does.
        """
        self._around = around
        self.cpus_s: list[float] = []
        """Seconds of CPU of each call."""
        self._may_go = threading.Semaphore(0)
        self._has_paused = threading.Semaphore(0)
        self._is_free = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def __call__(self) -> None:
        """Takes a step.

        Raises:
            RuntimeError: the training has ended, or failed.
        """
        with self._around():
            started_s = time.process_time()
            self._may_go.release()
            self._has_paused.acquire()
            self.cpus_s.append(time.process_time() - started_s)
        if self._error is not None:
            raise RuntimeError("the training has failed") from self._error
        if not self._thread.is_alive() or self._is_free:
            raise RuntimeError("the training has ended; give it as many steps as it has turns")

    def finish(self) -> None:
        """Lets it go on to its end.

        Raises:
            RuntimeError: it has failed on the way.
        """
        self._is_free = True
        with self._around():
            self._may_go.release()
            self._thread.join()
        if self._error is not None:
            raise RuntimeError("the training has failed") from self._error

    def _run(self, work: Callable[[Callable[[], None]], None]) -> None:
        self._may_go.acquire()
        try:
            work(self._pause)
        except BaseException as error:  # noqa: BLE001 - whoever takes turns is told
            self._error = error
        self._is_free = True
        self._has_paused.release()

    def _pause(self) -> None:
        if not self._is_free:
            self._has_paused.release()
            self._may_go.acquire()
