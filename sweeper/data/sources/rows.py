"""What data sets made of rows have in common: a format, splits, limits."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from sweeper._spec import Spec
from sweeper.data.examples import Example, Splits
from sweeper.data.formats import FieldsFormat, Format
from sweeper.data.splitting import sample, split_off
from sweeper.errors import DataError

__all__ = ["RowDataSpec", "no_rows"]


class RowDataSpec(Spec):
    """Rows of a source, read by a format; missing splits are taken from the training rows."""

    format: Format = FieldsFormat()
    """How a row becomes a prompt and an answer."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the training rows that forms the validation split if the source has none."""
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the training rows that forms the test split if the source has none."""
    train_rows: int | None = Field(default=None, ge=1)
    """Most training rows, drawn with ``seed``; null uses all."""
    eval_rows: int | None = Field(default=None, ge=1)
    """Most validation rows, and most test rows; null uses all."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the splits and of the drawn rows."""

    def _complete(
        self, found: Mapping[str, tuple[Example, ...]], *, source: Mapping[str, str]
    ) -> Splits:
        """Returns all three splits, within their limits.

        Args:
            found: examples of the splits that the source has, ``train`` among them.
            source: where each of these comes from, for messages.

        Raises:
            DataError: a split has no row.
        """
        splits = dict(found)
        fractions = {"test": self.test_fraction, "validation": self.validation_fraction}
        for name, fraction in fractions.items():
            if name not in splits:
                splits["train"], splits[name] = split_off(splits["train"], fraction, seed=self.seed)
        for name, examples in splits.items():
            if not examples:
                raise DataError(no_rows(name, source=source.get(name, source["train"])))
        return Splits(
            train=sample(splits["train"], self.train_rows, seed=self.seed),
            validation=sample(splits["validation"], self.eval_rows, seed=self.seed),
            test=sample(splits["test"], self.eval_rows, seed=self.seed),
        )


def no_rows(name: str, *, source: str) -> str:
    """Returns the message that says that a split is empty."""
    return (
        f"the {name} split is empty: {source} has too few rows; every split needs at least one; "
        "add rows, or use other data (data.path, data.name)"
    )
