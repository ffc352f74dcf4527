"""Data from the Hugging Face Hub, or from a folder in the Hub's layout."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sweeper import _environment
from sweeper.data.examples import Example, Splits
from sweeper.data.sources.rows import RowDataSpec
from sweeper.errors import DataError, MissingError

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["HubDataSpec"]


class HubDataSpec(RowDataSpec):
    """A data set of the Hub by name, or a local folder that ``datasets`` can read.

    Splits that the data set does not have are taken from its training rows.
    """

    kind: Literal["hub"] = "hub"
    """``datasets`` loads the data."""
    name: str = Field(min_length=1)
    """``owner/name`` on the Hub, or a folder."""
    revision: str = "main"
    """Branch, tag or commit. Only a commit guarantees that a repeated trial uses the same rows."""
    subset: str | None = None
    """Name of the data set's configuration if it has several."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split; if there is none, it is taken from the training rows."""
    test_split: str = "test"
    """Name of the test split; if there is none, it is taken from the training rows."""

    def require_available(self) -> None:
        """Looks whether the data can be had, without asking the Hub.

        Raises:
            MissingError: ``datasets`` is not installed, or the Hub is switched off and the data
                is not in its cache.
        """
        if find_spec("datasets") is None:
            raise MissingError(
                "the package datasets is not installed; data of kind hub needs it; "
                "run: pip install 'datasets>=5.2'"
            )
        if Path(self.name).is_dir() or not _environment.is_hub_offline():
            return
        from huggingface_hub.constants import HF_HUB_CACHE

        cached = Path(HF_HUB_CACHE) / f"datasets--{self.name.replace('/', '--')}" / "snapshots"
        if not cached.is_dir():
            raise MissingError(
                f"the data set {self.name} is not in the Hub's cache ({HF_HUB_CACHE}) and "
                f"HF_HUB_OFFLINE forbids downloading it; {self._how_to_get()}"
            )

    def fingerprint(self) -> str:
        """Returns a hash that stands for the content, without asking the Hub.

        Of a local folder it is the SHA-256 of its files; of a data set on the Hub, of its name and
        revision, so pin a commit where the content matters.
        """
        digest = hashlib.sha256()
        folder = Path(self.name)
        if folder.is_dir():
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
        else:
            digest.update(f"{self.name}\0{self.subset}\0{self.revision}".encode())
        return digest.hexdigest()

    def load(self) -> Splits:
        """Returns the examples, downloading the data set where it is not in the cache.

        Raises:
            MissingError: the data set cannot be had.
            DataError: a row cannot be read, or a split has no row.
        """
        self.require_available()
        found = self._read(self._dataset())
        return self._complete(found, source=dict.fromkeys(found, self.name))

    def _dataset(self) -> DatasetDict:
        from datasets import load_dataset

        revision = None if Path(self.name).is_dir() else self.revision
        try:
            return load_dataset(self.name, name=self.subset, revision=revision)
        except (OSError, ValueError) as error:
            raise MissingError(
                f"the data set {self.name} (revision {self.revision}, subset {self.subset}) cannot "
                f"be loaded: {error}; {self._how_to_get()}"
            ) from error

    def _read(self, dataset: DatasetDict) -> dict[str, tuple[Example, ...]]:
        wanted = {
            "train": self.train_split,
            "validation": self.validation_split,
            "test": self.test_split,
        }
        if self.train_split not in dataset:
            raise DataError(
                f"{self.name} has no split {self.train_split!r}; its splits are "
                f"{', '.join(dataset)}; name one of them in data.train_split"
            )
        return {
            name: tuple(
                self.format.read(row, where=f"{self.name}, {split} row {number}")
                for number, row in enumerate(dataset[split])
            )
            for name, split in wanted.items()
            if split in dataset
        }

    def _how_to_get(self) -> str:
        return f"run: hf download --repo-type dataset --revision {self.revision} {self.name}"
