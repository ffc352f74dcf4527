"""Rows that tell one clip piece by piece, as HellaSwag's do, each of which repeats the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sweeper.data.examples import Example

__all__ = ["joined_clips"]

# HellaSwag's marks of WikiHow's headings part sentences, too: "[header] How to ski [title] Start".
_BETWEEN = re.compile(r"(?<=[.!?])\s+|\[\w+\]")
_SIGNS = re.compile(r"\W+")


def joined_clips(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Returns the examples, those of one clip with one unit.

    A row of HellaSwag (arXiv:1905.07830) begins with the two sentences of a clip before the one
    that it asks for, and the next row with the later of these and the right ending. So an example
    is of the clip of the one before it where the two have a sentence in common.

    Args:
        examples: in the order of the source; the unit of each is its clip's name, or
            ``activity: sentences`` with the right ending.
    """
    found: list[Example] = []
    last: tuple[str, frozenset[str]] = ("", frozenset())
    for example in examples:
        told = _told(example.unit)
        is_next = told[0] == last[0] and bool(told[1] & last[1])
        unit = found[-1].unit if is_next else example.unit
        found.append(replace(example, unit=unit))
        last = told
    return tuple(found)


def _told(unit: str) -> tuple[str, frozenset[str]]:
    """Returns the activity and the sentences, without case and signs."""
    activity, _, text = unit.partition(": ")
    plain = (_SIGNS.sub(" ", sentence).strip().lower() for sentence in _BETWEEN.split(text))
    return activity, frozenset(sentence for sentence in plain if sentence)
