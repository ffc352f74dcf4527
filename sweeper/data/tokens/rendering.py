"""Chats as the text that a chat template makes of them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sweeper._text import shorten
from sweeper.data.examples import Conversation
from sweeper.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Rendered", "Renderer", "template_of_chats"]

_MARKS = re.compile(r"\{%-?\+?\s*generation\b")
# A template that writes today's date would give other tokens tomorrow. This is the date that Llama
# 3.1's template writes where it is given none.
_NO_DAY = (
    "{% macro strftime_now(format) %}{{ format"
    " | replace('%Y', '2024') | replace('%y', '24') | replace('%m', '07') | replace('%d', '26')"
    " | replace('%B', 'July') | replace('%b', 'Jul') | replace('%A', 'Friday')"
    " | replace('%a', 'Fri') | replace('%H', '00') | replace('%M', '00') | replace('%S', '00')"
    " }}{% endmacro %}"
)
_Turns = list[dict[str, Any]]
_Tools = list[dict[str, Any]] | None
_Render = Callable[[_Turns, _Tools], str]
_Written = tuple[str, list[tuple[int, int]]]
"""A text, and where in it the template's marks begin and end."""


class _Write(Protocol):
    """Puts turns into text."""

    def __call__(
        self, messages: list[dict[str, Any]], *, is_asked: bool = False, is_marked: bool = False
    ) -> _Written:
        """Returns the text, with the generation prompt at its end or with the marks."""


# Characters that stand for nothing: a row has none of them.
_FIRST_UNUSED = 0xF0000
_STAND_IN = "kept-{}-kept"
# A template writes no text of its own, such as a role's name, that is as long.
_PLAIN = 24


@dataclass(frozen=True)
class Rendered:
    """A chat as text, and the texts that tell where its turns begin and end."""

    text: str
    """The whole. What a row has of a special token's name is replaced, by as many letters."""
    names: Mapping[str, str]
    """The name that stands for each replacement."""
    marked: tuple[tuple[int, int], ...]
    """Where the template's generation marks begin and end; empty where it has none."""
    bounds: tuple[tuple[int, str, str], ...]
    """Without marks, of each learnt turn: its number among all turns, the text up to it with the
    template's generation prompt, and the text with it."""
    where: str
    """Place of the row, for messages."""


class Renderer:
    """A tokenizer's chat templates, and the special tokens that only they may write."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Takes the tokenizer of a model."""
        self._tokenizer = tokenizer
        special = {x.content for x in tokenizer.added_tokens_decoder.values() if x.special}
        self._special = sorted(special - {""}, key=lambda name: (-len(name), name))

    def render(self, chat: Conversation) -> Rendered:
        """Returns a chat as text.

        Raises:
            DataError: there is no template, it refuses the chat, or leaves out what was said.
        """
        source, names = self._held(chat)
        messages, tools = json.loads(source[0]), json.loads(source[1] or "null")
        write, has_marks = self._writing(chat, tools)
        text, marked = write(messages, is_marked=has_marks)

        def render(turns: _Turns, given: _Tools) -> str:
            return self._writing(chat, given)[0](turns)[0]

        _require_kept(text, messages, tools, chat, render)
        bounds = []
        if not has_marks:
            for turn in _learnt(messages, chat):
                is_last = turn == len(messages) - 1
                through = text if is_last else write(messages[: turn + 1])[0]
                bounds.append((turn, write(messages[:turn], is_asked=True)[0], through))
        elif not all(chat.learnt):
            marked = _learnt_marks(marked, chat)
        return Rendered(text, names, tuple(marked), tuple(bounds), chat.where)

    def render_prompt(self, chat: Conversation) -> Rendered:
        """Returns a chat as text up to where what the assistant says next would be learnt.

        That is where the template's mark of such a turn begins; without marks it is where its
        generation prompt ends.

        Raises:
            DataError: there is no template, it refuses the chat, or leaves out what was said.
        """
        source, names = self._held(chat)
        messages, tools = json.loads(source[0]), json.loads(source[1] or "null")
        write, has_marks = self._writing(chat, tools)
        text, marked = write(messages, is_asked=True)
        if has_marks:
            answer = {"role": "assistant", "content": "yes"}
            whole, marked = write([*messages, answer], is_marked=True)
            text = whole[: marked[-1][0]] if marked else text

        def render(turns: _Turns, given: _Tools) -> str:
            return self._writing(chat, given)[0](turns, is_asked=True)[0]

        _require_kept(text, messages, tools, chat, render)
        return Rendered(text, names, (), (), chat.where)

    def _writing(
        self, chat: Conversation, tools: list[dict[str, Any]] | None
    ) -> tuple[_Write, bool]:
        """Returns what puts turns into text, and whether the template has generation marks."""
        template = template_of_chats(chat, self._tokenizer)
        has_marks = bool(_MARKS.search(template))
        if "strftime_now" in template:
            template = _NO_DAY + template
        values = {**self._tokenizer.special_tokens_map, **json.loads(chat.variables)}

        def write(
            messages: list[dict[str, Any]], *, is_asked: bool = False, is_marked: bool = False
        ) -> _Written:
            return _written(
                template, messages, tools, values, chat, is_asked=is_asked, marks=is_marked
            )

        return write, has_marks

    def _held(self, chat: Conversation) -> tuple[tuple[str, str], dict[str, str]]:
        """Returns messages and tools without the names of special tokens, and what stands for them.

        So all that are left in the text are the template's.
        """
        texts = (chat.messages, chat.tools)
        found = [name for name in self._special if any(name in text for text in texts)]
        names: dict[str, str] = {}
        letter = _FIRST_UNUSED
        for name in found:
            while any(chr(letter) in text for text in texts):
                letter += 1
            stand_in = chr(letter) * len(name)
            names[stand_in] = name
            texts = (texts[0].replace(name, stand_in), texts[1].replace(name, stand_in))
        return texts, names


