"""What a sweep demands of its data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sweeper._spec import Spec

__all__ = ["HygieneSpec"]


class HygieneSpec(Spec):
    """When a sweep is refused because it would train on what it is evaluated on.

    Large published sets hold a few rows twice (of the eight commonsense sets up to 0.5 % of the
    test rows have such a training row), which no sweep should fail at. The limits are where it
    begins to tell: a hundredth of the test rows moves an accuracy by less than its standard error
    on 1,319 rows of GSM8K, and trials are ranked by the validation rows only among each other.
    """

    contamination: Literal["refuse", "allow"] = "refuse"
    """``allow`` runs a sweep whatever its training rows hold; nothing is looked for then."""
    overlap: float = Field(default=0.7, gt=0, le=1)
    """Share of an evaluation row's own words, those of no template, that a training row must hold
    in n-grams to count as holding the row. PaLM (arXiv:2204.02311, section 8) counts from 0.7."""
    test_share: float = Field(default=0.01, ge=0, le=1)
    """Share of each task's test rows, rounded up to a row, above which a sweep is refused."""
    validation_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the validation rows, rounded up to a row, above which a sweep is refused."""
