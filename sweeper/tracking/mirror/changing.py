"""A sweep at a URL that its owner changes: under its lease, from what is there, and put at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import BadInputError
from sweeper.tracking.mirror.driving import is_kept, is_locked
from sweeper.tracking.mirror.lease import Lease, LeaseLostError, Owner, newest_claim
from sweeper.tracking.mirror.stores import StoreError
from sweeper.tracking.mirror.working_copy import WorkingCopy, copy_of

__all__ = ["changed_at_url"]

logger = logging.getLogger(__name__)

# Seconds for which a driver of this machine is waited for that begins or ends.
BETWEEN_S = 10.0


@contextmanager
def changed_at_url(sweep: Path, *, command: str) -> Iterator[None]:
    """Has what the body changes in a sweep's folder kept at its URL; without a URL, does nothing.

    What another machine has put there since is brought here first, so that the change comes on top
    of it and no later pull undoes it. Where a driver of this machine runs the sweep, that one puts
    the change; one that has put its last is waited for.

    Args:
        sweep: its folder, of which this process has the
            :func:`~sweeper.tracking.mirror.driving.change_lock`.
        command: what its owner has called, for the message.

    Raises:
        BadInputError: another machine runs the sweep, or the store does not answer. Unless the
            message says so, nothing was changed.
    """
    copy = copy_of(sweep)
    if copy is None:
        yield
    elif _is_put_by_driver(copy, command):
        _require_leased(copy, command)
        yield
    else:
        lease = _acquired(copy, command)
        try:
            yield
        except BaseException:
            _give_back(lease)
            raise
        _put(copy, lease, command)


def _is_put_by_driver(copy: WorkingCopy, command: str) -> bool:
    """Returns whether a driver of this machine puts what is changed.

    Raises:
        BadInputError: it is still bringing its folder up to date, or does not end.
    """
    deadline_s = time.monotonic() + BETWEEN_S
    while not is_kept(copy.folder):
        if not is_locked(copy.folder):
            return False
        if time.monotonic() >= deadline_s:
            raise BadInputError(
                f"{command}: the driver of sweep {copy.prefix} is just starting, and gets what is "
                f"at {copy.store.url}, or just ending; a change would not be put there; nothing "
                "was changed; try again in a minute"
            )
        time.sleep(0.05)
    return True


def _require_leased(copy: WorkingCopy, command: str) -> None:
    """Looks whether the driver of this machine still has the sweep at the store.

    Raises:
        BadInputError: another process has it, or nobody knows.
    """
    try:
        newest, _ = newest_claim(copy.store, copy.prefix)
    except StoreError as error:
        raise _unanswered(copy, command, error) from error
    if newest != copy.state().claim:
        raise BadInputError(
            f"{command}: another process has taken over sweep {copy.prefix} at {copy.store.url} "
            "from its driver on this machine, which puts nothing there any more; nothing was "
            "changed; try again in a minute"
        )


def _acquired(copy: WorkingCopy, command: str) -> Lease:
    """Returns the lease of a sweep, with its folder brought up to date."""
    lease = Lease(copy.store, copy.prefix)

    def tell(owner: Owner, wait_s: float) -> None:
        logger.warning(
            "%s was the last to run %s; waiting up to %g s to see whether it still does",
            owner,
            copy.prefix,
            wait_s,
        )

    try:
        lease.acquire(on_waiting=tell, on_asking=copy.note_asked)
        copy.synchronise(lease)
    except StoreError as error:
        raise _unanswered(copy, command, error) from error
    except BadInputError:
        _give_back(lease)
        raise
    return lease


def _put(copy: WorkingCopy, lease: Lease, command: str) -> None:
    try:
        copy.push_all(lease.require)
        lease.release()
    except (StoreError, LeaseLostError) as error:
        raise BadInputError(
            f"{command}: sweep {copy.prefix} is changed in {copy.folder}, but not at its URL "
            f"({error}); there it counts once it is put; 'resume {copy.prefix}' on this machine "
            "puts it, unless another machine has run the sweep before"
        ) from error


def _give_back(lease: Lease) -> None:
    """Gives a lease back that was had, where the store answers; else it dies with this process."""
    try:
        if lease.claim:
            lease.release()
    except (StoreError, LeaseLostError) as error:
        logger.debug("the lease is not given back: %s", error)


def _unanswered(copy: WorkingCopy, command: str, error: StoreError) -> BadInputError:
    return BadInputError(
        f"{command}: sweep {copy.prefix} stays as it is, because its store does not answer "
        f"({error}); a change is made where all machines see it; try again when it does, and see "
        "that the URL and the credentials in the environment are right"
    )
