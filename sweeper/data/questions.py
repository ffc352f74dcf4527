"""Examples as the questions of an evaluation: one right answer, perhaps among several."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.tokens.encoding import Tokens, encode_candidates
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Question", "draw_examples", "questions_of", "rows_by_task", "split_by_room", "subset"]

logger = logging.getLogger(__name__)

SUBSET_SEED = 20240229
"""Draws the examples of an evaluation; any constant would do, as long as all trials share it."""


@dataclass(frozen=True)
class Question:
    """One example to evaluate."""

    candidates: tuple[Tokens, ...]
    """The prompt with each possible answer; with the right one alone where there are no choices;
    none where one of them has no room, for an evaluation cuts no answer."""
    characters: tuple[int, ...]
    """Length of each candidate answer, spaces around it not counted; at least 1."""
    gold: int
    """Which candidate is right."""
    example: Example
    """What it was made of."""

    @property
    def domain(self) -> str:
        """The example's domain."""
        return self.example.domain

    @property
    def is_choice(self) -> bool:
        """Whether it is answered by choosing a candidate."""
        return len(self.candidates) > 1


def subset(examples: int, count: int, *, tasks: Sequence[str] = ()) -> list[int]:
    """Returns which of ``examples`` an evaluation on ``count`` of them uses, in rising order.

    The same for every trial, and a smaller subset is part of each larger one. Each task comes once
    before any comes twice; from there on each has its share of the examples.

    Args:
        examples: how many there are.
        count: how many are wanted.
        tasks: the task of each; of one where empty.
    """
    order = list(range(examples))
    random.Random(SUBSET_SEED).shuffle(order)
    if len(set(tasks)) > 1:
        sizes, seen = Counter(tasks), Counter[str]()
        places: dict[int, float] = {}
        for index in order:
            task = tasks[index]
            # Its middle, so that the tasks' first examples are followed by those of large ones.
            places[index] = (seen[task] + 0.5) / sizes[task] if seen[task] else 0.0
            seen[task] += 1
        order.sort(key=places.__getitem__)
    return sorted(order[:count])


def draw_examples(examples: Sequence[Example], count: int | None) -> list[Example]:
    """Returns the examples that an evaluation on ``count`` of them asks; all of them where None."""
    tasks = [example.task for example in examples]
    size = len(examples) if count is None else count
    return [examples[index] for index in subset(len(examples), size, tasks=tasks)]


def questions_of(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
    needs_loss: bool = False,
) -> tuple[Question, ...]:
    """Returns the examples as token ids, each with all its candidate answers.

    One with an answer for which there is no room has no candidates; :func:`split_by_room` says what
    becomes of it. A document that is parted is as many questions.

    Args:
        examples: what to ask.
        tokenizer: the base model's.
        max_length: tokens after which a prompt is cut from the left.
        domains: all domains of the data.
        needs_loss: whether what is asked must have a loss.

    Raises:
        DataError: no example can be asked, or none has the loss that is needed.
    """
    encoded = encode_candidates(examples, tokenizer, max_length, domains=domains)
    questions = tuple(
        _question(candidates, examples[number])
        for candidates, number in zip(encoded.candidates, encoded.examples, strict=True)
    )
    asked, _ = split_by_room(questions, generates=not needs_loss)
    if examples and not asked:
        raise DataError(
            f"none of the {len(examples)} evaluation examples has an answer that fits into "
            f"max_length {max_length}; answers are never cut; raise train.max_length"
        )
    if without_room := sum(not candidates for candidates in encoded.candidates):
        logger.warning(
            "%d of %d evaluation examples have an answer that does not fit into %d tokens: they "
            "are left out, or scored without a loss where the answer is generated",
            without_room,
            len(examples),
            max_length,
        )
    return questions


def _question(candidates: tuple[Tokens, ...], example: Example) -> Question:
    characters = tuple(max(1, len(answer.strip())) for answer in example.candidates)
    return Question(candidates, characters, example.candidates.index(example.answer), example)


def split_by_room(
    questions: Sequence[Question], *, generates: bool
) -> tuple[list[Question], list[Question]]:
    """Returns the questions that can be asked, and those that are left out.

    Without candidates a question has no loss, but a model can still write an answer to it.

    Args:
        questions: to ask.
        generates: whether answers are written where a question is scored by that.
    """
    asked: list[Question] = []
    left_out: list[Question] = []
    for question in questions:
        is_asked = question.candidates or (generates and question.example.is_written)
        (asked if is_asked else left_out).append(question)
    return asked, left_out


def rows_by_task(questions: Sequence[Question]) -> dict[str, int]:
    """Returns how many questions each task has; under an empty name those of no task."""
    return dict(sorted(Counter(question.example.task for question in questions).items()))
