"""What ends a turn of the assistant, as a trial has learnt it from its chat template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sweeper.data import MessagesFormat, ShareGptFormat
from sweeper.data.tokens.chats import chats_as_tokens, special_ids
from sweeper.data.tokens.rendering import Renderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["turn_ending"]

# What is said in a chat that is only looked at: nothing that a template writes by itself.
_ASKED, _SAID = "What is 6 * 7?", "It is 42, as 6 * 7."
_WHERE = "a chat of one question"


def turn_ending(
    chats: MessagesFormat | ShareGptFormat, tokenizer: PreTrainedTokenizerBase, *, system: str
) -> tuple[frozenset[int], tuple[str, ...]]:
    """Returns the tokens and the texts that end a turn of the assistant.

    They are the special tokens after what it says, as far as they are learnt. A template without
    any ends a turn in a text, or in what begins the next one.

    Args:
        chats: how the trial's rows are read.
        tokenizer: the model's.
        system: what is said before the first turn; empty for nothing.

    Raises:
        DataError: there is no template, or it refuses such a chat.
    """
    turns = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
    before = [{"role": "system", "content": system}] if system else []
    once = chats.conversation([*before, *turns], (True,), where=_WHERE)
    [(ids, mask)] = chats_as_tokens([once], tokenizer)
    learnt = [token for token, is_learnt in zip(ids, mask, strict=True) if is_learnt]
    tokens = frozenset(_special_at_end(learnt, tokenizer))
    if tokens:
        return tokens, ()
    renderer = Renderer(tokenizer)
    found = renderer.render(once)
    whole = found.text[: found.marked[-1][1]] if found.marked else found.text
    ending = whole.rpartition(_SAID)[2].strip()
    if not ending:
        twice = chats.conversation([*before, *turns, *turns], (True, True), where=_WHERE)
        after = renderer.render(twice).text.partition(_SAID)[2]
        ending = after.partition(_ASKED)[0].rstrip()
    return frozenset(), (ending,) if ending.strip() else ()


def _special_at_end(learnt: list[int], tokenizer: PreTrainedTokenizerBase) -> Iterator[int]:
    """Yields the special tokens after the last one that is none; white space is passed over."""
    special = special_ids(tokenizer)
    for token in reversed(learnt):
        if token in special:
            yield token
        elif str(tokenizer.decode([token])).strip():
            return
