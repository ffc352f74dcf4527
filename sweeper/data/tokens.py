"""Examples as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.errors import DataError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["IGNORED_LABEL", "Encoded", "Tokens", "collate", "encode"]

IGNORED_LABEL = -100
"""Label of a position without loss: torch's and transformers' ``ignore_index``."""


@dataclass(frozen=True)
class Tokens:
    """One example as token ids: the prompt, the answer, and the end-of-text token."""

    ids: tuple[int, ...]
    """Prompt (with the begin-of-text token where the tokenizer has one), answer, end-of-text."""
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
    truncated: int
    """Examples whose prompt was cut."""


def encode(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
) -> Encoded:
    """Returns the examples as token ids.

    Prompt and answer are tokenised apart, so that no token spans the border between them. A prompt
    that is too long loses tokens on its left, right after the begin-of-text token.

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token.
        max_length: most tokens of one example, at least 2.
        domains: all domains of the data; an example of another one counts as of the first.

    Raises:
        DataError: an answer and its end-of-text token leave no room for even one prompt token.
    """
    eos = tokenizer.eos_token_id
    if eos is None:
        raise DataError(
            "the tokenizer has no end-of-text token, but answers must end in one; "
            "set eos_token in the model's tokenizer_config.json"
        )
    prompts = _ids(tokenizer, [example.prompt for example in examples])
    answers = _ids(tokenizer, _answer_texts(examples, tokenizer))
    start = _begin_of_text(tokenizer)
    numbers = {domain: number for number, domain in enumerate(domains)}
    tokens = []
    truncated = 0
    for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        room = max_length - len(answer) - 1 - len(start)
        if room < 0 or room + len(start) < 1:
            raise DataError(
                f"example {index}: its answer has {len(answer)} tokens, too many for "
                f"max_length {max_length}; answers are never cut and may have at most "
                f"{max_length - 1 - max(len(start), 1)} tokens; raise train.max_length or remove "
                "the example"
            )
        kept = prompt[len(prompt) - room :] if len(prompt) > room else prompt
        truncated += len(kept) < len(prompt)
        head = (*start, *kept)
        tokens.append(
            Tokens(
                ids=(*head, *answer, eos),
                answer_start=len(head),
                example=index,
                domain=numbers.get(examples[index].domain, 0),
            )
        )
    return Encoded(tokens=tuple(tokens), truncated=truncated)


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


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)
    return [list(ids) for ids in found["input_ids"]]


def _begin_of_text(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns what the tokenizer itself puts before a text: begin-of-text, or nothing."""
    head = list(tokenizer("")["input_ids"])
    bos = tokenizer.bos_token_id
    return (bos,) if bos is not None and head[:1] == [bos] else ()


def _answer_texts(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Returns the answers, without their first space where the tokenizer adds one by itself."""
    answers = [example.answer for example in examples]
    pieces = tokenizer.convert_ids_to_tokens(_ids(tokenizer, ["a"])[0])
    if not pieces[0].startswith(("▁", "Ġ")):
        return answers
    return [answer.removeprefix(" ") for answer in answers]
