"""The driver of a sweep at a store: has its lease, and pushes what is written while it runs."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sweeper._files import FileLock, signature
from sweeper.errors import BadInputError
from sweeper.tracking.mirror.lease import BEAT_S, Lease, LeaseLostError, Owner
from sweeper.tracking.mirror.stores import StoreError
from sweeper.tracking.mirror.units import STUDY
from sweeper.tracking.mirror.working_copy import WorkingCopy, copy_of

__all__ = [
    "LOCK_FILE",
    "Keeper",
    "change_lock",
    "follow_lock",
    "is_kept",
    "is_locked",
    "mirrored",
]

logger = logging.getLogger(__name__)

LOCK_FILE = "driver.lock"
"""Name of the file that the driver of a sweep holds on its machine."""
CHANGE_LOCK = "revisions.lock"
# Held by a driver as long as it puts what changes in its sweep's folder.
KEEPER_LOCK = ".keeper.lock"
# Seconds for which the end of a driver waits for an owner who is changing its sweep.
CHANGING_S = 30.0
PUSH_S = 3.0
"""Seconds between two looks for what is to be pushed, at least."""
# A push of long duration is followed by a pause that is so many times as long.
_REST = 4.0
# Seconds between two tries while the store is away, at most.
_LONGEST_PAUSE_S = 60.0
# Seconds for which the end of a sweep waits for a store that is away.
PATIENCE_S = 30.0
# What says that something of a trial is to be pushed; its worker pushes the rest.
_WATCHED = ("spec.json", "record.json", "final.json", "taken_from.json")


def follow_lock(sweep: Path) -> FileLock:
    """Returns the lock that one process has while it brings a copy up to date."""
    return FileLock(sweep.with_name(f".{sweep.name}.follow.lock"))


def change_lock(sweep: Path) -> FileLock:
    """Returns the lock that one process has while it changes a sweep for its owner.

    A driver that ends has it, too, from its last look at what was changed until it says that it
    looks no more.

    Args:
        sweep: its folder.
    """
    return FileLock(sweep / CHANGE_LOCK)


def is_kept(sweep: Path) -> bool:
    """Whether a driver on this machine puts what is written into a sweep's folder to its URL.

    Args:
        sweep: its folder.
    """
    return _is_held(sweep / KEEPER_LOCK)


def is_locked(sweep: Path) -> bool:
    """Whether a driver on this machine, or on its file system, runs a sweep now.

    Args:
        sweep: its folder.
    """
    return _is_held(sweep / LOCK_FILE)


def _is_held(path: Path) -> bool:
    try:
        with path.open() as file:
            # Shared: two that ask at once do not take each other for a driver.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def mirrored(
    sweep: Path,
    *,
    ended: Callable[[], Collection[str]] = tuple,
    tell: Callable[[str], None] = logger.warning,
    on_lost: Callable[[str], None] = logger.error,
) -> Iterator[None]:
    """Keeps a sweep and its store in step while the body runs; without a store, does nothing.

    Args:
        sweep: its folder, whose lock this process has.
        ended: returns the trials that the study says have ended for good.
        tell: called with a line for the user.
        on_lost: called from a thread with a sentence when another process has the sweep.

    Raises:
        BadInputError: another process runs the sweep, or the store does not answer.
        LeaseLostError: at the end it is another process's.
    """
    copy = copy_of(sweep)
    if copy is None:
        yield
        return
    keeper = Keeper(copy, ended=ended, tell=tell, on_lost=on_lost)
    keeper.begin()
    try:
        yield
    finally:
        keeper.end()


@dataclass
class Keeper:
    """The lease of a sweep, its beats and its pushes, from two threads."""

    copy: WorkingCopy
    ended: Callable[[], Collection[str]] = tuple
    tell: Callable[[str], None] = logger.warning
    on_lost: Callable[[str], None] = logger.error
    beat_s: float = BEAT_S
    push_s: float = PUSH_S
    patience_s: float = PATIENCE_S
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _marks: dict[Path, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    _dropped: set[str] | None = None
    _is_away: bool = False
    _is_lost: bool = False

    def __post_init__(self) -> None:
        self.lease = Lease(self.copy.store, self.copy.prefix, beat_s=self.beat_s)
        self._keeping = FileLock(self.copy.folder / KEEPER_LOCK)

    # Begin and end.

    def begin(self) -> None:
        """Gets the lease, brings copy and store into step, and starts the threads.

        Raises:
            BadInputError: another process runs the sweep, or the store does not answer.
        """
        with follow_lock(self.copy.folder) as lock:
            # A reader that has begun to pull before this process had the sweep's lock.
            lock.acquire(wait_s=60.0)
        try:
            self._begin()
        except StoreError as error:
            raise BadInputError(
                f"sweep: {self.copy.prefix!r} cannot be run, because its store does not answer "
                f"({error}); it must be there at the begin of a run; try again when it is, and see "
                "that the URL and the credentials in the environment are right"
            ) from error

    def _begin(self) -> None:
        self.lease.acquire(on_waiting=self._tell_waiting, on_asking=self.copy.note_asked)
        self.copy.synchronise(self.lease)
        self._keeping.acquire()
        for name, work in (("lease", self._beat), ("mirror", self._push)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _tell_waiting(self, owner: Owner, wait_s: float) -> None:
        self.tell(
            f"{owner} was the last to run {self.copy.prefix}; waiting up to {wait_s:g} s to see "
            "whether it still does"
        )

    def end(self) -> None:
        """Pushes what is left and gives the lease back.

        Raises:
            LeaseLostError: another process has the sweep.
        """
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        try:
            self._end()
        finally:
            self._keeping.release()

    def _end(self) -> None:
        if self._is_lost:
            raise LeaseLostError(f"{self.copy.prefix} has been taken over by another process")
        try:
            self._patiently(self._finish)
        except StoreError as error:
            left = self.copy.unpushed()
            self.tell(
                f"{len(left)} files are not at {self.copy.store.url} yet ({error}). They are in "
                f"{self.copy.folder}; 'resume {self.copy.prefix}' on this machine pushes them."
            )

    def _finish(self) -> None:
        self.copy.push_all(self.lease.require)
        self._drop_checkpoints(self.ended())
        with change_lock(self.copy.folder) as lock:
            if not lock.acquire(wait_s=CHANGING_S):
                logger.warning(
                    "%s is still changing %s; what it writes from here on may not be put at %s",
                    lock.owner(),
                    self.copy.folder,
                    self.copy.store.url,
                )
            # With what the owner has changed meanwhile. Who comes later puts it by himself.
            self.copy.require_whole(self.lease.require)
            self.lease.release()
            self._keeping.release()

    def _patiently(self, work: Callable[[], None]) -> None:
        """Does some work, again and again for a while where the store is away."""
        begin_s, pause_s = time.monotonic(), 0.5
        while True:
            try:
                return work()
            except StoreError:
                if time.monotonic() - begin_s + pause_s > self.patience_s:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 8.0)

    # The threads.

    def _beat(self) -> None:
        while not self._stopping.wait(self.beat_s):
            try:
                self.lease.beat()
            except StoreError as error:
                logger.debug("no sign of life could be given: %s", error)
            except LeaseLostError as error:
                self._lose(error)
                return

    def _push(self) -> None:
        pause_s = self.push_s
        while not self._stopping.wait(pause_s):
            begin_s = time.monotonic()
            try:
                self.push_changes()
            except StoreError as error:
                self._tell_away(error)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            except LeaseLostError as error:
                self._lose(error)
                return
            except OSError as error:
                # The disk is full, or a file goes away while it is read.
                logger.debug("a push was broken off: %s", error)
            self._tell_back()
            pause_s = max(self.push_s, _REST * (time.monotonic() - begin_s))

    def _lose(self, error: LeaseLostError) -> None:
        self._is_lost = True
        self.on_lost(str(error))

    def _tell_away(self, error: StoreError) -> None:
        if not self._is_away:
            self.tell(
                f"The store does not answer ({error}). The sweep goes on; what it writes is kept "
                f"in {self.copy.folder} and pushed when the store is back."
            )
        self._is_away = True

    def _tell_back(self) -> None:
        if self._is_away:
            self.tell(f"{self.copy.store.url} is back, and has all that was written meanwhile.")
        self._is_away = False

    def push_changes(self) -> None:
        """Pushes what the driver has written since the last time.

        The study comes last and is of before: what it says of a trial is at the store already.
        """
        study = self.copy.folder / STUDY
        mark = (signature(study),)
        # Of a study that is in a shared database no file says that it has changed.
        has_new = self._marks.get(study) != mark or not study.is_file()
        ended, snapshot = (self.ended(), self.copy.study()) if has_new else ((), None)
        for unit in self.copy.units():
            marks = self._marks_of(unit.folder)
            # What lies beside the trials has no such marks, and is few files.
            if unit.folder != self.copy.folder and self._marks.get(unit.folder) == marks:
                continue
            if unit.push(require=self.lease.require):
                self._marks[unit.folder] = marks
        if snapshot is not None:
            self.copy.push_study(snapshot, self.lease.require)
            self._marks[study] = mark
        if snapshot is not None or not study.is_file():
            # A study in a shared database is not pushed: what it says is known already.
            self._drop_checkpoints(ended)

    def _marks_of(self, folder: Path) -> tuple[tuple[int, int, int], ...]:
        return tuple(signature(folder / name) for name in _WATCHED)

    def _drop_checkpoints(self, ended: Collection[str]) -> None:
        """Removes the checkpoints of trials that the store's study says have ended for good."""
        if self._dropped is None and ended:
            self._dropped = set(ended) - self.copy.checkpointed()
        for trial_id in sorted(set(ended) - (self._dropped or set())):
            self.copy.trial_unit(trial_id).drop_all_checkpoints(require=self.lease.require)
            self._dropped = {*(self._dropped or ()), trial_id}
