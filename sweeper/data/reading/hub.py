"""A task's data set on the Hub, or in a copy of the Hub's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweeper import _environment
from sweeper.data.reading.loading import load_split
from sweeper.data.reading.rows import ReadRow
from sweeper.errors import MissingError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["HubRows", "HubSource", "Split"]

Split = Literal["train", "validation", "test"]

_COMMIT = re.compile("[0-9a-f]{40}")
_CARD = "README.md"


@dataclass(frozen=True)
class HubRows:
    """Rows of a split: those of its subsets, one subset after the other."""

    name: str
    """Of the data set and the split, for messages."""
    subsets: tuple[tuple[str | None, Dataset], ...]

    def __len__(self) -> int:
        return sum(len(dataset) for _, dataset in self.subsets)

    def at(self, positions: Sequence[int]) -> Iterator[ReadRow]:
        """Yields the rows at these positions, ascending; ``part`` in a row is its subset."""
        first = 0
        for subset, dataset in self.subsets:
            end = first + len(dataset)
            chosen = [position - first for position in positions if first <= position < end]
            first = end
            rows = dataset if len(chosen) == len(dataset) else dataset.select(chosen)
            part = {} if subset is None else {"part": subset}
            place = self.name if subset is None else f"{self.name}, {subset}"
            for number, row in zip(chosen, rows, strict=True):
                yield f"{place} row {number}", part | row


@dataclass(frozen=True)
class HubSource:
    """A data set on the Hub."""

    name: str
    """``owner/name``."""
    revision: str = "main"
    """Commit whose rows are read. A branch where no commit is known to us: then the one that the
    Hub's cache has of it, see :meth:`commit`."""
    subsets: tuple[str, ...] = ()
    """Names of the data set's configurations that are read; empty where it has only one."""
    splits: Mapping[Split, str] = field(default_factory=lambda: {"train": "train", "test": "test"})
    """Its names of the splits that it has."""

    def require_available(self) -> None:
        """Looks whether the data set can be had, without asking the Hub.

        Raises:
            MissingError: ``datasets`` is not installed, or the Hub is switched off and the data
                set is not in its cache.
        """
        if find_spec("datasets") is None:
            raise MissingError(
                "the package datasets is not installed; data sets of the Hub need it; "
                "run: pip install 'datasets>=5.2'"
            )
        if not _environment.is_hub_offline():
            return
        cache = self._cache()
        if not (cache / "snapshots").is_dir():
            raise MissingError(
                f"the data set {self.name} is not in the Hub's cache ({cache.parent}), "
                "HF_HUB_OFFLINE forbids downloading it, and no data root is set; run: "
                f"{self.download_command(None)}; or export SWEEPER_DATA=FOLDER"
            )

    def download_command(self, root: Path | None) -> str:
        """Returns the command that gets the data set, into the data root where there is one."""
        command = f"hf download --repo-type dataset --revision {self.revision} {self.name}"
        return command if root is None else f"{command} --local-dir {root / self.name}"

    def commit(self) -> str:
        """Returns the commit that is read, without asking the Hub; empty where none is known yet.

        Of a branch it is the one that the cache of the Hub's files last had (``refs/<branch>``),
        which :meth:`pin` brings there: all replicas that share the cache, and all that resume with
        it, read the same rows. Where the cache is deleted, or another program fetches the branch
        after it has moved, the commit is another one, and so is the fingerprint of the data. With
        ``HF_HUB_OFFLINE`` ``datasets`` takes the rows that it prepared last, whatever the commit.
        """
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        try:
            text = (self._cache() / "refs" / self.revision).read_text(encoding="utf-8").strip()
        except OSError:
            return ""
        return text if _COMMIT.fullmatch(text) else ""

    def pin(self) -> None:
        """Asks the Hub at which commit the branch is, where that is not known yet.

        Raises:
            MissingError: the Hub does not answer.
        """
        if self.commit() or _environment.is_hub_offline():
            return
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import RemoteEntryNotFoundError

        try:
            # Also where there is no such file, it notes the commit in the cache.
            hf_hub_download(self.name, _CARD, repo_type="dataset", revision=self.revision)
        except RemoteEntryNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise MissingError(
                f"the data set {self.name} (revision {self.revision}) cannot be found on the Hub: "
                f"{error}; run: {self.download_command(None)}; or export SWEEPER_DATA=FOLDER"
            ) from error

    def rows(self, split: Split, *, root: Path | None) -> HubRows:
        """Returns the rows of a split.

        Args:
            split: one of those it has.
            root: folder that holds ``owner/name``; the Hub itself where None.

        Raises:
            MissingError: the data set cannot be had.
        """
        name = self.splits[split]
        found = [(subset, self._dataset(subset, name, root)) for subset in self.subsets or (None,)]
        return HubRows(f"{self.name}, {name}", tuple(found))

    def _cache(self) -> Path:
        from huggingface_hub.constants import HF_HUB_CACHE

        return Path(HF_HUB_CACHE) / f"datasets--{self.name.replace('/', '--')}"

    def _dataset(self, subset: str | None, split: str, root: Path | None) -> Dataset:
        revision = self.commit() or self.revision
        place = {"path": self.name, "revision": revision, "name": subset}
        if root is not None:
            place = {"path": str(root / self.name), "name": subset}
            # A folder without its card does not say which files are which configuration.
            if subset is not None and not (root / self.name / _CARD).is_file():
                place = {"path": place["path"], "data_dir": subset}
        elif self.revision.startswith("refs/convert/"):
            # The Hub's own conversion has a folder for each configuration.
            place = {"path": self.name, "revision": revision, "data_dir": subset or "default"}
        name = f"{self.name} (revision {revision}, subset {subset}, split {split})"
        remedy = f"run: {self.download_command(root)}"
        return load_split(place, split, name=name, remedy=remedy)
