"""Examples as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sweeper.data.examples import Example
from sweeper.data.tokens.sequences import Parts, parts_of
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
    "labels_of",
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
    mask: tuple[bool, ...] = ()
    """Whether each token is learnt, where not all of them from ``answer_start`` on are; of a chat,
    whose answers are several. Empty otherwise."""

    @property
    def loss_tokens(self) -> int:
        """How many tokens have a loss; the first one has none, since nothing predicts it."""
        return sum(self.mask[1:]) if self.mask else len(self.ids) - max(1, self.answer_start)

    @property
    def last_answer_tokens(self) -> int:
        """How many of them are of the last answer: of a chat, the last turn that is learnt."""
        if not self.mask:
            return self.loss_tokens
        turned = self.mask[:0:-1]
        first = turned.index(True)
        return (*turned[first:], False).index(False)


@dataclass(frozen=True)
class Encoded:
    """Examples as token ids, in their order; a document that is parted comes several times."""

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
    """The prompt with each of an example's ``candidates``; none where one of them has no room. Of a
    document each of its parts, alone."""
    examples: tuple[int, ...]
    """Position of the example that each of them is of."""
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

    A chat is one sequence (:mod:`sweeper.data.tokens.chats`). All before its first learnt token is
    its prompt, all from there on its answer. A document is parted where it is too long.

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token.
        max_length: most tokens of one example, at least 4 where answers may be cut, else 2.
        domains: all domains of the data; an example of another one counts as of the first.
        long_answers: what becomes of an example whose answer and end-of-text token leave no room
            for even one prompt token: an ``error``; ``leave_out``, for evaluation, where half an
            answer is no answer; or ``cut``, for training.

    Raises:
        DataError: an answer is too long, and that is an error; or a chat cannot be encoded.
    """
    numbers = {domain: number for number, domain in enumerate(domains)}
    tokens: list[Tokens] = []
    left_out: list[int] = []
    prompts_cut: list[int] = []
    answers_cut: list[int] = []
    for index, own in enumerate(parts_of(examples, tokenizer)):
        domain = numbers.get(examples[index].domain, 0)
        room = max_length - len(own.start)
        if examples[index].is_document:
            tokens += [Tokens(ids, len(own.start), index, domain) for ids in own.parted(room)]
            continue
        if long_answers == "cut":
            prompt_size, answer_size = _shares(len(own.prompt), len(own.answer), room)
        elif len(own.answer) > room - (not own.start):
            if long_answers == "error":
                allowed = room - 1 - (not own.start)
                raise _too_long(index, len(own.answer) - 1, allowed, max_length)
            left_out.append(index)
            continue
        else:
            answer_size = len(own.answer)
            prompt_size = min(len(own.prompt), room - answer_size)
        if prompt_size < len(own.prompt):
            prompts_cut.append(index)
        if answer_size < len(own.answer):
            answers_cut.append(index)
        tokens.append(_cut(own, prompt_size, answer_size, index, domain))
    return Encoded(tuple(tokens), tuple(prompts_cut), tuple(answers_cut), tuple(left_out))


def _cut(own: Parts, prompt_size: int, answer_size: int, index: int, domain: int) -> Tokens:
    """Returns so many of the prompt's last tokens and of the answer's first ones."""
    head = (*own.start, *own.prompt[len(own.prompt) - prompt_size :])
    learnt = own.learnt[:answer_size]
    mask = () if all(learnt) else (*[False] * len(head), *learnt)
    return Tokens((*head, *own.answer[:answer_size]), len(head), index, domain, mask)


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
    whole: list[tuple[Tokens, ...]] = []
    numbers: list[int] = []
    for index, (own, example) in enumerate(zip(found, examples, strict=True)):
        if example.is_document:
            asked_here = tuple((tokens,) for tokens in own)
            whole += asked_here
            numbers += [index] * len(asked_here)
        else:
            whole.append(tuple(own) if len(own) == len(example.candidates) else ())
            numbers.append(index)
    have_room = {number for number, own in zip(numbers, whole, strict=True) if own}
    cut = {rows[row][0] for row in encoded.prompts_cut}
    return EncodedCandidates(tuple(whole), tuple(numbers), tuple(sorted(cut & have_room)))


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
    are -100 outside what is learnt: the answer and its end-of-text token. Padding is told by the
    attention mask, never by its id: many tokenizers pad with the end-of-text token.
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
        labels[row, : len(ids)] = labels_of(tokens)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": labels,
        "domains": torch.tensor([tokens.domain for tokens in batch]),
    }


def labels_of(tokens: Tokens) -> torch.Tensor:
    """Returns the labels of one example, int64 [T]: its ids where they are learnt, else -100."""
    import torch

    labels = torch.tensor(tokens.ids, dtype=torch.int64)
    if tokens.mask:
        return labels.masked_fill(~torch.tensor(tokens.mask), IGNORED_LABEL)
    labels[: tokens.answer_start] = IGNORED_LABEL
    return labels
