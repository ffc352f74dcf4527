"""A task's data set on the Hub, or in a copy of the Hub's folder."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeper import _environment
from sweeper.data.reading import ReadRow
from sweeper.errors import MissingError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["HubSource", "Split"]

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class HubSource:
    """A data set on the Hub."""

    name: str
    """``owner/name``."""
    revision: str = "main"
    """Commit whose rows are read; a branch where no commit is known to us."""
    subsets: tuple[str, ...] = ()
    """Names of the data set's configurations that are read; empty where it has only one."""
    splits: Mapping[Split, str] = field(default_factory=lambda: {"train": "train", "test": "test"})
    """Its names of the splits that it has."""

    def check(self) -> None:
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
        from huggingface_hub.constants import HF_HUB_CACHE

        cached = Path(HF_HUB_CACHE) / f"datasets--{self.name.replace('/', '--')}" / "snapshots"
        if not cached.is_dir():
            raise MissingError(
                f"the data set {self.name} is not in the Hub's cache ({HF_HUB_CACHE}), "
                "HF_HUB_OFFLINE forbids to fetch it, and no data root is set; "
                f"run: {self.download_command(None)}; or export SWEEPER_DATA=FOLDER"
            )

    def download_command(self, root: Path | None) -> str:
        """Returns the command that gets the data set, into the data root where there is one."""
        command = f"hf download --repo-type dataset --revision {self.revision} {self.name}"
        return command if root is None else f"{command} --local-dir {root / self.name}"

    def rows(
        self, split: Split, *, root: Path | None, most: int | None, seed: int
    ) -> Iterator[ReadRow]:
        """Yields the rows of a split; ``part`` in a row is its subset.

        Args:
            split: one of those it has.
            root: folder that holds ``owner/name``; the Hub itself where None.
            most: most rows of each subset, drawn by ``seed``; all where None.
            seed: of that draw.

        Raises:
            MissingError: the data set cannot be had.
        """
        for subset in self.subsets or (None,):
            dataset = self._dataset(subset, self.splits[split], root)
            chosen: Any = range(len(dataset))
            if most is not None and most < len(dataset):
                chosen = sorted(random.Random(seed).sample(chosen, most))
                dataset = dataset.select(chosen)
            for number, row in zip(chosen, dataset, strict=True):
                part = {} if subset is None else {"part": subset}
                yield f"{self.name}, {subset or ''} {self.splits[split]} row {number}", part | row

    def _dataset(self, subset: str | None, split: str, root: Path | None) -> Dataset:
        from datasets import load_dataset

        place = {"path": self.name, "revision": self.revision, "name": subset}
        if root is not None:
            place = {"path": str(root / self.name), "name": subset}
            # A folder without its card does not say which files are which configuration.
            if subset is not None and not (root / self.name / "README.md").is_file():
                place = {"path": place["path"], "data_dir": subset}
        elif self.revision.startswith("refs/convert/"):
            # The Hub's own conversion has a folder for each configuration.
            place = {"path": self.name, "revision": self.revision, "data_dir": subset or "default"}
        try:
            return load_dataset(**place, split=split)
        except (OSError, ValueError) as error:
            raise MissingError(
                f"the data set {self.name} (revision {self.revision}, subset {subset}, split "
                f"{split}) cannot be loaded from {place['path']}: {error}; "
                f"run: {self.download_command(root)}"
            ) from error
