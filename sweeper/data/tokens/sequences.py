"""Examples as token ids before any of them is cut: prompts with answers, chats, documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.tokens.chats import chats_as_tokens
from sweeper.data.tokens.special import ids_of
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Parts", "parts_of"]


@dataclass(frozen=True)
class Parts:
    """One example as token ids."""

    start: tuple[int, ...]
    """The begin-of-text token, or nothing."""
    prompt: list[int]
    """What comes before the first learnt token."""
    answer: list[int]
    """The rest, with the end-of-text token."""
    learnt: list[bool]
    """Of each token of the answer whether it is learnt."""

    def parted(self, room: int) -> Iterator[tuple[int, ...]]:
        """Yields a document in sequences of at most ``room`` tokens besides the begin-of-text one.

        Every token of it is predicted once. Without a begin-of-text token nothing predicts the
        first of a sequence, so that it is the last of the one before.
        """
        overlap = 0 if self.start else 1
        for first in range(0, len(self.answer) - overlap, room - overlap):
            yield (*self.start, *self.answer[first : first + room])


def parts_of(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> list[Parts]:
    """Returns the examples as token ids, in their order.

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token.

    Raises:
        DataError: the tokenizer has none, or a chat cannot be encoded.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        raise DataError(
            "the tokenizer has no end-of-text token, but answers must end in one; "
            "set eos_token in the model's tokenizer_config.json"
        )
    chats = [e.conversation for e in examples if e.conversation is not None]
    of_chats = (_of_chat(*found, tokenizer) for found in chats_as_tokens(chats, tokenizer))
    of_others = iter(_of_texts([e for e in examples if e.conversation is None], tokenizer, eos))
    return [next(of_others if e.conversation is None else of_chats) for e in examples]


def _of_texts(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, eos: int
) -> Iterator[Parts]:
    """Yields prompts with their answers, and documents."""
    prompts = ids_of([e.prompt for e in examples], [e.prompt_marks for e in examples], tokenizer)
    answers = _answers(examples, tokenizer)
    start = _begin_of_text(tokenizer)
    for prompt, answer in zip(prompts, answers, strict=True):
        # A template that writes begin or end itself means the one that is added.
        if start and prompt[:1] == [start[0]]:
            prompt = prompt[1:]
        if answer[-1:] != [eos]:
            answer.append(eos)
        yield Parts(start, prompt, answer, [True] * len(answer))


def _of_chat(ids: list[int], mask: list[bool], tokenizer: PreTrainedTokenizerBase) -> Parts:
    """Returns a chat as its template wrote it; its first learnt token begins the answer."""
    bos = tokenizer.bos_token_id
    start = (bos,) if bos is not None and ids[:1] == [bos] else ()
    first = max(mask.index(True), len(start))
    return Parts(start, ids[len(start) : first], ids[first:], mask[first:])


def _begin_of_text(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns what the tokenizer itself puts before a text: begin-of-text, or nothing."""
    head = list(tokenizer("")["input_ids"])
    bos = tokenizer.bos_token_id
    return (bos,) if bos is not None and head[:1] == [bos] else ()


def _answers(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Returns the answers, without their first space where the tokenizer adds one by itself."""
    texts = [example.answer for example in examples]
    marks = [example.answer_marks for example in examples]
    [first] = ids_of(["a"], [()], tokenizer)
    if tokenizer.convert_ids_to_tokens(first)[0].startswith(("▁", "Ġ")):
        # A document has nothing before it, so that its first space is its own.
        cut = [e.answer.startswith(" ") and not e.is_document for e in examples]
        texts = [text[shift:] for text, shift in zip(texts, cut, strict=True)]
        marks = [
            tuple((start - shift, end - shift) for start, end in own)
            for own, shift in zip(marks, cut, strict=True)
        ]
    return ids_of(texts, marks, tokenizer)
