"""Examples as the questions of an evaluation: one right answer, perhaps among several."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.tokens import Tokens, encode
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Question", "questions_of", "subset"]

logger = logging.getLogger(__name__)

SUBSET_SEED = 20240229
"""Draws the examples of an evaluation; any constant would do, as long as all trials share it."""


@dataclass(frozen=True)
class Question:
    """One example to evaluate."""

    candidates: tuple[Tokens, ...]
    """The prompt with each possible answer; with the right one alone where there are no choices."""
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


def questions_of(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
) -> tuple[Question, ...]:
    """Returns the examples as token ids, each with all its candidate answers.

    Left out is an example with an answer for which there is no room.

    Args:
        examples: what to ask.
        tokenizer: the base model's.
        max_length: tokens after which a prompt is cut from the left.
        domains: all domains of the data.

    Raises:
        DataError: no example is left.
    """
    answers = [_answers(example) for example in examples]
    rows = [
        replace(example, answer=answer)
        for example, found in zip(examples, answers, strict=True)
        for answer in found
    ]
    encoded = encode(rows, tokenizer, max_length, domains=domains, long_answers="leave_out")
    tokens = {candidate.example: candidate for candidate in encoded.tokens}
    questions = []
    start = 0
    for example, found in zip(examples, answers, strict=True):
        places = range(start, start + len(found))
        start += len(found)
        if all(place in tokens for place in places):
            characters = tuple(max(1, len(answer.strip())) for answer in found)
            candidates = tuple(tokens[place] for place in places)
            gold = found.index(example.answer)
            questions.append(Question(candidates, characters, gold, example))
    if examples and not questions:
        raise DataError(
            f"each of the {len(examples)} examples to evaluate on has an answer that is too long "
            f"for max_length {max_length}; answers are never cut; raise train.max_length"
        )
    if len(questions) < len(examples):
        logger.warning(
            "left out %d of %d examples to evaluate on: their answers are too long for %d tokens",
            len(examples) - len(questions),
            len(examples),
            max_length,
        )
    return tuple(questions)


def _answers(example: Example) -> tuple[str, ...]:
    """Returns the candidates, each once; the right answer alone where nothing is to choose."""
    choices = tuple(dict.fromkeys(example.choices))
    return choices if example.scoring == "choice" and len(choices) > 1 else (example.answer,)
