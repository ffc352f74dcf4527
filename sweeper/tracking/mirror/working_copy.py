"""A sweep's folder on this machine and the sweep at the store: which of them is newer, and in step.

A sweep has one driver at a time, which has its lease. While a copy is the one that was driven last
it is the truth, and whatever the store lacks of it is pushed. As soon as another process has driven
the sweep from elsewhere the store is the truth: the copy is brought up to date from there. Where it
holds results that never got to the store it is kept under another name.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from sweeper._files import read_json, signature, write_json
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking.databases import forget_place
from sweeper.tracking.mirror.lease import FOLDER as CLAIMS
from sweeper.tracking.mirror.lease import Lease, newest_claim
from sweeper.tracking.mirror.stores import Stat, Store, open_store
from sweeper.tracking.mirror.units import CHECKPOINT, LATE, NOTES, STUDY, Unit

__all__ = [
    "CopyState",
    "WorkingCopy",
    "adapter_url",
    "copy_of",
    "driver_elsewhere",
    "is_at_url",
    "note_home",
    "place_of",
    "url_of_home",
    "words_of",
]

logger = logging.getLogger(__name__)

STATE = ".mirror.json"
HOME = ".store.json"
# What this machine makes for itself, or can make again.
_OF_SWEEP = frozenset({"trials", "ray", "tune", "racing", CLAIMS})
_OF_TRIAL = frozenset({"exports"})

# Two puts within a second may bear the same time.
_SETTLING_NS = 2_000_000_000

_opened = functools.cache(open_store)


class CopyState(BaseModel):
    """How a copy stands to the store."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    claim: str = ""
    """The claim under which this copy was driven last; empty where it only follows the store."""
    own: tuple[str, ...] = ()
    """Claims of this machine after it that no other process's came between; they may not have been
    written, and what was to be pushed under them may not have been."""
    study: str = ""
    """Hash of the study that the store has from here."""
    driven_until_unix_s: float = 0.0
    """Until when another process seems to drive the sweep."""
    driven_by: str = ""
    """That process, as words."""


def note_home(home: Path, url: str) -> None:
    """Makes a folder the working copies of the sweeps at a URL."""
    home.mkdir(parents=True, exist_ok=True)
    if url_of_home(home) != url:
        write_json(home / HOME, {"url": url})


def url_of_home(home: Path) -> str | None:
    """Returns the URL whose working copies a folder holds; None where it is itself the truth."""
    content = read_json(home / HOME)
    url = None if content is None else content.get("url")
    return url if isinstance(url, str) else None


def is_at_url(sweep: Path) -> bool:
    """Whether a sweep's folder is the working copy of a sweep at a URL."""
    return url_of_home(sweep.parent) is not None


def place_of(home: Path) -> str:
    """Returns a folder of sweeps as ``--home`` takes it: the URL whose working copies it holds."""
    return url_of_home(home) or str(home)


def words_of(sweep: Path) -> str:
    """Returns a sweep's folder as the words of a command: the folder, or its name and its URL."""
    url = url_of_home(sweep.parent)
    if url is None:
        return shlex.quote(str(sweep))
    return f"{shlex.quote(sweep.name)} --home {shlex.quote(url)}"


def driver_elsewhere(sweep: Path) -> str:
    """Returns who seemed to run a sweep when its copy was brought up to date, as words.

    Args:
        sweep: its folder.

    Returns:
        A process of another machine; empty where none did, and where there is no URL.
    """
    if url_of_home(sweep.parent) is None:
        return ""
    state = _state_in(sweep)
    return state.driven_by if time.time() < state.driven_until_unix_s else ""


def adapter_url(trial: Path) -> str:
    """Returns where the adapter of a trial is at its URL; empty where it is not kept at one.

    Args:
        trial: the trial's folder.
    """
    sweep = trial.parent.parent
    url = url_of_home(sweep.parent)
    if url is None or not (trial / "adapter.sha256").is_file():
        return ""
    place, mark, options = url.partition("?")
    return f"{place.rstrip('/')}/{sweep.name}/trials/{trial.name}/adapter{mark}{options}"


def _state_in(sweep: Path) -> CopyState:
    try:
        return CopyState.model_validate(read_json(sweep / STATE) or {})
    except (DamagedFileError, ValidationError):
        return CopyState()


