"""The section ``paper``: which table or figure a file asks again, and what the paper prints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from sweeper._spec import Spec
from sweeper._text import nearest, shorten

__all__ = ["PaperProfile", "PaperSpec", "PublishedRow", "PublishedTable", "Reading"]

Reading = Literal["report", "similarity", "projection", "spectra", "bench-kernels", "bench-step"]
"""How an item is read: from the report of a sweep, from its trials by one question of ``inspect``,
or from a bench that trains nothing."""

_Text = Annotated[str, Field(min_length=1)]


class PublishedRow(Spec):
    """One row of a paper's table."""

    arm: str = Field(min_length=1)
    """The configuration as the design calls it, such as ``group_size=1`` or the trial's name."""
    values: Annotated[tuple[float | None, ...], Field(min_length=1)]
    """What is printed, a number for each of the columns; ``null`` where there is none."""
    not_run: str = ""
    """Why the row has no configuration on a full-size profile; empty where it has one."""
    has_direction: bool = True
    """Whether its difference to the baseline has a direction; not where other numbers of the paper
    deny it."""


class PublishedTable(Spec):
    """What a paper prints: single numbers, without errors."""

    columns: Annotated[tuple[_Text, ...], Field(min_length=1)]
    """What the numbers are, with their model and unit: ``MMLU average of LLaMA3-8B, %``."""
    better: Literal["higher", "lower"] = "higher"
    """Which numbers are better."""
    has_directions: bool = True
    """Whether the difference of two rows has a direction that can be repeated; not where rows are
    draws, such as seeds."""
    least: float = Field(default=0, ge=0)
    """Smallest published difference that is taken for one; below it the difference has no
    direction. From how far the paper itself says that its numbers spread."""
    decimals: int = Field(default=2, ge=0, le=6)
    """Decimals that are printed."""
    baseline: str = Field(min_length=1)
    """The row that the others are compared with."""
    rows: Annotated[tuple[PublishedRow, ...], Field(min_length=2)]
    """The rows, in the paper's order."""

    @model_validator(mode="after")
    def _rows_fit(self) -> PublishedTable:
        arms = [row.arm for row in self.rows]
        twice = next((arm for arm in arms if arms.count(arm) > 1), None)
        if twice is not None:
            raise ValueError(
                f"rows have {twice!r} twice; each arm has one row; give the second one the name "
                "of its own configuration"
            )
        if self.baseline not in arms:
            raise ValueError(
                f"baseline is {self.baseline!r}; it must be an arm of rows: {', '.join(arms)}"
                f"{nearest(self.baseline, arms)}"
            )
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"row {row.arm!r} has {len(row.values)} values; it must have one for each of "
                    f"{len(self.columns)} columns; give null where the paper has no number"
                )
        return self

    def has_direction(self, difference: float) -> bool:
        """Returns whether a published difference has a direction that can be repeated.

        Args:
            difference: of two rows, in units of the column.
        """
        return self.has_directions and abs(difference) >= self.least

    def value(self, arm: str, column: str) -> float | None:
        """Returns what is printed; None where nothing is.

        Args:
            arm: of the rows.
            column: of the columns.
        """
        place = self.columns.index(column)
        return next(row.values[place] for row in self.rows if row.arm == arm)


class PaperProfile(Spec):
    """How the item is asked on one profile."""

    column: str | None = None
    """The published column that a sweep on this profile is compared with; the first where
    ``null``."""
    set: dict[str, JsonValue] = Field(default={})
    """Fields that have another value on this profile, as ``--set`` has them: by their paths."""
    arms: dict[str, str] = Field(default={})
    """What a published arm is called on this profile, where it is called otherwise."""


class PaperSpec(Spec):
    """A table or figure of a paper that the file asks again. It changes nothing that is trained.

    It is no part of a trial's identity. The report of a sweep that has it puts what is published
    beside what was found.
    """

    source: Literal["MASA", "MoSA"]
    """The paper."""
    item: str = Field(pattern=r"^(Table|Figure) [1-9][0-9]*$")
    """Which one: ``Table 6``."""
    where: str = Field(min_length=1)
    """Where it stands in the paper."""
    shows: str = Field(min_length=1)
    """What it shows, as the paper says it: a sentence."""
    reads: Reading = "report"
    """How it is read: from the ``report`` of the sweep; from trials by ``inspect`` with
    ``similarity``, ``projection`` or ``spectra``; from ``make bench-kernels`` or ``make
    bench-step``."""
    profiles: Annotated[dict[str, PaperProfile], Field(min_length=1)]
    """The profiles that it is asked on, by name; the first is one for a laptop."""
    published: PublishedTable | None = None
    """The numbers that are printed; ``null`` of a figure without any."""
    departures: tuple[str, ...] = ()
    """What is not as in the paper, a sentence each."""
    changed: tuple[str, ...] = ()
    """What ``--set`` has put in the place of the file's own values, ``path=value`` each; a sweep
    notes it by itself."""

    @property
    def title(self) -> str:
        """The item with its paper: ``MASA, Table 6``."""
        return f"{self.source}, {self.item}"

    @model_validator(mode="after")
    def _profiles_name_what_is_published(self) -> PaperSpec:
        table = self.published
        columns = [] if table is None else [*table.columns]
        arms = [] if table is None else [row.arm for row in table.rows]
        for name, profile in self.profiles.items():
            if profile.column is not None and profile.column not in columns:
                raise ValueError(
                    f"profiles.{name}.column is {shorten(repr(profile.column))}; it must be one of "
                    f"published.columns: {', '.join(columns) or 'there are none'}"
                    f"{nearest(profile.column, columns)}"
                )
            for arm in profile.arms:
                if arm not in arms:
                    raise ValueError(
                        f"profiles.{name}.arms has {arm!r}; it must be an arm of published.rows: "
                        f"{', '.join(arms) or 'there are none'}{nearest(arm, arms)}"
                    )
        return self

    def on(self, profile: str) -> PaperProfile:
        """Returns how the item is asked on a profile; on one that is not named as the file is."""
        return self.profiles.get(profile, PaperProfile())
