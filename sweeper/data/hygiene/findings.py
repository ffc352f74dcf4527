"""What a check of data finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["DataCheck", "Finding", "Kind", "Shown"]

Kind = Literal[
    "contamination",
    "repeated row",
    "near duplicate",
    "empty prompt",
    "empty answer",
    "answer not a choice",
    "repeated choice",
    "cut prompt",
    "cut answer",
    "left out",
    "no loss",
    "bad row",
]
"""Problems that a row can have.

Training cuts the prompt, the answer or both of a row that is too long. An evaluation cuts only
prompts. It leaves out a row whose answer does not fit; if the answer is generated, it scores the
row and only reports no loss of it.
"""


@dataclass(frozen=True)
class Shown:
    """One of the rows of a finding."""

    place: str
    """Which row it is."""
    text: str
    """What stands there, shortened."""
    other_place: str = ""
    """The row that contains it or that it repeats; empty if the finding is about one row."""
    other_text: str = ""
    """What stands in that one, shortened."""
    remark: str = ""
    """How much of the row, or why."""


@dataclass(frozen=True)
class Finding:
    """Rows of one split that have the same problem."""

    kind: Kind
    where: str
    """Which rows were checked, such as ``test of gsm8k``."""
    count: int
    """How many rows have the problem."""
    rows: int
    """How many rows were checked."""
    shown: tuple[Shown, ...] = ()
    """The first few."""
    limit: int | None = None
    """Most rows that may have it; None if the finding is only reported."""

    @property
    def share(self) -> float:
        """How many of the rows have it, 0 to 1."""
        return self.count / self.rows if self.rows else 0.0

    @property
    def is_refused(self) -> bool:
        """Whether more rows have it than may."""
        return self.limit is not None and self.count > self.limit

    def document(self) -> dict[str, Any]:
        """Returns the finding as plain JSON."""
        return {
            **asdict(self),
            "shown": [asdict(entry) for entry in self.shown],
            "share": self.share,
            "is_refused": self.is_refused,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Finding:
        """Returns the finding of a document."""
        fields = {k: v for k, v in document.items() if k not in ("share", "is_refused")}
        return cls(**{**fields, "shown": tuple(Shown(**entry) for entry in fields["shown"])})


@dataclass(frozen=True)
class DataCheck:
    """The result of the check of a sweep's data."""

    fingerprint: str
    """Of the data."""
    rows: Mapping[str, int]
    """Rows of each split."""
    findings: tuple[Finding, ...]
    """In the order of their kinds; contamination is always among them."""
    is_allowed: bool
    """Whether the sweep runs even if it is contaminated."""
    not_looked_at: tuple[str, ...] = ()
    """What could not be checked, and why."""
    shares: tuple[str, ...] = ()
    """Of each split that was split off the training rows how many rows it has, and by what."""
    warnings: tuple[str, ...] = ()
    """What may not be expected: files that are not read, shares that are far from those asked."""

    @property
    def is_refused(self) -> bool:
        """Whether a sweep on this data would be refused."""
        return not self.is_allowed and any(finding.is_refused for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """Returns the check as plain JSON."""
        return {
            "fingerprint": self.fingerprint,
            "rows": dict(self.rows),
            "is_refused": self.is_refused,
            "is_allowed": self.is_allowed,
            "findings": [finding.document() for finding in self.findings],
            "not_looked_at": list(self.not_looked_at),
            "shares": list(self.shares),
            "warnings": list(self.warnings),
        }
