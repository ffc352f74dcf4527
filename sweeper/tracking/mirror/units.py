"""One folder of a working copy and its objects: what is there, what is pushed, what is pulled.

Beside the files lies what was pushed of them, ``.pushed.json``. It names of each file what changes
when the file does, so that a push after a crash, or after hours without the store, puts what is
missing and nothing else.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from sweeper._files import FileLock, read_json, signature, write_bytes, write_json
from sweeper.errors import DamagedFileError
from sweeper.tracking.mirror.stores import Stat, Store

logger = logging.getLogger(__name__)

__all__ = ["CHECKPOINT", "LATE", "LAZY", "NOTES", "STUDY", "Unit"]

CHECKPOINT = "checkpoint"
"""Folder of a trial's checkpoints."""
LAZY = (CHECKPOINT, "adapter")
"""Folders that are pulled when somebody needs them."""

STUDY = "optuna.db"
"""Optuna's database, which is pushed as a copy of one moment and pulled like any file."""

LATE = frozenset({"mlflow.json", "report.html", "verdicts.json", "leaderboard.json", "figures"})
"""Names of views of the rest, which are pushed when a run ends: some change every other second."""

NOTES = ".pushed.json"
"""Name of the file that says what was pushed of the folder that it is in."""
LOCK = ".push.lock"
# What names other files, or says that they are whole, is put after them; a record last of all.
_FIRST = {"sweep.json", "spec.json"}
_LATER = {"manifest.json": 2, "base.json": 2, "final.json": 2, "adapter.sha256": 2}
_LAST = {"record.json": 3, "state.json": 3}


