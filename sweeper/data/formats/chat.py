"""Chats: rows of turns, which the model's own chat template puts into text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sweeper import _environment
from sweeper._spec import Spec
from sweeper._text import shorten
from sweeper.data.examples import Conversation, Example
from sweeper.data.formats.cells import read_json, write_json
from sweeper.data.formats.turns import message_of, turns_of
from sweeper.data.reading.places import data_path, require_file
from sweeper.data.templates import template_of, text_of
from sweeper.errors import DataError

__all__ = ["ROLES", "MessagesFormat", "ShareGptFormat"]

ROLES = "roles"
"""Name of the chat template that comes with the program, for models without one."""

_OF_SHAREGPT = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


class _ChatFormat(Spec):
    """What formats of chats have in common: the template, and which turns are learnt."""

    template: str | None = None
    """File with a chat template in Jinja; null uses the one of the model's tokenizer. A relative
    path is resolved as that of the rows. ``roles`` is no file but a template that comes with the
    program, for models that have none: each turn after its role as a word (``User: …``)."""
    variables: dict[str, str | int | float | bool] = Field(default={})
    """Values that the template is given besides, such as ``{enable_thinking: false}``."""
    turns: Literal["all", "last"] = "all"
    """Which turns of the assistant have a loss: ``all`` of them, or only the ``last`` one. One with
    ``weight: 0`` has none, nor has one that opens the chat, before any user."""
    domain: str = ""
    """Template of the domain, over the other fields; empty if the data has only one."""
    if TYPE_CHECKING:
        # Each format has its own, at the end of its fields.
        field: str

    def files(self) -> tuple[Path, ...]:
        """Returns the files that are needed besides the rows: the template's, if it has one.

        Raises:
            DataError: the file is not there, or cannot be read.
        """
        if self.template is None:
            return ()
        if self.template == ROLES:
            return (Path(__file__).with_name(f"{ROLES}.jinja"),)
        path = data_path(self.template, root=_environment.data_root())
        remedy = "put it there, or correct data.format.template"
        require_file(path, needed="a file with a chat template", remedy=remedy)
        return (path,)

    def templates(self) -> tuple[str, ...]:
        """Returns its templates over fields."""
        return (self.domain,)

    def fields(self) -> tuple[str, ...]:
        """Returns the fields that it reads, each once."""
        return tuple(dict.fromkeys((self.field, *template_of(self.domain).fields)))

    def conversation(
        self,
        messages: Sequence[Mapping[str, Any]],
        learnt: Sequence[bool],
        *,
        tools: object = None,
        where: str,
    ) -> Conversation:
        """Returns turns with the template that they are put into.

        Args:
            messages: the turns, as chat templates take them.
            learnt: of each turn of the assistant whether it has a loss.
            tools: that the assistant may call.
            where: place of the turns, for messages.

        Raises:
            DataError: the template cannot be read, or a turn cannot be written as JSON.
        """
        return Conversation(
            messages=write_json(messages, where=where),
            learnt=tuple(learnt),
            tools=write_json(tools, where=where) if tools else "",
            template=_source(self.files()[0]) if self.template else "",
            variables=json.dumps(self.variables, ensure_ascii=False, sort_keys=True),
            where=where,
        )

    def _example(
        self,
        messages: list[dict[str, Any]],
        tools: object,
        row: Mapping[str, object],
        *,
        where: str,
    ) -> Example:
        """Returns the example of some turns, up to the last one that is learnt.

        Raises:
            DataError: no turn of the assistant is learnt, or the template cannot be read.
        """
        weights = [message.pop("weight", 1) for message in messages]
        own = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        learnt = [bool(weights[i]) and not _is_opening(messages, i) for i in own]
        if not any(learnt):
            roles = ", ".join(message["role"] for message in messages) or "none"
            raise DataError(
                f"{where}: no turn of the assistant has a loss (turns: {roles}); every row needs "
                "one to train on; correct or remove the row"
            )
        last = max(place for place, is_learnt in zip(own, learnt, strict=True) if is_learnt)
        learnt = learnt[: own.index(last) + 1]
        if self.turns == "last":
            learnt = [False] * (len(learnt) - 1) + [True]
        messages = messages[: last + 1]
        conversation = self.conversation(messages, learnt, tools=tools, where=where)
        return Example(
            prompt="\n".join(f"{m['role']}: {_spoken(m)}" for m in messages[:-1]),
            answer=_spoken(messages[-1]),
            domain=template_of(self.domain).render(row, where=where),
            conversation=conversation,
        )


class MessagesFormat(_ChatFormat):
    """Chats as a list of messages with ``role`` and ``content``, in the form of OpenAI's API.

    The chat template of the model's tokenizer puts them into text. The turns of the assistant have
    a loss, whatever is said between them has none. Tools (the field ``tools``), calls of tools and
    their results are passed on to the template.
    """

    name: Literal["messages"] = "messages"
    """Rows are chats with roles and contents."""
    field: str = Field(default="messages", min_length=1)
    """Field with the list of messages; in a table, as JSON."""

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a turn has no such form, or no turn of the assistant is learnt.
        """
        found = turns_of(row, self.field, where=where)
        messages = [
            message_of(turn, where=f"{where}, message {number}")
            for number, turn in enumerate(found)
        ]
        return self._example(messages, _tools_of(row, where=where), row, where=where)


