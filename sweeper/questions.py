"""Examples as the questions of an evaluation: one right answer, perhaps among several."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.tokens import Tokens, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Question", "questions_of", "subset"]

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
    domain: str

    @property
    def is_choice(self) -> bool:
        """Whether it is answered by choosing a candidate."""
        return len(self.candidates) > 1


def subset(examples: int, count: int) -> list[int]:
    """Returns which of ``examples`` an evaluation on ``count`` of them uses, in rising order.

    The same for every trial, and a smaller subset is part of each larger one.
    """
    order = list(range(examples))
    random.Random(SUBSET_SEED).shuffle(order)
    return sorted(order[:count])


def questions_of(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
) -> tuple[Question, ...]:
    """Returns the examples as token ids, each with all its candidate answers.

    Args:
        examples: what to ask.
        tokenizer: the base model's.
        max_length: tokens after which a prompt is cut from the left.
        domains: all domains of the data.

    Raises:
        DataError: an answer is longer than ``max_length`` allows.
    """
    answers = [tuple(dict.fromkeys(e.choices)) if len(e.choices) > 1 else () for e in examples]
    answers = [found or (e.answer,) for found, e in zip(answers, examples, strict=True)]
    rows = [
        replace(example, answer=answer)
        for example, found in zip(examples, answers, strict=True)
        for answer in found
    ]
    tokens = iter(encode(rows, tokenizer, max_length, domains=domains).tokens)
    return tuple(
        Question(
            candidates=tuple(next(tokens) for _ in found),
            characters=tuple(max(1, len(answer.strip())) for answer in found),
            gold=found.index(example.answer),
            domain=example.domain,
        )
        for example, found in zip(examples, answers, strict=True)
    )
