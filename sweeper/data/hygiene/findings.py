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
"""What can be wrong with a row.

Of too long ones training cuts prompt, answer or both. An evaluation cuts prompts alone: a row whose
answer has no room it leaves out, or it has no loss of it where the model writes the answer.
"""


@dataclass(frozen=True)
class Shown:
    """One of the rows of a finding."""

    place: str
    """Which row it is."""
    text: str
    """What stands there, shortened."""
    other_place: str = ""
    """The row that it is held by or repeats; empty where it is about one row."""
    other_text: str = ""
    """What stands in that one, shortened."""
    remark: str = ""
    """How much of it, or why."""


@dataclass(frozen=True)
class Finding:
    """Rows of one split that have the same thing wrong with them."""

    kind: Kind
    where: str
    """Which rows were looked at, such as ``test of gsm8k``."""
    count: int
    """How many have it."""
    rows: int
    """How many were looked at."""
    shown: tuple[Shown, ...] = ()
    """The first few."""
    limit: int | None = None
    """Most rows that may have it; None where it is told and no more."""

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
    """What was looked for in a sweep's data, and found."""

    fingerprint: str
    """Of the data."""
    rows: Mapping[str, int]
    """Rows of each split."""
    findings: tuple[Finding, ...]
    """In the order of their kinds; contamination is among them, found or not."""
    is_allowed: bool
    """Whether the sweep runs even if it is contaminated."""
    not_looked_at: tuple[str, ...] = ()
    """What could not be looked for, and why."""

    @property
    def is_refused(self) -> bool:
        """Whether a sweep on this data is refused."""
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
        }
