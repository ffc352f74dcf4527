"""Examples as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sweeper.data.examples import Example
from sweeper.data.tokens.special import ids_of
from sweeper.errors import DataError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "IGNORED_LABEL",
    "Encoded",
    "EncodedCandidates",
    "LongAnswers",
    "Tokens",
    "collate",
    "encode",
    "encode_candidates",
]

IGNORED_LABEL = -100
"""Label of a position without loss: torch's and transformers' ``ignore_index``."""

LongAnswers = Literal["error", "cut", "leave_out"]
"""What becomes of an example whose answer is too long."""


@dataclass(frozen=True)
class Tokens:
    """One example as token ids: the prompt, the answer, and the end-of-text token."""

    ids: tuple[int, ...]
    """Prompt (with the begin-of-text token where the tokenizer has one), answer, end-of-text; a cut
    answer has no end-of-text."""
    answer_start: int
    """Position of the answer's first token in ``ids``."""
    example: int = 0
    """Position of the example in the sequence that was encoded."""
    domain: int = 0
    """Position of the example's domain among the data's domains."""


@dataclass(frozen=True)
class Encoded:
    """Examples as token ids, in their order."""

    tokens: tuple[Tokens, ...]
    prompts_cut: tuple[int, ...]
    """Positions of the examples whose prompt was cut."""
    answers_cut: tuple[int, ...]
    """Positions of those whose answer was cut, and which therefore do not end in the end-of-text
    token."""
    left_out: tuple[int, ...]
    """Positions of the examples that are not among the tokens."""


@dataclass(frozen=True)
class EncodedCandidates:
    """Examples as an evaluation by likelihood asks them, in their order."""

    candidates: tuple[tuple[Tokens, ...], ...]
    """The prompt with each of an example's ``candidates``; none where one of them has no room."""
    prompts_cut: tuple[int, ...]
    """Positions of the examples whose prompt was cut for one of its candidates at least."""


