"""The right to run a sweep on storage without locks: a claim that its owner keeps alive.

A claim is an object that is written once and never again; beside it lies a beat that its owner
rewrites. Three rules make two owners impossible, without a clock that machines share and without a
put that depends on what is there:

1. Whoever wants the sweep first watches every claim that is there. One whose beat changes is alive,
   and the sweep is its owner's. One is dead when its beat has not changed for ``missed`` beats *by
   the watcher's own clock*, when its owner has given it back, or when its owner was a process of
   this machine that has ended.
2. It then writes a claim of its own and lists them again. Where there is one that it has not seen
   die, it takes its own back and begins anew. Of two that write at once the later one sees the
   earlier: never do both go on.
3. Only then it removes the dead claims. An owner that was paused looks for its claim before each
   put, and puts nothing more once it is gone.

The store must list what was put before, which S3, GCS, MinIO and a file system do.
"""

from __future__ import annotations

import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sweeper._files import dumps
from sweeper.errors import BadInputError, SweeperError
from sweeper.tracking.mirror.stores import Store

__all__ = ["BEAT_S", "Lease", "LeaseLostError", "Owner", "newest_claim", "this_process"]

BEAT_S = 10.0
"""Seconds between two beats of an owner."""
MISSED = 4
"""Beats that must fail to come before a claim counts as dead."""
FOLDER = "lease"
"""Name of the folder of claims in a sweep's."""

_CLAIM, _BEAT = ".claim", ".beat"
# How often a claim is tried again that another one was written beside.
_TRIES = 6
# Seconds for which a look at the claim counts: shorter than any machine could be replaced in.
_FRESH_S = 2.0


class LeaseLostError(SweeperError):
    """Another process has taken the sweep over; this one must not write any more."""


class Owner(BaseModel):
    """The process that wrote a claim."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = ""
    """Name of its machine, for messages."""
    pid: int = 0
    """Its number there."""
    machine: str = ""
    """The running system and its space of process numbers; empty where that is not known."""
    started: str = ""
    """When the process began, in that system's own count: a number is given to processes anew."""

    def is_dead_here(self) -> bool:
        """Whether it was a process of this machine, and has ended."""
        here = this_process()
        if not self.machine or self.machine != here.machine:
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        """Returns the process as words."""
        return f"process {self.pid} on {self.host}" if self.pid else "another process"


