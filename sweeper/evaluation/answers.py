"""Generated answers, and the metrics that their examples name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data import Example
from sweeper.data.questions import Question
from sweeper.data.tasks import TASKS
from sweeper.data.tokens.chats import special_ids
from sweeper.data.tokens.encoding import Tokens
from sweeper.errors import BadInputError
from sweeper.evaluation.generation import Generation, generate, prompts_of
from sweeper.evaluation.likelihood import Forward
from sweeper.experiment.trial import EvaluationSpec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["GenerationSettings", "most_new_tokens", "require_room", "write_answers"]

logger = logging.getLogger(__name__)

# For examples of no task where no right answer says how long one is: none of them has room.
MAX_NEW_TOKENS = 32


@dataclass(frozen=True, eq=False)
class GenerationSettings:
    """How answers are generated."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    """Tokens after which a prompt is cut from the left."""
    positions: int | None
    """That the model has, for prompt and answer together; None where there is no such limit."""
    spec: EvaluationSpec
    """What it says counts for more than what a task says."""
    domains: Sequence[str] = ()
    """All domains of the data."""
    uses_cache: bool = True
    """Whether keys and values of earlier tokens can be kept."""

    def stops(self, example: Example) -> tuple[str, ...]:
        """Returns the texts that end an answer."""
        task = TASKS.get(example.task)
        if self.spec.stop is not None:
            return self.spec.stop
        return task.stop if task else ()

    def settings(self, questions: Sequence[Question]) -> dict[str, dict[str, object]]:
        """Returns, for the record, how the answers of each task are written.

        Args:
            questions: of one evaluation, all of them.
        """
        longest = _longest(questions)
        return {
            question.example.task: {
                "max_new_tokens": most_new_tokens(self.spec, question.example, longest=longest),
                "stop": list(self.stops(question.example)),
            }
            for question in questions
            if question.example.is_written
        }


def most_new_tokens(
    spec: EvaluationSpec, example: Example, *, longest: int = MAX_NEW_TOKENS
) -> int:
    """Returns the most tokens of a generated answer.

    Args:
        spec: what it says counts for more than what the example's task says.
        example: that is answered.
        longest: tokens of the longest right answer, for an example of no task.
    """
    task = TASKS.get(example.task)
    return spec.max_new_tokens or (task.max_new_tokens if task else longest)


def _longest(questions: Sequence[Question]) -> int:
    """Returns the tokens of the longest right answer of no task, its end among them."""
    right = [
        question.candidates[question.gold].last_answer_tokens
        for question in questions
        if question.candidates and question.example.is_written and not question.example.task
    ]
    return max(right, default=MAX_NEW_TOKENS)


def require_room(most: int, positions: int) -> None:
    """Looks whether a generated answer leaves room for a prompt.

    Args:
        most: tokens that the answer may have.
        positions: that the model has for prompt and answer together.

    Raises:
        BadInputError: it does not.
    """
    if most >= positions:
        raise BadInputError(
            f"a generated answer may have {most} tokens but the model has {positions} positions "
            "for prompt and answer; lower evaluation.max_new_tokens"
        )


def write_answers(
    forward: Forward,
    questions: Sequence[Question],
    writing: GenerationSettings,
    *,
    device: torch.device,
) -> dict[int, Generation]:
    """Returns the generated answers, by position of the question; the same on all workers.

    Args:
        forward: the model, in evaluation mode, with gradients off.
        questions: those that are not scored by what is written are passed over.
        writing: how.
        device: where the model lives.

    Raises:
        BadInputError: an answer may have as many tokens as the model has positions.
    """
    alike: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    longest = _longest(questions)
    for index, question in enumerate(questions):
        example = question.example
        if example.is_written:
            most = most_new_tokens(writing.spec, example, longest=longest)
            alike.setdefault((most, writing.stops(example)), []).append(index)
    ends = _turn_ends(questions, writing.tokenizer)
    found: dict[int, Generation] = {}
    for (most, stops), members in alike.items():
        prompts = prompts_of(
            [questions[index].example for index in members],
            writing.tokenizer,
            max_length=_room(writing, most),
            domains=writing.domains,
        )
        texts = generate(
            forward,
            prompts,
            tokenizer=writing.tokenizer,
            device=device,
            max_new_tokens=most,
            stop_strings=stops,
            end_ids=ends,
            uses_cache=writing.uses_cache,
        )
        found.update(zip(members, texts, strict=True))
    return found


def _turn_ends(questions: Sequence[Question], tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Returns the special tokens that end the answers of chats, as their template writes them."""
    chats = [q for q in questions if q.example.conversation is not None and q.candidates]
    return special_ids(tokenizer) & {_last_learnt(q.candidates[q.gold]) for q in chats}


def _last_learnt(tokens: Tokens) -> int:
    mask = tokens.mask or (True,) * len(tokens.ids)
    return next(x for x, is_learnt in zip(tokens.ids[::-1], mask[::-1], strict=True) if is_learnt)


def _room(writing: GenerationSettings, most: int) -> int:
    if writing.positions is None:
        return writing.max_length
    require_room(most, writing.positions)
    return min(writing.max_length, writing.positions - most)
