"""Texts as token ids, where a row's "</s>" is four letters and a template's is a token.

A tokenizer takes the text of a special token for that token wherever it stands. A template may mean
that (``<|user|>{question}``); what a row happens to contain is text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.data.examples import Marks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ids_of"]


def ids_of(
    texts: Sequence[str], marks: Sequence[Marks], tokenizer: PreTrainedTokenizerBase
) -> list[list[int]]:
    """Returns the token ids of texts; nothing is put before or after them.

    Args:
        texts: to encode.
        marks: of each the parts that its template wrote.
        tokenizer: the model's.
    """
    if not texts:
        return []
    special = _special_tokens(tokenizer)
    pattern = re.compile("|".join(map(re.escape, special)) or r"(?!)")
    pieces: dict[int, list[str]] = {}
    for number, (text, own) in enumerate(zip(texts, marks, strict=True)):
        if pattern.search(text):
            parts = _parted(text, own, pattern)
            # Where all of them are the template's, the tokenizer does as it always does.
            if any(map(pattern.search, parts[::2])):
                pieces[number] = parts
    ids = _encoded(list(texts), tokenizer, is_text=False)
    plain = _encoded([p for parts in pieces.values() for p in parts[::2]], tokenizer, is_text=True)
    following = iter(plain)
    for number, parts in pieces.items():
        own_ids: list[int] = []
        for place, part in enumerate(parts):
            own_ids += [special[part]] if place % 2 else next(following)
        ids[number] = own_ids
    return ids


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Returns the ids of the special tokens, the longest text first."""
    found = {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special and token.content
    }
    return dict(sorted(found.items(), key=lambda entry: (-len(entry[0]), entry[0])))


def _parted(text: str, marks: Marks, pattern: re.Pattern[str]) -> list[str]:
    """Returns a text in pieces: text, a special token of the template, text, and so on."""
    pieces, end = [], 0
    for found in pattern.finditer(text):
        if _is_of_template(found, marks):
            pieces += [text[end : found.start()], found[0]]
            end = found.end()
    return [*pieces, text[end:]]


def _is_of_template(found: re.Match[str], marks: Marks) -> bool:
    """Whether the template wrote a part of it at least, as in ``<|{role}|>``."""
    return any(start < found.end() and found.start() < end for start, end in marks)


def _encoded(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, *, is_text: bool
) -> list[list[int]]:
    if not texts:
        return []
    found = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, split_special_tokens=is_text
    )
    return [list(ids) for ids in found["input_ids"]]