def copy_of(sweep: Path) -> WorkingCopy | None:
    """Returns a sweep's folder as a working copy; None where it is itself the truth."""
    url = url_of_home(sweep.parent)
    return None if url is None else WorkingCopy(sweep, _opened(url))


@dataclass(frozen=True)
class WorkingCopy:
    """A sweep's folder and the sweep at the store."""

    folder: Path
    store: Store

    @property
    def prefix(self) -> str:
        """Of the sweep's objects."""
        return self.folder.name

    # The parts.

    def sweep_unit(self) -> Unit:
        """Returns what lies beside the trials."""
        return Unit(self.store, self.folder, self.prefix, left_out=_OF_SWEEP)

    def trial_unit(self, trial_id: str) -> Unit:
        """Returns the folder of a trial."""
        folder = self.folder / "trials" / trial_id
        return Unit(self.store, folder, f"{self.prefix}/trials/{trial_id}", left_out=_OF_TRIAL)

    def units(self) -> Iterator[Unit]:
        """Returns the folders of all trials, and then what lies beside them."""
        for path in sorted((self.folder / "trials").glob("*/spec.json")):
            if not path.parent.is_symlink():
                yield self.trial_unit(path.parent.name)
        yield self.sweep_unit()

    def unpushed(self) -> list[Path]:
        """Returns the files whose content the store does not have."""
        return [unit.folder / name for unit in self.units() for name in unit.unpushed()]

    def lacks_results(self) -> bool:
        """Whether the store lacks more than what can be made again."""
        views = LATE | {"state.json"}
        return any(
            name.partition("/")[0] not in views for unit in self.units() for name in unit.unpushed()
        )

    # The state.

    def state(self) -> CopyState:
        """Returns how the copy stands to the store."""
        return _state_in(self.folder)

    def note(self, **changes: object) -> None:
        """Notes changes of the state."""
        state = self.state().model_copy(update=changes)
        write_json(self.folder / STATE, state.model_dump())

    def note_asked(self, mine: str, before: str) -> None:
        """Notes a claim that is about to be written: this process may die before it is of use.

        Args:
            mine: the claim.
            before: the newest one at the store.
        """
        if self._was_driven_here(before):
            self.note(own=(*self.state().own, mine))

    def _was_driven_here(self, highest: str) -> bool:
        """Whether no other process has had the sweep since this copy was driven.

        Args:
            highest: the newest claim at the store.
        """
        state = self.state()
        return highest in {state.claim, *state.own}

    def held_lease(self) -> Lease:
        """Returns the lease of the driver that drives this copy, for its workers."""
        return Lease.held(self.store, self.prefix, self.state().claim)

    # Up to date.

    def follow(self) -> None:
        """Brings a copy that nobody drives up to date from the store.

        Raises:
            StoreError: the store does not answer.
        """
        highest, driver = newest_claim(self.store, self.prefix)
        if self.state().claim and self._was_driven_here(highest):
            return
        if self.state().claim and self.lacks_results():
            kept = self._set_aside()
            logger.warning(
                "another machine has run %s before all of %s was at %s; what was not is in %s",
                self.prefix,
                self.folder,
                self.store.url,
                kept,
            )
        self._pull_all()
        until_s = time.time() + DRIVEN_S if driver else 0.0
        self.note(claim="", own=(), driven_until_unix_s=until_s, driven_by=driver)

    def _set_aside(self) -> Path:
        """Gives the folder another name, under which all of it counts as not pushed."""
        number = 1
        while (kept := self.folder.with_name(f"{self.folder.name}.set-aside-{number}")).exists():
            number += 1
        self.folder.rename(kept)
        (kept / STATE).unlink(missing_ok=True)
        # Its study in a shared database stays that of the sweep at the store.
        forget_place(kept)
        for notes in (kept / NOTES, *kept.glob(f"trials/*/{NOTES}")):
            notes.unlink(missing_ok=True)
        return kept

    def _pull_all(self) -> None:
        found = self.listed()
        newest_ns = max((stat.modified_ns for stat in found.values()), default=0)
        for trial_id in sorted({_unit_of(key) for key in found}, reverse=True):
            unit = self.trial_unit(trial_id) if trial_id else self.sweep_unit()
            self._pull(unit, found, settled_ns=newest_ns - _SETTLING_NS)

    def _pull(self, unit: Unit, found: Mapping[str, Stat], *, settled_ns: int) -> None:
        before = signature(unit.folder / STUDY)
        unit.pull(_below(unit.prefix, found), settled_ns=settled_ns)
        if signature(unit.folder / STUDY) != before:
            # What an interrupted process left of the one before would be put into this one.
            for end in ("-journal", "-wal", "-shm"):
                (unit.folder / f"{STUDY}{end}").unlink(missing_ok=True)

    def checkpointed(self) -> set[str]:
        """Returns the trials of which the store has checkpoints."""
        parts = [PurePosixPath(key).parts for key in self.listed()]
        return {part[2] for part in parts if part[1:2] == ("trials",) and CHECKPOINT in part[3:4]}

    def listed(self, below: str = "") -> dict[str, Stat]:
        """Returns the sweep's objects by their keys.

        Whoever may write at the store chooses the keys: one that would lead out of the folder is
        left out, and so is what a file system has half-written.

        Args:
            below: only those below this path in the sweep.
        """
        found = self.store.listing(f"{self.prefix}/{below}".rstrip("/"))
        return {
            key: stat
            for key, stat in found.items()
            if not any(part.startswith(".") for part in PurePosixPath(key).parts)
        }

    def synchronise(self, lease: Lease) -> None:
        """Brings copy and store into step, as the sweep's only driver.

        Args:
            lease: of the sweep; had.

        Raises:
            BadInputError: another process has driven the sweep, and this copy has results of its
                own.
            StoreError: the store does not answer.
        """
        if not self._was_driven_here(lease.before):
            if self.state().claim and self.lacks_results():
                raise BadInputError(
                    f"sweep: {self.prefix!r} has been run from elsewhere since it was run from "
                    f"{self.folder}, which holds results that {self.store.url} lacks; run the "
                    "command again: it keeps them under another name, and goes on from the store"
                )
            self._pull_all()
        self.note(claim=lease.claim, own=(), driven_until_unix_s=0.0)
        self.require_whole(lease.require)

    def require_whole(self, require: Callable[[], None]) -> None:
        """Puts whatever the store turns out not to have, though it is noted as pushed."""
        found = self.listed()
        for unit in self.units():
            unit.distrust(_below(unit.prefix, found))
        if f"{self.prefix}/{STUDY}" not in found:
            self.note(study="")
        self.push_all(require)

    # To the store.

    def push_all(self, require: Callable[[], None]) -> None:
        """Puts all that the store lacks: the trials, what lies beside them, and then the study."""
        snapshot = self.study()
        for unit in self.units():
            unit.push(require=require, wait_s=60.0, is_last=True)
        self.push_study(snapshot, require)

    def study(self) -> bytes | None:
        """Returns the study as it is at this moment; None where there is none, or it is in use."""
        path = self.folder / STUDY
        if not path.is_file():
            return None
        try:
            uri = f"file:{quote(str(path))}?mode=ro"
            with (
                closing(sqlite3.connect(uri, uri=True)) as source,
                closing(sqlite3.connect(":memory:")) as target,
            ):
                source.backup(target)
                return target.serialize()
        except sqlite3.Error:
            # One that is damaged must not take the place of the one at the store.
            return None

    def push_study(self, snapshot: bytes | None, require: Callable[[], None]) -> None:
        """Puts the study, where the store has another one."""
        digest = "" if snapshot is None else hashlib.sha256(snapshot).hexdigest()
        if snapshot is not None and digest != self.state().study:
            require()
            self.store.put(f"{self.prefix}/{STUDY}", snapshot)
            self.note(study=digest)


# Seconds for which a reader takes a sweep for one that runs, after it has seen its beat.
DRIVEN_S = 60.0


def _unit_of(key: str) -> str:
    """Returns the trial that an object belongs to, empty where it lies beside the trials."""
    parts = PurePosixPath(key).parts
    return parts[2] if len(parts) > 3 and parts[1] == "trials" else ""


def _below(prefix: str, found: Mapping[str, Stat]) -> dict[str, Stat]:
    """Returns the objects of a listing below a prefix, by their names there."""
    start = f"{prefix}/"
    return {key[len(start) :]: stat for key, stat in found.items() if key.startswith(start)}
