"""What data sets made of rows have in common: a format, splits, limits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import Field, field_validator

from sweeper._spec import Spec
from sweeper.data.examples import Example, Splits
from sweeper.data.formats import FieldsFormat, Format
from sweeper.data.reading.places import Digest, digest_files
from sweeper.data.reading.rows import Row
from sweeper.data.sources.changes import Changes
from sweeper.data.splitting import key_of, sample, split_off
from sweeper.data.templates import require_field, template_of
from sweeper.data.units import Units, with_units
from sweeper.errors import DataError

__all__ = ["AS_WRITTEN", "Found", "ReadData", "RowDataSpec", "no_rows"]

AS_WRITTEN = b"as written"
"""Added to the fingerprint of rows that earlier versions read otherwise."""

# A split of less than half or of more than twice the rows that were asked for is worth a word; one
# row more or less is not.
_FAR, _SLACK_ROWS = 2.0, 1


@dataclass(frozen=True)
class Found:
    """The splits that a source has."""

    examples: Mapping[str, tuple[Example, ...]]
    """By split, ``train`` among them."""
    places: Mapping[str, str]
    """Where each comes from, for messages."""
    warnings: tuple[str, ...] = ()
    """What is there and not read."""
    is_anew: bool = False
    """Whether a row is another one than earlier versions read."""


@dataclass(frozen=True)
class ReadData:
    """The rows of a source, in their splits."""

    splits: Splits
    shares: tuple[str, ...]
    """Of each split that was split off the training rows how many rows it has, and by what."""
    warnings: tuple[str, ...]
    """What the user may not expect, a sentence each."""
    is_anew: bool
    """Whether a row, or its split, is another one than earlier versions read."""


class RowDataSpec(Spec):
    """Rows of a source, read by a format; missing splits are taken from the training rows."""

    format: Format = FieldsFormat()
    """How a row becomes a prompt and an answer."""
    unit: str = Field(default="", exclude_if=lambda unit: not unit)
    """Template of what is never divided between two splits, for example ``"{context}"``: rows whose
    text it is the same are of one split. Empty: rows with the same prompt are one unit, and so are
    rows whose prompts are mostly the same passage, and chats with the same turns up to the first of
    the user; a prompt in a quarter of all rows is none, and
    there each row is one by itself."""
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

    @field_validator("unit")
    @classmethod
    def _names_a_field(cls, template: str) -> str:
        return require_field(template, example="{context}") if template else template

    def load(self) -> Splits:
        """Returns the examples of all rows, or as many as the limits allow.

        Raises:
            MissingError: the data is not there.
            DataError: a row cannot be read, or a split has no row.
        """
        return self.read().splits

    def fingerprint(self) -> str:
        """Returns a hash that stands for the rows, without asking the Hub.

        Raises:
            MissingError: the data is not there.
            DataError: a row cannot be read.
        """
        return self.examined()[0]

    @abstractmethod
    def examined(self) -> tuple[str, tuple[str, ...]]:
        """Returns the fingerprint, and what the user may not expect of the rows, a sentence each.

        Of files on this machine the fingerprint is the SHA-256 of their names and bytes; of a data
        set on the Hub, of its name and revision, so pin a commit where the content matters.

        Raises:
            MissingError: the data is not there.
            DataError: a row cannot be read.
        """

    def read(self) -> ReadData:
        """Returns what :meth:`load` does, and how the splits came about.

        Raises:
            MissingError: the data is not there.
            DataError: a row cannot be read, or a split has no row.
        """
        found = self._found()
        splits, shares, warnings = dict(found.examples), list[str](), list(found.warnings)
        fractions = {"test": self.test_fraction, "validation": self.validation_fraction}
        missing = [name for name in fractions if name not in splits]
        units = with_units(splits["train"], named=self.unit) if missing else None
        if units is not None:
            splits["train"] = units.examples
        for name in missing:
            before = splits["train"]
            splits["train"], splits[name] = split_off(before, fractions[name], seed=self.seed)
            share, is_far = _share(name, len(splits[name]), len(before), fractions[name])
            shares.append(f"{share}, by {units.told_by}" if units else share)
            if is_far and units is not None:
                warnings.append(_far(share, units, found.places["train"]))
        for name, examples in splits.items():
            if not examples:
                place = found.places.get(name, found.places["train"])
                raise DataError(_empty(name, place, units))
        return ReadData(
            Splits(
                train=sample(splits["train"], self.train_rows, seed=self.seed),
                validation=sample(splits["validation"], self.eval_rows, seed=self.seed),
                test=sample(splits["test"], self.eval_rows, seed=self.seed),
            ),
            tuple(shares),
            tuple(warnings),
            found.is_anew or (units is not None and units.is_anew),
        )

    @abstractmethod
    def _found(self) -> Found:
        """Returns the splits that the source has, all rows of them."""

    def _digest_format(self, digest: Digest) -> None:
        """Adds the files to a fingerprint that the format needs besides the rows."""
        digest_files(digest, ((path.name, path) for path in self.format.files()))

    def _examples(
        self, rows: Iterable[tuple[str, Row]], changes: Changes | None = None
    ) -> tuple[Example, ...]:
        """Returns the examples of rows.

        Args:
            rows: each with its place.
            changes: notes what earlier versions read otherwise.
        """
        unit = template_of(self.unit)
        examples = []
        for where, row in rows:
            example = self.format.read(row, where=where)
            if self.unit:
                example = replace(example, unit=unit.render(row, where=where).strip())
            if changes is not None:
                changes.note(row)
            examples.append(example)
        return tuple(examples)


def no_rows(name: str, *, source: str) -> str:
    """Returns the message that says that a split is empty."""
    return (
        f"the {name} split is empty: {source} has too few rows; every split needs at least one; "
        "add rows, or use other data (data.path, data.name)"
    )


def _empty(name: str, source: str, units: Units | None) -> str:
    """Returns that message; where it is the units that are few, it says so."""
    if units is None:
        return no_rows(name, source=source)
    count = len({key_of(example) for example in units.examples})
    if count == len(units.examples):
        return no_rows(name, source=source)
    return (
        f"the {name} split is empty: the {len(units.examples):,} rows of {source} are {count:,} "
        f"units (told by {units.told_by}), and a unit is never divided; three are needed at "
        "least; name smaller units in data.unit, or give files of the splits"
    )


def _share(name: str, count: int, rows: int, asked: float) -> tuple[str, bool]:
    """Returns which share of the rows a split is, and whether it is far from the one asked for."""
    wanted = asked * rows
    is_far = not wanted / _FAR - _SLACK_ROWS <= count <= wanted * _FAR + _SLACK_ROWS
    share = count / rows if rows else 0.0
    return f"{name}: {count:,} of {rows:,} rows ({share:.1%}; asked {asked:.1%})", is_far


def _far(share: str, units: Units, source: str) -> str:
    count = len({key_of(example) for example in units.examples})
    return (
        f"{source}: {share}: its {len(units.examples):,} rows are {count:,} units (told by "
        f"{units.told_by}) of different sizes, and a unit is never divided; name other units in "
        "data.unit, or give files of the splits"
    )
