"""What a sweep demands of its data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweeper._spec import Spec

__all__ = ["HygieneSpec"]


class HygieneSpec(Spec):
    """When a sweep is refused because its training rows contain evaluation rows.

    Large published sets contain a few rows twice: up to 0.5 % of the test rows of the eight
    commonsense sets are also training rows. A sweep should not fail because of them. The limits are
    set where contamination begins to matter: a hundredth of the test rows moves an accuracy by less
    than its standard error on 1,319 rows of GSM8K, and the validation rows only rank trials against
    each other.
    """

    contamination: Literal["refuse", "allow"] = "refuse"
    """``allow`` disables the check before a sweep, which then runs whatever its training rows
    contain."""
    overlap: float = Field(default=0.7, gt=0, le=1)
    """Share of an evaluation row's words, template words not counted, that must occur as n-grams in
    one training row for the row to count as contained in it. PaLM (arXiv:2204.02311, section 8)
    counts from 0.7."""
    test_share: float = Field(default=0.01, ge=0, le=1)
    """Share of each task's test rows, rounded up to a row, above which a sweep is refused."""
    validation_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the validation rows, rounded up to a row, above which a sweep is refused."""