def template_of_chats(chat: Conversation, tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the chat template that a chat is put into.

    Raises:
        DataError: the tokenizer has none, and none is named.
    """
    if chat.template:
        return chat.template
    try:
        found: str = tokenizer.get_chat_template(tools=json.loads(chat.tools or "null"))
    except ValueError as error:
        raise DataError(
            "the model's tokenizer has no chat template, which chats need; a base model often has "
            "none; name a file with one in data.format.template, such as that of the model's chat "
            "version (chat_template.jinja there), or 'roles' for the plain one of the program"
        ) from error
    return found


def _learnt(messages: Sequence[Mapping[str, Any]], chat: Conversation) -> Iterator[int]:
    """Yields the numbers of the turns that are learnt."""
    own = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    yield from (turn for turn, is_learnt in zip(own, chat.learnt, strict=True) if is_learnt)


def _written(
    template: str,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    values: Mapping[str, Any],
    chat: Conversation,
    *,
    is_asked: bool,
    marks: bool,
) -> _Written:
    """Returns the text of some turns, and where the template's marks are."""
    from transformers.utils.chat_template_utils import render_jinja_template

    given: dict[str, Any] = {
        "tools": tools,
        "chat_template": template,
        "return_assistant_tokens_mask": marks,
        "add_generation_prompt": is_asked,
        **values,
    }
    try:
        # It is annotated as if it returned a text.
        found: Any = render_jinja_template(conversations=[messages], **given)
    except Exception as error:
        raise DataError(
            f"{chat.where}: the chat template refuses the chat: {shorten(error)} (roles: "
            f"{', '.join(message['role'] for message in messages)}); correct the row, or name a "
            "template that takes such chats in data.format.template"
        ) from error
    texts, marked = found
    return str(texts[0]), [(int(start), int(end)) for start, end in marked[0]] if marks else []


def _require_kept(
    text: str, messages: _Turns, tools: _Tools, chat: Conversation, render: _Render
) -> None:
    """Raises DataError where the template leaves out what somebody but the assistant says.

    Args:
        text: of the chat.
        messages: its turns.
        tools: that the assistant may call.
        chat: the whole.
        render: gives the text of other turns with other tools.
    """
    said = [message["content"] for message in messages]
    marked_messages, marked_tools = copy.deepcopy((messages, tools))
    doubtful: list[tuple[str, str]] = []
    for holder, key, what in _said(marked_messages, marked_tools):
        own = str(holder[key]).strip()
        if own not in text:
            raise _left_out(what, chat)
        if len(own) < _PLAIN or sum(own in other for other in said) > 1:
            # The text may have it from elsewhere: a mark in its place has but one.
            holder[key] = _STAND_IN.format(len(doubtful))
            doubtful.append((str(holder[key]), what))
    if not doubtful:
        return
    try:
        marked = render(marked_messages, marked_tools)
    except DataError:
        # The template looks into what it writes, and does not take the marks.
        return
    for mark, what in doubtful:
        if mark not in marked:
            raise _left_out(what, chat)


def _said(messages: _Turns, tools: _Tools) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yields where each text stands that a template must write, and what it is."""
    for number, message in enumerate(messages):
        # Of an earlier turn of the assistant some templates drop its thoughts, on purpose.
        if message["role"] != "assistant" and message["content"].strip():
            yield message, "content", f"message {number}, of the role {message['role']}"
        for call in message.get("tool_calls", ()):
            name = call["function"]["name"]
            yield call["function"], "name", f"the call of the tool {name!r}"
    for tool in tools or ():
        named = tool.get("function", tool)
        if named.get("name"):
            yield named, "name", f"the tool {named['name']!r}"


def _left_out(what: str, chat: Conversation) -> DataError:
    return DataError(
        f"{chat.where}: the chat template leaves out {what}; a model would be trained without it; "
        "remove it from the rows, or name a template that writes it in data.format.template"
    )


def _learnt_marks(marked: Sequence[tuple[int, int]], chat: Conversation) -> list[tuple[int, int]]:
    """Returns the marks of the turns that are learnt, where not all of them are."""
    if len(marked) != len(chat.learnt):
        raise DataError(
            f"{chat.where}: the chat template marks {len(marked)} texts as generated in a chat of "
            f"{len(chat.learnt)} turns of the assistant, so that the marks of one turn cannot be "
            "told; with data.format.turns: last, and with weights, it must mark one a turn; use "
            "data.format.turns: all, or correct the template"
        )
    return [span for span, is_learnt in zip(marked, chat.learnt, strict=True) if is_learnt]
