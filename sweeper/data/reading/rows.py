"""What is read of a file before it means anything: rows, each with its place, and draws of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweeper.errors import DataError

__all__ = ["Draw", "ListedRows", "ReadRow", "Row", "Rows", "sound_rows"]

Row = Mapping[str, object]
"""One row, by field."""
ReadRow = tuple[str, Row | DataError]
"""The place of a row, for messages, and the row, or why it is none."""


def sound_rows(rows: Iterable[ReadRow]) -> Iterator[tuple[str, Row]]:
    """Yields rows up to the first that is none.

    Args:
        rows: as they are read.

    Raises:
        DataError: one cannot be read.
    """
    for where, row in rows:
        if isinstance(row, DataError):
            raise row
        yield where, row


class Rows(Protocol):
    """Rows of a split, wherever they are."""

    def __len__(self) -> int: ...

    def at(self, positions: Sequence[int]) -> Iterator[ReadRow]:
        """Yields the rows at these positions, which ascend."""


@dataclass(frozen=True)
class ListedRows:
    """Rows in memory."""

    rows: Sequence[ReadRow]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: Sequence[int]) -> Iterator[ReadRow]:
        """Yields the rows at these positions, which ascend."""
        return (self.rows[position] for position in positions)


class Draw:
    """Positions in a seeded order, a few at a time, none of them twice."""

    def __init__(self, count: int, *, seed: int) -> None:
        self._count = count
        self._random = random.Random(seed)
        self._taken: set[int] = set()

    def take(self, most: int) -> list[int]:
        """Returns this many further positions, ascending; fewer where no more are left."""
        left: Sequence[int] = range(self._count)
        # Most draws are the first one and need no list of millions.
        if self._taken:
            left = [position for position in left if position not in self._taken]
        chosen = sorted(self._random.sample(left, min(most, len(left))))
        self._taken.update(chosen)
        return chosen
