"""Chats as token ids, and which of the tokens are learnt.

The ids are those of ``tokenizer.apply_chat_template``: the template alone says where a chat begins
and ends, and nothing is put before or after its text. Only the name of a special token that stands
in a row is text here, and a token there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from sweeper.data.examples import Conversation
from sweeper.data.tokens.rendering import Rendered, Renderer
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ChatTokens", "chat_prompt", "chats_as_tokens", "special_ids"]

ChatTokens = tuple[list[int], list[bool]]
"""The token ids of a chat, and of each whether it is learnt."""

# The texts of so many chats are there at once.
_CHUNK = 512

_Encoded = tuple[list[int], list[tuple[int, int]]]
"""Token ids of a text, and of each where it begins and ends in the text."""


def chats_as_tokens(
    chats: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
) -> Iterator[ChatTokens]:
    """Yields the chats as token ids.

    Where the template marks what is generated (``{% generation %}``), these tokens are learnt.
    Where it does not, a turn's tokens are those between two texts: all turns before it with the
    template's generation prompt, and the same with the turn. Both must be what the whole chat
    begins with, token by token, the end-of-text token aside that a template puts after its last
    turn. White space after the special token that ends a turn is not learnt:
    no model gets to write it.

    Args:
        chats: to encode.
        tokenizer: the model's; a fast one where the template has marks.

    Raises:
        DataError: the template refuses a chat, or it cannot be told what is learnt.
    """
    if not chats:
        return
    renderer = Renderer(tokenizer)
    special = special_ids(tokenizer)
    for first in range(0, len(chats), _CHUNK):
        rendered = [renderer.render(chat) for chat in chats[first : first + _CHUNK]]
        texts = [(text, chat) for chat in rendered for text in _texts(chat)]
        encoded = iter(_encoded(texts, tokenizer))
        for chat in rendered:
            own = [next(encoded) for _ in _texts(chat)]
            yield _learnt(chat, own, tokenizer, special)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Returns the special tokens of a tokenizer, such as that which ends a turn of a chat."""
    return frozenset(number for number, x in tokenizer.added_tokens_decoder.items() if x.special)