class _Note(BaseModel):
    """A file as it was when it was last pushed or pulled."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    local: tuple[int, int, int]
    """Inode, size and time of the file."""
    remote: tuple[int, int] | None = None
    """Size and time of its object, where it was pulled."""


@dataclass
class Unit:
    """A folder and its objects."""

    store: Store
    folder: Path
    prefix: str
    """Of its objects."""
    left_out: frozenset[str] = frozenset()
    """Names in the folder that stay on this machine."""
    _notes: dict[str, _Note] = field(default_factory=dict)

    def _load(self) -> None:
        try:
            content = read_json(self.folder / NOTES) or {}
            self._notes = {name: _Note.model_validate(note) for name, note in content.items()}
        except (DamagedFileError, ValidationError):
            # All is pushed again.
            self._notes = {}

    def _save(self) -> None:
        notes = {name: note.model_dump() for name, note in sorted(self._notes.items())}
        # Not durable: what is lost here is pushed again.
        try:
            write_json(self.folder / NOTES, notes, is_durable=False)
        except OSError as error:
            logger.debug("what was pushed could not be noted: %s", error)

    def files(self) -> list[str]:
        """Returns the files that are kept at the store, in the order of their put."""
        found = []
        for folder, folders, names in os.walk(self.folder):
            here = Path(folder).relative_to(self.folder)
            skipped = self.left_out if here == Path() else frozenset()
            folders[:] = [name for name in folders if _is_kept(name) and name not in skipped]
            found += [
                (here / name).as_posix() for name in names if _is_kept(name) and name not in skipped
            ]
        plain = [name for name in found if not (self.folder / name).is_symlink()]
        return sorted(plain, key=lambda name: (_rank(name), name))

    def unpushed(self) -> list[str]:
        """Returns the files whose content the store does not have."""
        self._load()
        return [name for name in self.files() if not self._is_pushed(name)]

    def _is_pushed(self, name: str) -> bool:
        note = self._notes.get(name)
        return note is not None and note.local == signature(self.folder / name)

    def push(
        self, *, require: Callable[[], None], wait_s: float = 0.0, is_last: bool = False
    ) -> bool:
        """Puts what the store does not have, and removes the checkpoints that are no longer kept.

        Args:
            require: called before each put; raises where this process must not write.
            wait_s: seconds to wait for another process that pushes the same folder.
            is_last: whether the files of :data:`LATE` are put, too.

        Returns:
            Whether it could be begun; another process that is at it puts the same.
        """
        with FileLock(self.folder / LOCK) as lock:
            if not lock.acquire(wait_s=wait_s):
                return False
            missing = [
                name for name in self.unpushed() if is_last or name.partition("/")[0] not in LATE
            ]
            try:
                for name in missing:
                    require()
                    self._put(name)
                self._drop_checkpoints(require)
            finally:
                if missing:
                    self._save()
            return True

    def _put(self, name: str) -> None:
        path = self.folder / name
        # Before the content: what is written meanwhile is pushed the next time.
        mark = signature(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        self.store.put(f"{self.prefix}/{name}", content)
        self._notes[name] = _Note(local=mark)

    def _drop_checkpoints(self, require: Callable[[], None]) -> None:
        """Removes from the store the checkpoints that newer ones have taken the place of."""
        root = self.folder / CHECKPOINT
        here = {path.name for path in root.glob("step-*")}
        noted = {PurePosixPath(name).parts[1] for name in self._notes if _is_of_checkpoint(name)}
        for step in sorted(noted - here):
            # One that has gone away alone was removed by hand, and is the last one there is.
            if any(newer > step for newer in here):
                require()
                self.store.delete_below(f"{self.prefix}/{CHECKPOINT}/{step}")
                self._forget(f"{CHECKPOINT}/{step}/")

    def _forget(self, start: str) -> None:
        self._notes = {
            name: note for name, note in self._notes.items() if not name.startswith(start)
        }
        self._save()

    def drop_all_checkpoints(self, *, require: Callable[[], None]) -> None:
        """Removes the checkpoints from the store; those of this machine stay."""
        with FileLock(self.folder / LOCK) as lock:
            if lock.acquire(wait_s=60.0):
                require()
                self.store.delete_below(f"{self.prefix}/{CHECKPOINT}")

    def distrust(self, objects: Mapping[str, Stat]) -> None:
        """Forgets what is noted as pushed and is not so at the store; the next push puts it.

        Args:
            objects: those below the prefix, by their names in the folder.
        """
        self._load()
        wrong = [
            name
            for name in self.files()
            # Checkpoints of trials that have ended are removed there.
            if name in self._notes and not _is_of_checkpoint(name) and self._differs(name, objects)
        ]
        for name in wrong:
            del self._notes[name]
        if wrong:
            self._save()

    def _differs(self, name: str, objects: Mapping[str, Stat]) -> bool:
        stat = objects.get(name)
        return stat is None or stat.size != self._notes[name].local[1]

    def pull(
        self, objects: Mapping[str, Stat], *, only: str | None = None, settled_ns: int = 0
    ) -> int:
        """Gets the objects that are not here as the store has them; returns how many.

        Args:
            objects: those below the prefix, by their names in the folder.
            only: the folder of :data:`LAZY` that is wanted; else all besides these.
            settled_ns: an object put after this time of the store may have been put again since it
                was pulled, though size and time are the same: some stores count whole seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK) as lock:
            lock.acquire(wait_s=60.0)
            self._load()
            if only is None:
                self._drop_changed_folders(objects)
            pulled = 0
            # What makes a folder a sweep's or a trial's comes last: until then nobody reads it.
            for name in sorted(objects, key=lambda name: (not _rank(name), name)):
                top = name.partition("/")[0]
                is_wanted = top == only if only is not None else top not in LAZY
                is_new = objects[name].modified_ns >= settled_ns
                if not is_wanted or top in self.left_out:
                    continue
                if (is_new or not self._is_as_there(name, objects[name])) and self._get(
                    name, objects[name]
                ):
                    pulled += 1
            if pulled:
                self._save()
            return pulled

    def _drop_changed_folders(self, objects: Mapping[str, Stat]) -> None:
        """Removes what was pulled on demand and has changed at the store since."""
        for top in LAZY:
            there = {name: stat for name, stat in objects.items() if name.startswith(f"{top}/")}
            if (
                there
                and (self.folder / top).exists()
                and not all(self._is_as_there(name, stat) for name, stat in there.items())
            ):
                shutil.rmtree(self.folder / top)
                self._forget(f"{top}/")

    def _is_as_there(self, name: str, stat: Stat) -> bool:
        note = self._notes.get(name)
        return note is not None and note.remote == tuple(stat) and self._is_pushed(name)

    def _get(self, name: str, stat: Stat) -> bool:
        content = self.store.get(f"{self.prefix}/{name}")
        if content is None:
            return False
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        self._notes[name] = _Note(local=signature(path), remote=(stat.size, stat.modified_ns))
        return True


def _is_kept(name: str) -> bool:
    """Whether a file or a folder is more than a lock, or something that is being written."""
    return not name.startswith((".", STUDY)) and not name.endswith((".lock", ".unfinished"))


def _rank(name: str) -> int:
    last = PurePosixPath(name).name
    if "/" not in name and last in _FIRST:
        return 0
    return _LATER.get(last) or _LAST.get(name) or 1


def _is_of_checkpoint(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[0] == CHECKPOINT
