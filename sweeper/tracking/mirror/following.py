"""Working copies for those that only look, the names of new sweeps, and what is got on demand."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sweeper._environment import folder_of
from sweeper.errors import BadInputError, NameTakenError
from sweeper.tracking.mirror.driving import follow_lock, is_locked
from sweeper.tracking.mirror.lease import Lease
from sweeper.tracking.mirror.stores import StoreError, open_store
from sweeper.tracking.mirror.working_copy import WorkingCopy, copy_of, note_home

__all__ = ["TrialPusher", "claim_name", "fetch", "follow_home", "push_file", "push_rest"]

logger = logging.getLogger(__name__)

# Sweeps that are brought up to date at once: most of the time is waiting for the store.
_AT_ONCE = 8
# Seconds for which a worker waits for a store that has just gone away.
_PATIENCE_S = 10.0


def follow_home(url: str, *, sweep: str | None = None) -> Path:
    """Brings the working copies of a URL up to date, and returns their folder.

    Of each sweep this gets the records and what belongs to them; adapters and checkpoints come
    when they are needed. A sweep that this machine runs, or was the last to run, is left alone.

    Args:
        url: where the sweeps are kept.
        sweep: the one that is wanted, by its name, with its confirmation or the search that it
            confirms; all where None or no name of one.

    Raises:
        BadInputError: the URL names no store, or the store does not answer.
    """
    home = folder_of(url)
    store = open_store(url)
    try:
        names = store.folders()
        note_home(home, url)
        wanted = _with_partners(sweep, names) if sweep in names else names

        def follow(name: str) -> None:
            copy = WorkingCopy(home / name, store)
            with follow_lock(copy.folder) as lock:
                lock.acquire(wait_s=60.0)
                if not is_locked(copy.folder):
                    copy.follow()

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(follow, wanted))
    except StoreError as error:
        raise _unanswered(url, error) from error
    except OSError as error:
        raise BadInputError(
            f"working copies: {home} cannot be written ({error.strerror or error}); sweeps of a "
            "URL are copied to a folder of this machine; make room, or name another one with "
            "SWEEPER_COPIES"
        ) from error
    return home


def _with_partners(sweep: str | None, names: Sequence[str]) -> list[str]:
    """Returns those of some sweeps that by their names are one, its search or its confirmation."""
    return [name for name in names if _search_in(name) == _search_in(sweep or "")]


def _search_in(name: str) -> str:
    return re.sub(r"-confirm(-[0-9]+)?$", "", name)


def _unanswered(url: str, error: StoreError) -> BadInputError:
    return BadInputError(
        f"sweeps' folder: {url} does not answer ({error}); it must be there and let these "
        "credentials list, read and write; correct --home or SWEEPER_HOME, or the credentials in "
        f"the environment; what was copied of it before is in {folder_of(url)}"
    )


def claim_name(sweep: Path) -> None:
    """Puts a new sweep at the store, under a name that it has there alone.

    Args:
        sweep: its folder, just made; removed where it cannot be put.

    Raises:
        NameTakenError: the store has a sweep of that name.
        BadInputError: the store does not answer.
    """
    copy = copy_of(sweep)
    if copy is None:
        return
    lease = Lease(copy.store, copy.prefix)
    try:
        if not copy.listed():
            lease.acquire(on_asking=copy.note_asked)
            if not lease.before:
                copy.synchronise(lease)
                lease.release()
                return
            lease.release()
    except StoreError as error:
        shutil.rmtree(sweep)
        raise _unanswered(copy.store.url, error) from error
    except BadInputError:
        # Another machine is making one of that name.
        pass
    shutil.rmtree(sweep)
    raise NameTakenError(
        f"sweep name: {sweep.name!r} is taken at {copy.store.url}; sweep names are unique; "
        f"continue it with 'resume {sweep.name}', or choose another name"
    )


def fetch(folder: Path) -> bool:
    """Gets a folder of a trial from the store, where it is there and not here.

    Args:
        folder: ``adapter`` or ``checkpoint`` of a trial.

    Returns:
        Whether something was got.

    Raises:
        StoreError: the store does not answer.
    """
    trial = folder.parent
    if folder.exists() or not trial.is_dir():
        return False
    copy = copy_of(trial.parent.parent)
    if copy is None:
        return False
    unit = copy.trial_unit(trial.name)
    start = f"{unit.prefix}/"
    found = copy.listed(f"trials/{trial.name}/{folder.name}")
    objects = {key.removeprefix(start): stat for key, stat in found.items()}
    return unit.pull(objects, only=folder.name) > 0


def push_file(path: Path, sweep: Path) -> None:
    """Puts one new file of a sweep, whoever drives it: nobody else writes a file of that name.

    Without the store it stays here, and whoever resumes the sweep from here pushes it.
    """
    copy = copy_of(sweep)
    if copy is None:
        return
    try:
        copy.store.put(f"{copy.prefix}/{path.relative_to(sweep).as_posix()}", path.read_bytes())
    except StoreError as error:
        logger.warning("%s is not at the store (%s); it is here", path, error)


def push_rest(sweep: Path) -> None:
    """Pushes what was written after a run, such as the report page; the sweep's lock is free.

    Where the store does not answer, or another process runs the sweep, a warning says so.
    """
    copy = copy_of(sweep)
    if copy is None:
        return
    lease = Lease(copy.store, copy.prefix)
    try:
        lease.acquire(on_asking=copy.note_asked)
        copy.synchronise(lease)
        lease.release()
    except (StoreError, BadInputError) as error:
        logger.warning("not all of %s is at the store (%s)", sweep, error)


@dataclass
class TrialPusher:
    """Pushes a trial from the worker that trains it; without a store, does nothing."""

    trial: Path
    """The trial's folder."""
    patience_s: float = _PATIENCE_S
    _is_away: bool = field(default=False)

    def __post_init__(self) -> None:
        copy = copy_of(self.trial.parent.parent)
        self._unit = None if copy is None else copy.trial_unit(self.trial.name)
        # That of the driver that this worker has its trial from, whoever comes after it.
        self._lease = None if copy is None else copy.held_lease()

    def push(self) -> None:
        """Puts what the store lacks of the trial; where the store is away, waits for it a little.

        What could not be put is put the next time, or at the end of the sweep.

        Raises:
            LeaseLostError: the sweep is another driver's.
        """
        if self._unit is None or self._lease is None:
            return
        begin_s, pause_s = time.monotonic(), 0.5
        while True:
            try:
                self._unit.push(require=self._lease.require, wait_s=60.0)
                self._is_away = False
                return
            except OSError as error:
                # Of this machine: a full disk, for example, on which the record was written yet.
                logger.debug("trial %s is not pushed for now: %s", self.trial.name, error)
                return
            except StoreError as error:
                if self._is_away or time.monotonic() - begin_s + pause_s > self.patience_s:
                    if not self._is_away:
                        logger.warning("trial %s is not pushed for now: %s", self.trial.name, error)
                    self._is_away = True
                    return
            time.sleep(pause_s)
            pause_s *= 2
