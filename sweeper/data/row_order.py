"""The rows of an evaluation in their order: what they are, and which of them belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.data.examples import Example
from sweeper.data.questions import Question, split_by_room
from sweeper.data.splitting import key_of
from sweeper.data.units import with_units

__all__ = ["RowOrder", "row_order"]


@dataclass(frozen=True)
class RowOrder:
    """The rows of an evaluation, from 0."""

    fingerprint: str
    """16 hex digits that name the rows and their order: scores can be compared row by row where it
    is the same."""
    tasks: tuple[str, ...]
    """Task of each row; empty texts where the data is not made of tasks."""
    clusters: tuple[int, ...] | None
    """Number of each row's unit (dialogue, passage, clip, ``data.unit``), from 0 in the order in
    which they come. None where each row is a unit by itself."""


def row_order(questions: Sequence[Question], *, generates: bool) -> RowOrder:
    """Returns the rows of an evaluation in the order in which they are asked.

    Args:
        questions: to ask; those without room are left out
            (:func:`sweeper.data.questions.split_by_room`).
        generates: whether answers are written where a question is scored by that.
    """
    asked, _ = split_by_room(questions, generates=generates)
    examples = [question.example for question in asked]
    digest = hashlib.sha256()
    for example in examples:
        digest.update(_content(example))
    return RowOrder(
        digest.hexdigest()[:16], tuple(example.task for example in examples), _clusters(examples)
    )


def _content(example: Example) -> bytes:
    """Returns all of an example that changes what is asked, or how the answer is scored."""
    content = (
        *(example.prompt, example.answer, example.choices, example.task, example.domain),
        *(example.metrics, example.references),
    )
    chat = example.conversation
    return json.dumps(content if chat is None else (*content, chat.content())).encode() + b"\n"


def _clusters(examples: Sequence[Example]) -> tuple[int, ...] | None:
    # Where nobody named units, a split that was a file of its own has not been looked at yet.
    units = [(example.task, key_of(example)) for example in with_units(examples).examples]
    numbers: dict[tuple[str, str], int] = {}
    found = tuple(numbers.setdefault(unit, len(numbers)) for unit in units)
    return None if len(numbers) == len(found) else found