def this_process() -> Owner:
    """Returns the process that asks."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        # In containers of one machine the same number is another process.
        machine = f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: it names a number
    except OSError:
        machine = ""
    pid = os.getpid()
    return Owner(host=socket.gethostname(), pid=pid, machine=machine, started=_started(pid))


def _started(pid: int) -> str:
    """Returns when a process of this machine began, in ticks since its start; empty without one."""
    try:
        # The name of the program may hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


@dataclass
class _Watched:
    """What was seen of a claim, and since when."""

    beat: bytes | None
    since_s: float


@dataclass
class Lease:
    """The claim of this process on the sweep below a prefix of a store."""

    store: Store
    prefix: str
    beat_s: float = BEAT_S
    missed: int = MISSED
    owner: Owner = field(default_factory=this_process)
    clock: Callable[[], float] = time.monotonic
    """Seconds of this process's own clock."""
    sleep: Callable[[float], None] = time.sleep
    before: str = ""
    """The claim that was the highest one before this."""
    _claim: str = ""
    _beats: int = 0
    _looked_s: float | None = None
    _watched: dict[str, _Watched] = field(default_factory=dict)

    @property
    def claim(self) -> str:
        """Name of the claim; empty before it is had."""
        return self._claim

    def acquire(
        self,
        *,
        on_waiting: Callable[[Owner, float], None] = lambda _owner, _wait_s: None,
        on_asking: Callable[[str, str], None] = lambda _mine, _before: None,
    ) -> None:
        """Gets the sweep for this process.

        Args:
            on_waiting: called with an owner that may be dead, and how long that takes to find out.
            on_asking: called with the new claim and the highest one there, before it is written.

        Raises:
            BadInputError: another process has it.
            StoreError: the store does not answer.
        """
        self._watched.clear()
        for _ in range(_TRIES):
            claims = self._claims()
            self._require_dead(claims, on_waiting)
            before = claims[-1] if claims else ""
            mine = f"{int(before.partition('-')[0] or 0) + 1:08d}-{uuid.uuid4().hex}"
            on_asking(mine, before)
            if self._enters(mine, claims):
                self._claim, self.before = mine, before
                return
            # Two that began at once must not do so again.
            self.sleep(random.uniform(0.1, 1.0) * min(1.0, self.beat_s))
        raise self._held(Owner())

    def _claims(self) -> list[str]:
        """Returns the names of all claims, the highest last."""
        return _claims_in(self.store, self.prefix)

    def _key(self, claim: str, suffix: str = _CLAIM) -> str:
        return f"{self.prefix}/{FOLDER}/{claim}{suffix}"

    def _enters(self, mine: str, dead: Sequence[str]) -> bool:
        """Writes a claim and removes the dead ones; takes it back where there is another."""
        self.store.put(self._key(mine), self.owner.model_dump_json().encode())
        is_alone = set(self._claims()) - set(dead) == {mine}
        # Where the store fails in between the claim stays: a process that ends with it is dead.
        for claim in dead if is_alone else [mine]:
            self.store.delete(self._key(claim))
            self.store.delete(self._key(claim, _BEAT))
        if is_alone:
            self._put_beat(mine)
        # A process that was paused in here may have been taken for dead.
        return is_alone and self.store.has(self._key(mine))

    def _require_dead(
        self, claims: Sequence[str], on_waiting: Callable[[Owner, float], None]
    ) -> None:
        """Waits until each claim has died; raises where one lives."""
        for claim in claims:
            owner, is_told = self._owner(claim), False
            while not owner.is_dead_here() and not self._has_died(claim, owner):
                if not is_told:
                    on_waiting(owner, self.beat_s * self.missed)
                    is_told = True
                self.sleep(self.beat_s / 4)

    def _has_died(self, claim: str, owner: Owner) -> bool:
        """Whether a claim was given back, or has not changed for long; raises where it changes."""
        beat = self.store.get(self._key(claim, _BEAT))
        if beat == _RELEASED:
            return True
        seen = self._watched.setdefault(claim, _Watched(beat, self.clock()))
        if beat != seen.beat:
            raise self._held(owner)
        return self.clock() - seen.since_s >= self.beat_s * self.missed

    def _owner(self, claim: str) -> Owner:
        try:
            return Owner.model_validate_json(self.store.get(self._key(claim)) or b"{}")
        except ValidationError:
            return Owner()

    def _held(self, owner: Owner) -> BadInputError:
        name = self.prefix.rpartition("/")[2]
        return BadInputError(
            f"sweep: {name!r} is being run by {owner} from {self.store.url}; a sweep has one "
            "driver; wait for it, or stop it first"
        )

    def beat(self) -> None:
        """Says that this process lives.

        Raises:
            LeaseLostError: it has been taken for dead.
            StoreError: the store does not answer.
        """
        self.require(is_fresh_enough=False)
        self._put_beat(self._claim)

    def _put_beat(self, claim: str) -> None:
        self._beats += 1
        # The time is for readers, who cannot watch for long; no owner is judged by it.
        text = dumps({"beat": self._beats, "unix_time_s": time.time()})
        self.store.put(self._key(claim, _BEAT), text.encode())

    def require(self, *, is_fresh_enough: bool = True) -> None:
        """Makes sure that the sweep is still this process's.

        Args:
            is_fresh_enough: a look less than two seconds ago counts.

        Raises:
            LeaseLostError: it is not.
            StoreError: the store does not answer.
        """
        now_s = self.clock()
        if is_fresh_enough and self._looked_s is not None and now_s - self._looked_s < _FRESH_S:
            return
        if not self.store.has(self._key(self._claim)):
            self._looked_s = None
            raise LeaseLostError(
                f"{self.prefix} at {self.store.url} has been taken over by another process, since "
                f"this one gave no sign for {self.beat_s * self.missed:g} s; it writes no more"
            )
        self._looked_s = now_s

    @classmethod
    def held(cls, store: Store, prefix: str, claim: str) -> Lease:
        """Returns the lease that a process of the same sweep has, to look for its claim."""
        lease = cls(store, prefix)
        lease._claim = claim
        return lease

    def release(self) -> None:
        """Gives the sweep back; the claim stays, so that none after it has a lower number."""
        self.require(is_fresh_enough=False)
        self.store.put(self._key(self._claim, _BEAT), _RELEASED)


_RELEASED = b'{"is_released":true}'


def _claims_in(store: Store, prefix: str) -> list[str]:
    keys = store.listing(f"{prefix}/{FOLDER}")
    names = [key.rpartition("/")[2] for key in keys if key.endswith(_CLAIM)]
    # Whatever else lies there is no claim of ours.
    return sorted(name.removesuffix(_CLAIM) for name in names if name[:8].isdigit())


def newest_claim(store: Store, prefix: str) -> tuple[str, str]:
    """Returns the newest claim on a sweep and its owner, where that one seems to be alive.

    The second is for those who only look: it trusts the clocks of both machines.

    Returns:
        The claim, empty without one, and the owner as words, empty where none is alive.
    """
    claims = _claims_in(store, prefix)
    if not claims:
        return "", ""
    lease = Lease(store, prefix)
    beat = store.get(lease._key(claims[-1], _BEAT))
    try:
        last_s = _Beat.model_validate_json(beat or b"{}").unix_time_s
    except ValidationError:
        last_s = 0.0
    is_alive = abs(time.time() - last_s) < BEAT_S * MISSED
    return claims[-1], str(lease._owner(claims[-1])) if is_alive else ""


class _Beat(BaseModel):
    """A beat as readers need it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unix_time_s: float = 0.0