class ShareGptFormat(_ChatFormat):
    """Chats in ShareGPT's form: ``conversations``, a list of objects with ``from`` and ``value``.

    ``human`` is the user, ``gpt`` the assistant, ``observation`` a tool's result; a
    ``function_call`` is a turn of the assistant. A field ``system`` comes before the first turn.
    The rest is as in ``messages``.
    """

    name: Literal["sharegpt"] = "sharegpt"
    """Rows are chats in ShareGPT's form."""
    field: str = Field(default="conversations", min_length=1)
    """Field with the list of turns; in a table, as JSON."""

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a turn has no such form, or no turn of the assistant is learnt.
        """
        messages = []
        for number, turn in enumerate(turns_of(row, self.field, where=where)):
            place = f"{where}, turn {number}"
            messages.append(message_of(_renamed(turn, where=place), where=place))
        system = text_of(row, "system", where=where) if "system" in row else ""
        if system.strip() and not any(message["role"] == "system" for message in messages):
            messages.insert(0, {"role": "system", "content": system})
        return self._example(messages, _tools_of(row, where=where), row, where=where)


def _renamed(turn: Mapping[str, object], *, where: str) -> dict[str, object]:
    """Returns a turn of ShareGPT's with the names of the API."""
    speaker = turn.get("from")
    is_known = isinstance(speaker, str) and speaker in _OF_SHAREGPT
    if not is_known or not isinstance(turn.get("value"), str):
        raise DataError(
            f"{where}: 'from' is {shorten(repr(speaker), limit=80)} and 'value' a "
            f"{type(turn.get('value')).__name__}; "
            f"'from' must be one of {', '.join(_OF_SHAREGPT)}, and 'value' a text; correct the "
            "row, or use data.format.name: messages for turns with role and content"
        )
    found: dict[str, object] = {"role": _OF_SHAREGPT[str(speaker)], "content": turn["value"]}
    if "weight" in turn:
        found["weight"] = turn["weight"]
    if speaker == "function_call":
        try:
            called = read_json(str(turn["value"]))
        except ValueError as error:
            raise DataError(
                f"{where}: the function_call is not JSON ({error}); it must be an object with "
                "'name' and 'arguments'; correct the row"
            ) from error
        calls = called if isinstance(called, list) else [called]
        found["content"] = ""
        found["tool_calls"] = [{"type": "function", "function": call} for call in calls]
    return found


def _is_opening(messages: Sequence[Mapping[str, Any]], place: int) -> bool:
    """Returns whether a turn of the assistant opens the chat: nobody has asked for it.

    Where no user speaks at all, the system's turn is what asks.
    """
    before = {message["role"] for message in messages[:place]}
    has_user = any(message["role"] == "user" for message in messages)
    return not before or (has_user and before <= {"system", "developer"})


def _tools_of(row: Mapping[str, object], *, where: str) -> Sequence[Mapping[str, object]]:
    """Returns the tools of a row; nothing where it has no such field, or an empty one."""
    if row.get("tools") in (None, "", [], ()):
        return ()
    return turns_of(row, "tools", where=where)


def _spoken(message: Mapping[str, Any]) -> str:
    """Returns what a turn says, calls of tools included, as text to compare rows by."""
    calls = [json.dumps(call, ensure_ascii=False) for call in message.get("tool_calls", ())]
    return "\n".join(part for part in (message["content"], *calls) if part)


def _source(path: Path) -> str:
    stat = path.stat()
    return _read_source(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read_source(path: Path, mtime_ns: int, size: int) -> str:
    """Returns the text of a template's file, read anew where the file has changed."""
    del mtime_ns, size
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as a chat template ({error}); it must be a file of Jinja in "
            "UTF-8; correct data.format.template"
        ) from error
    if not text.strip():
        raise DataError(
            f"{path} is empty; a chat template must write the turns; correct data.format.template"
        )
    return text