def chat_prompt(chat: Conversation, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Returns the token ids of a chat up to where what the assistant says next would be learnt.

    Args:
        chat: whose last turn is not the assistant's.
        tokenizer: the model's.

    Raises:
        DataError: the template refuses the chat.
    """
    rendered = Renderer(tokenizer).render_prompt(chat)
    [(ids, _)] = _encoded([(rendered.text, rendered)], tokenizer)
    return ids


def _texts(chat: Rendered) -> Iterator[str]:
    """Yields the text of a chat and those that bound its turns."""
    yield chat.text
    for _, before, through in chat.bounds:
        yield before
        yield through


def _learnt(
    chat: Rendered,
    encoded: Sequence[_Encoded],
    tokenizer: PreTrainedTokenizerBase,
    special: Collection[int],
) -> ChatTokens:
    ids, places = encoded[0]
    mask = [False] * len(ids)
    if chat.marked:
        _require_places(places, ids, chat)
        for start, end in chat.marked:
            for number, (begins, ends) in enumerate(places):
                mask[number] |= begins < end and start < ends
    for (turn, *_), before, through in zip(chat.bounds, encoded[1::2], encoded[2::2], strict=True):
        _require_begin(before[0], ids, chat, turn, tokenizer)
        # Some templates end every text in the end-of-text token, which is not there within a chat.
        closed = _without_closing(through[0], ids, special)
        _require_begin(closed, ids, chat, turn, tokenizer)
        start = len(before[0])
        if len(closed) <= start:
            raise _nothing_learnt(chat)
        end = _without_space(ids, start, len(closed), tokenizer, special)
        mask[start:end] = [True] * (end - start)
    if not any(mask[1:]):
        raise _nothing_learnt(chat)
    return ids, mask


def _nothing_learnt(chat: Rendered) -> DataError:
    return DataError(
        f"{chat.where}: no token of a turn is learnt, though the assistant says something; the "
        "chat template writes nothing of it, or marks nothing; name another one in "
        "data.format.template"
    )


def _require_places(places: Sequence[object], ids: Sequence[int], chat: Rendered) -> None:
    if len(places) != len(ids):
        raise DataError(
            f"{chat.where}: the chat template marks what is generated, but the tokenizer does not "
            "tell which letters a token stands for; marks need a fast tokenizer; add a "
            "tokenizer.json to the model, or name a template without marks in data.format.template"
        )


def _require_begin(
    bound: Sequence[int],
    ids: Sequence[int],
    chat: Rendered,
    turn: int,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Raises DataError where a chat does not begin with the tokens up to a bound of a turn."""
    if ids[: len(bound)] == bound:
        return
    pairs = zip(bound, ids, strict=False)
    place = next((i for i, (own, other) in enumerate(pairs) if own != other), len(ids))
    own, other = (tokenizer.decode(list(x[place : place + 3])) for x in (bound, ids))
    raise DataError(
        f"{chat.where}: where message {turn} begins and ends cannot be told: the chat template has "
        "no generation marks, and the tokens of the chat up to there are not those that the whole "
        f"chat begins with (token {place}: {own!r} there, {other!r} in the whole); write "
        "{% generation %} and {% endgeneration %} around what the assistant says in a copy of the "
        "template and name it in data.format.template, or use data.format.turns: last"
    )


def _without_closing(through: list[int], ids: Sequence[int], special: Collection[int]) -> list[int]:
    """Returns a text without the special tokens at its end that the whole chat has not there."""
    end = len(through)
    while end and through[:end] != ids[:end] and through[end - 1] in special:
        end -= 1
    return through[:end]


def _without_space(
    ids: Sequence[int],
    start: int,
    end: int,
    tokenizer: PreTrainedTokenizerBase,
    special: Collection[int],
) -> int:
    """Returns where a turn ends without the white space after the special token that ends it."""
    last = end
    while last > start and ids[last - 1] not in special:
        if str(tokenizer.decode([ids[last - 1]])).strip():
            return end
        last -= 1
    return last if last > start else end


def _encoded(
    texts: Sequence[tuple[str, Rendered]], tokenizer: PreTrainedTokenizerBase
) -> list[_Encoded]:
    """Returns texts as token ids; where they hold a special token's name, piece by piece."""
    held = {number for number, (text, chat) in enumerate(texts) if _has_names(text, chat)}
    plain = [text for number, (text, _) in enumerate(texts) if number not in held]
    whole = iter(_tokenised(plain, tokenizer))
    return [
        _in_pieces(text, chat, tokenizer) if number in held else next(whole)
        for number, (text, chat) in enumerate(texts)
    ]


def _has_names(text: str, chat: Rendered) -> bool:
    return any(stand_in in text for stand_in in chat.names)


def _in_pieces(text: str, chat: Rendered, tokenizer: PreTrainedTokenizerBase) -> _Encoded:
    """Returns a text as token ids, in which names of special tokens are letters."""
    pattern = re.compile(f"({'|'.join(map(re.escape, chat.names))})")
    ids: list[int] = []
    places: list[tuple[int, int]] = []
    begins = 0
    for number, piece in enumerate(pattern.split(text)):
        if piece:
            # After a newline, since some tokenizers put a space before the first letter of a text.
            head = "\n" if begins else ""
            name = chat.names[piece] if number % 2 else piece
            own, own_places = _tokenised([head + name], tokenizer, is_text=number % 2 == 1)[0]
            first = _tokenised([head], tokenizer)[0][0] if head else []
            if own[: len(first)] != first:
                head, first = "", []
                own, own_places = _tokenised([name], tokenizer, is_text=number % 2 == 1)[0]
            shift = begins - len(head)
            ids += own[len(first) :]
            places += [(start + shift, end + shift) for start, end in own_places[len(first) :]]
        begins += len(piece)
    return ids, places


def _tokenised(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, *, is_text: bool = False
) -> list[_Encoded]:
    if not texts:
        return []
    has_places = bool(tokenizer.is_fast)
    found = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_offsets_mapping=has_places,
        **({"split_special_tokens": True} if is_text else {}),
    )
    ids = [list(own) for own in found["input_ids"]]
    places = found["offset_mapping"] if has_places else [[] for _ in ids]
    return list(zip(ids, [list(own) for own in places], strict=True))