def encode(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
    long_answers: LongAnswers = "error",
) -> Encoded:
    """Returns the examples as token ids.

    Prompt and answer are tokenised apart, so that no token spans the border between them. Special
    tokens are those that a template writes; a row's "</s>" is text. A prompt that is too long loses
    tokens on its left, right after the begin-of-text token.

    Where answers may be cut, prompt and answer share the room as in LLaMA-Factory, which CoLA and
    its multiple-choice data come with (``infer_seqlen`` there; but it cuts prompts on the right):
    an answer of less than half of the room is kept whole, else a prompt of less than half of it,
    else both lose in proportion. An answer loses its right end, and first of all the end-of-text
    token, so that nobody learns to stop there.
    https://github.com/hiyouga/LlamaFactory/blob/e0b48c0a82e958a74cd3e0fe4f43093213e99f91/src/llamafactory/data/processor/processor_utils.py

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token.
        max_length: most tokens of one example, at least 4 where answers may be cut, else 2.
        domains: all domains of the data; an example of another one counts as of the first.
        long_answers: what becomes of an example whose answer and end-of-text token leave no room
            for even one prompt token: an ``error``; ``leave_out``, for evaluation, where half an
            answer is no answer; or ``cut``, for training.

    Raises:
        DataError: an answer is too long, and that is an error.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        raise DataError(
            "the tokenizer has no end-of-text token, but answers must end in one; "
            "set eos_token in the model's tokenizer_config.json"
        )
    prompts = ids_of([e.prompt for e in examples], [e.prompt_marks for e in examples], tokenizer)
    answers = _answers(examples, tokenizer)
    start = _begin_of_text(tokenizer)
    numbers = {domain: number for number, domain in enumerate(domains)}
    tokens: list[Tokens] = []
    left_out: list[int] = []
    prompts_cut: list[int] = []
    answers_cut: list[int] = []
    for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        # A template that writes begin or end itself means the one that is added.
        if start and prompt[:1] == [start[0]]:
            prompt = prompt[1:]
        if answer[-1:] != [eos]:
            answer.append(eos)
        room = max_length - len(start)
        if long_answers == "cut":
            prompt_size, answer_size = _shares(len(prompt), len(answer), room)
        elif len(answer) > room - (not start):
            if long_answers == "error":
                raise _too_long(index, len(answer) - 1, room - 1 - (not start), max_length)
            left_out.append(index)
            continue
        else:
            prompt_size, answer_size = min(len(prompt), room - len(answer)), len(answer)
        if prompt_size < len(prompt):
            prompts_cut.append(index)
        if answer_size < len(answer):
            answers_cut.append(index)
        head = (*start, *prompt[len(prompt) - prompt_size :])
        domain = numbers.get(examples[index].domain, 0)
        tokens.append(Tokens((*head, *answer[:answer_size]), len(head), index, domain))
    return Encoded(tuple(tokens), tuple(prompts_cut), tuple(answers_cut), tuple(left_out))


def encode_candidates(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
) -> EncodedCandidates:
    """Returns the examples as token ids, each with all its candidate answers, none of them cut.

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token.
        max_length: most tokens of a prompt with one answer, at least 2.
        domains: all domains of the data.
    """
    rows = [(i, answer) for i, example in enumerate(examples) for answer in example.candidates]
    asked = [replace(examples[index], answer=answer) for index, answer in rows]
    encoded = encode(asked, tokenizer, max_length, domains=domains, long_answers="leave_out")
    found: list[list[Tokens]] = [[] for _ in examples]
    for tokens in encoded.tokens:
        index = rows[tokens.example][0]
        found[index].append(replace(tokens, example=index))
    whole = [
        tuple(own) if len(own) == len(example.candidates) else ()
        for own, example in zip(found, examples, strict=True)
    ]
    cut = {rows[row][0] for row in encoded.prompts_cut}
    return EncodedCandidates(tuple(whole), tuple(sorted(i for i in cut if whole[i])))


def _shares(prompt: int, answer: int, room: int) -> tuple[int, int]:
    """Returns how many tokens of prompt and answer are kept where answers may be cut."""
    if prompt + answer <= room:
        return prompt, answer
    if 2 * answer < room:
        return room - answer, answer
    if 2 * prompt < room:
        return prompt, room - prompt
    kept = max(1, room * answer // (prompt + answer))
    return room - kept, kept


def _too_long(index: int, answer: int, allowed: int, max_length: int) -> DataError:
    return DataError(
        f"example {index}: its answer has {answer} tokens, too many for max_length {max_length}; "
        f"it may have at most {allowed} tokens where answers are not cut; raise train.max_length "
        "or remove the example"
    )


def collate(batch: Sequence[Tokens], pad_id: int) -> dict[str, torch.Tensor]:
    """Returns a batch padded on the right: input_ids, attention_mask, labels, each int64 [B, T].

    And ``domains``, [B]: the position of each example's domain among the data's domains. Labels
    are -100 outside the answer and its end-of-text token. Padding is told by the attention mask,
    never by its id: many tokenizers pad with the end-of-text token.
    """
    import torch

    longest = max(len(tokens.ids) for tokens in batch)
    input_ids = torch.full((len(batch), longest), pad_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED_LABEL)
    for row, tokens in enumerate(batch):
        ids = torch.tensor(tokens.ids, dtype=torch.int64)
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
        labels[row, tokens.answer_start : len(ids)] = ids[tokens.answer_start :]
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": labels,
        "domains": torch.tensor([tokens.domain for tokens in batch]),
    }


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
        cut = [text.startswith(" ") for text in texts]
        texts = [text.removeprefix(" ") for text in texts]
        marks = [
            tuple((start - shift, end - shift) for start, end in own)
            for own, shift in zip(marks, cut, strict=True)
        ]
    return ids_of(texts, marks, tokenizer)
