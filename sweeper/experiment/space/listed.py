"""Trials that a search-space file lists one by one, in the place of methods to be searched."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, JsonValue, field_validator

from sweeper._spec import Spec
from sweeper.models.shapes import architecture
from sweeper_adapters.methods import Method

__all__ = ["DesignedTrial", "ListedTrial", "Published"]


@dataclass(frozen=True)
class DesignedTrial:
    """What a design says of one of its trials."""

    configuration: str
    """The configuration that it is of: what it is without its seed."""
    seed: int
    """Its seed."""
    answers: str
    """What it is trained for."""


class Published(Spec):
    """What a paper prints of a trial."""

    params: str = Field(pattern=r"^\d+(\.\d+)?$")
    """Trainable parameters in percent of all, with the digits that are printed: ``"0.5220"``."""
    source: str = Field(min_length=1)
    """Paper and table."""

    def is_met_by(self, percent: float) -> bool:
        """Returns whether ``percent`` has these digits when it is rounded to as many."""
        digits = len(self.params.partition(".")[2])
        return f"{percent:.{digits}f}" == self.params


class ListedTrial(Spec):
    """One entry of ``trials``: a trial with nothing left to search."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name, unlike those of the other trials."""
    method: Method
    """The adapter and its parameters."""
    train: dict[str, JsonValue] = Field(default={})
    """Fields of training, over those of the file and the profile."""
    architecture: str | None = None
    """Packaged architecture that it is counted on; the profile's model where ``null``. It is
    trained where the profile's model has this architecture."""
    published: Published | None = None
    """What a paper prints of it."""
    note: str = ""
    """Why the count is not what is printed, or another remark."""

    @field_validator("architecture")
    @classmethod
    def _architecture_is_packaged(cls, name: str | None) -> str | None:
        if name is not None:
            architecture(name)
        return name
