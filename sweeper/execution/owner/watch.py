"""A thread beside a sweep that tells its driver's life, and does what the owner asks of it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from sweeper.errors import DamagedFileError, PoolLostError
from sweeper.execution.owner.budget import shared_usage
from sweeper.execution.pool import status_of
from sweeper.tracking.owner import (
    DriverWord,
    Meter,
    StopRequest,
    forget,
    forget_all,
    note_life,
    pending,
)
from sweeper.tracking.owner.life import BEAT_S
from sweeper.tracking.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle

__all__ = ["OwnerWatch"]

logger = logging.getLogger(__name__)

# Seconds between two looks for requests, and for which the pool's answer is waited.
LOOK_S = 1.0
ANSWER_S = 5.0
# Seconds that trials in training get to write their checkpoints. One that is being evaluated may
# take longer, and is then taken up from the checkpoint before.
PAUSING_S = 120.0
# The same after SIGTERM: a cluster manager that wants the machine back kills after 30 s.
NOTICE_S = 20.0


class OwnerWatch:
    """Watches for the owner's requests while the body runs; a context manager, with the lock held.

    What a driver that died was asked is forgotten at the beginning, and so is, at the end, what
    came too late.
    """

    def __init__(
        self,
        folder: SweepFolder,
        *,
        stage: Callable[[], str],
        ending_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Prepares the watch.

        Args:
            folder: of the sweep.
            stage: returns what the driver does besides the trials.
            ending_s: returns the seconds that trials get to write checkpoints, where the sweep has
                to end now to keep its limits; else None.
        """
        self._folder = folder.path
        self._sweep = folder
        self._stage = stage
        self._ending_s = ending_s
        self._pool: ActorHandle[Any] | None = None
        self._over = threading.Event()
        # Held while the pool is asked, which is not to be asked any more once Ray has gone.
        self._asking = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="owner-watch", daemon=True)
        self._is_told = False
        self._said_s = 0.0
        self._word = DriverWord(
            id=uuid.uuid4().hex[:12],
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=(now := datetime.now(UTC)),
            said_at=now,
        )
        self.is_stopped = False
        """Whether the owner has stopped the sweep."""
        self._meter: Meter | None = None
        self.is_limited = False
        """Whether it was interrupted to keep its limits."""
        # Whether the next SIGTERM interrupts the driver at once.
        self._is_due = False
        self._is_interrupted = False
        # By signal: whom it went to before; none where this is not the main thread.
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> OwnerWatch:
        forget_all(self._folder)
        shared = shared_usage(self._sweep)
        try:
            self._meter = Meter(self._folder, self._word.id, time.monotonic, shared)
        except DamagedFileError as error:
            logger.warning(
                "%s; what the sweep has taken so far is not known, and not counted", error
            )
            error.path.unlink(missing_ok=True)
            self._meter = Meter(self._folder, self._word.id, time.monotonic, shared)
        self._tell()
        if threading.current_thread() is threading.main_thread():
            self._handlers_before = {
                x: signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGINT)
            }
        self._listen()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        forget_all(self._folder)
        self._word = self._word.model_copy(update={"ended_at": datetime.now(UTC)})
        self._tell(is_last=True)

    @property
    def meter(self) -> Meter:
        """What notes how long the driver runs; while the watch is open."""
        assert self._meter is not None
        return self._meter

    def follow(self, pool: ActorHandle[Any]) -> None:
        """Passes on to a pool's actor what the owner asks, and from now on a SIGTERM, too.

        Raises:
            KeyboardInterrupt: there was a Ctrl-C before, which did not end the start of Ray.
        """
        if self._is_interrupted:
            raise KeyboardInterrupt
        self._pool = pool
        # Where Ray was started meanwhile, the handler was replaced.
        self._listen()

    def leave(self) -> None:
        """Asks no pool any more, and ends nothing for its limits; waits for a question under way.

        The trials have ended.
        """
        with self._asking:
            self._pool = None
        self._ending_s = lambda: None

    def _listen(self) -> None:
        if not self._handlers_before:
            return
        signal.signal(signal.SIGTERM, self._take_notice)
        # A shell's script starts what it leaves in the background deaf to SIGINT.
        if self._handlers_before[signal.SIGINT] is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._raise)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        """Interrupts, and remembers it: libraries swallow what is raised in their callbacks."""
        self._is_interrupted = True
        signal.default_int_handler(number, frame)

    def _take_notice(self, number: int, frame: FrameType | None) -> None:
        """Leaves a first SIGTERM to the watch; the next one interrupts as Ctrl-C does."""
        if self._is_due:
            self._raise(number, frame)
        self._is_due = True

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self._beat()
            if self._is_due:
                self._interrupt(pausing_s=NOTICE_S)
                return
            if (ending_s := self._ending_s()) is not None:
                self.is_limited = True
                self._interrupt(pausing_s=ending_s)
                return
            for request in pending(self._folder, driver=self._word.id):
                if request.trial is not None:
                    self._stop_trial(request, request.trial)
                elif not self.is_stopped:
                    self._stop_sweep(request)

    def _beat(self) -> None:
        if time.monotonic() - self._said_s >= BEAT_S:
            self._tell()

    def _tell(self, *, is_last: bool = False) -> None:
        self._said_s = time.monotonic()
        # Before the pool is asked, which may take its time.
        self._meter_on(is_last=is_last)
        known = self._status()
        counts = {name: known[name] for name in _COUNTS if name in known}
        said = {"said_at": datetime.now(UTC), "stage": self._stage()[:2000], **counts}
        self._word = self._word.model_copy(update=said)
        try:
            note_life(self._folder, self._word)
        except OSError as error:
            if not self._is_told:
                logger.warning("that the driver lives cannot be noted: %s", error)
            self._is_told = True

    def _meter_on(self, *, is_last: bool) -> None:
        if self._meter is None:
            return
        try:
            self._meter.note(is_last=is_last)
        except OSError as error:
            logger.debug("how long the driver runs cannot be noted: %s", error)

    def _status(self) -> dict[str, Any]:
        with self._asking:
            try:
                return {} if self._pool is None else status_of(self._pool, timeout_s=ANSWER_S)
            # The main thread finds that out, too, and ends the sweep with a sentence.
            except PoolLostError:
                return {}

    def _stop_trial(self, request: StopRequest, trial_id: str) -> None:
        with self._asking:
            # Before there is a pool no trial is in training; the request waits for it.
            if self._pool is None:
                return
            try:
                ray.get(self._pool.drop.remote(trial_id), timeout=ANSWER_S)
            except (RayError, TimeoutError):
                return
        logger.info("trial %s is stopped for %s", trial_id, request.asked_by)
        forget(self._folder, request)

    def _stop_sweep(self, request: StopRequest) -> None:
        """Ends the sweep for its owner."""
        self._interrupt(pausing_s=PAUSING_S, asked_by=request.asked_by)

    def _interrupt(self, *, pausing_s: float, asked_by: str = "") -> None:
        """Has the trials in training write checkpoints, then interrupts the driver like Ctrl-C.

        Args:
            pausing_s: for which the checkpoints are waited.
            asked_by: the owner; empty where it is the machine that is taken away.
        """
        self._pause(pausing_s)
        # What has come to its end meanwhile is not interrupted.
        if self._over.is_set():
            return
        if asked_by:
            logger.info("the sweep is stopped for %s", asked_by)
            self.is_stopped = True
        self._is_due = True
        main = threading.main_thread().ident
        assert main is not None
        # Not SIGINT, to which this process may be deaf.
        signal.pthread_kill(main, signal.SIGTERM)

    def _pause(self, pausing_s: float) -> None:
        with self._asking:
            if self._pool is None:
                return
            try:
                ray.get(self._pool.pause.remote(), timeout=ANSWER_S)
            except (RayError, TimeoutError):
                return
        deadline = time.monotonic() + pausing_s
        while self._status().get("training") and time.monotonic() < deadline:
            self._beat()
            if self._over.wait(LOOK_S / 4):
                return


_COUNTS = ("replicas", "ready", "restarting", "lost", "restarts")
