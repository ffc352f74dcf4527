"""What a user is asked for, and the prompt that is made of it: as the rows of the trial's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sweeper._text import count
from sweeper.data import (
    ChoicesFormat,
    DataSpec,
    Example,
    FieldsFormat,
    LlmAdaptersFormat,
    MessagesFormat,
    ShareGptFormat,
    TasksDataSpec,
    TextFormat,
)
from sweeper.data.sources.rows import RowDataSpec
from sweeper.data.templates import text_of
from sweeper.data.tokens.chats import chat_prompt
from sweeper.data.tokens.encoding import Tokens
from sweeper.errors import BadInputError, DataError
from sweeper.evaluation.chat.turns import turn_ending
from sweeper.evaluation.generation import Ending, prompts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ChatForm", "Form", "PromptForm", "form_of", "task_limits"]

# Place of what was typed, for messages.
_TYPED = "what was typed"
# Longer than any text that is typed.
_NO_LIMIT = 10**9


class Form(Protocol):
    """How what is typed becomes a prompt."""

    @property
    def fields(self) -> Mapping[str, str]:
        """What is asked for, by name, each with a word on how it is written, or an empty one."""

    @property
    def has_turns(self) -> bool:
        """Whether a conversation goes on; else each prompt stands by itself."""

    @property
    def about(self) -> str:
        """A sentence on what is typed."""

    @property
    def keeps_spaces(self) -> bool:
        """Whether the spaces before an answer are part of it."""

    def ended_by(self, ending: Ending, tokenizer: PreTrainedTokenizerBase) -> Ending:
        """Returns what ends an answer of this form, besides what ends any."""

    def encode(
        self, row: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, *, room: int
    ) -> tuple[Tokens, tuple[str, ...]]:
        """Returns the prompt of what was typed, and a sentence for each part that had no room.

        Args:
            row: what was typed, by the names of :attr:`fields`.
            tokenizer: the base model's.
            room: most tokens of the prompt.

        Raises:
            DataError: there is nothing to answer, or the row is none of the trial's form.
        """

    def keep(self, row: Mapping[str, str], answer: str) -> None:
        """Takes what was asked and answered as the last turns, where a conversation goes on."""

    def reset(self) -> None:
        """Forgets the conversation."""


@dataclass(frozen=True)
class PromptForm:
    """Prompts of which each stands by itself."""

    format: FieldsFormat | TextFormat | ChoicesFormat | LlmAdaptersFormat | None = None
    """How rows are read; None where the line is the prompt."""

    has_turns = False

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of a prompt, or the prompt itself."""
        return {"prompt": ""} if self.format is None else self.format.asked()

    @property
    def about(self) -> str:
        """A sentence on what is typed."""
        if self.format is None:
            return (
                "The prompts of this data are made by the program: what you type is a whole "
                "prompt, as it stands; \\n is a line break."
            )
        if isinstance(self.format, TextFormat):
            return "What you type is gone on with."
        return f"Each prompt stands by itself; it is made of: {', '.join(self.fields)}."

    @property
    def keeps_spaces(self) -> bool:
        """Whether a text is gone on with, after which a space may come."""
        return isinstance(self.format, TextFormat)

    def ended_by(self, ending: Ending, tokenizer: PreTrainedTokenizerBase) -> Ending:
        """Returns what ends any answer."""
        del tokenizer  # they all end in the end-of-text token
        return ending

    def encode(
        self, row: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, *, room: int
    ) -> tuple[Tokens, tuple[str, ...]]:
        """Returns the prompt of a row; one that is too long is cut on the left, as in training."""
        texts = {name: text_of(row, name, where=_TYPED) for name in self.fields}
        if not any(text.strip() for text in texts.values()):
            raise DataError(f"{_TYPED}: there is no text; a prompt needs some; type one")
        example = (
            Example(prompt=texts["prompt"].replace("\\n", "\n"), answer="")
            if self.format is None
            else self.format.prompt_of(texts, where=_TYPED)
        )
        [whole] = prompts_of([example], tokenizer, max_length=_NO_LIMIT)
        if len(whole.ids) <= room:
            return whole, ()
        [cut] = prompts_of([example], tokenizer, max_length=room)
        return cut, (_cut_note(len(whole.ids), room),)

    def keep(self, row: Mapping[str, str], answer: str) -> None:
        """Does nothing: the next prompt stands by itself."""

    def reset(self) -> None:
        """Does nothing: there is no conversation."""


@dataclass
class ChatForm:
    """A conversation, in the chat template that the trial was trained with."""

    format: MessagesFormat | ShareGptFormat
    """How rows are read."""
    system: str = ""
    """What is said before the first turn; empty for nothing."""
    _turns: list[dict[str, str]] = field(default_factory=list)

    has_turns = True
    keeps_spaces = False

    @property
    def fields(self) -> Mapping[str, str]:
        """A message of the user."""
        return {"message": ""}

    @property
    def about(self) -> str:
        """A sentence on what is typed."""
        return "A conversation in the trial's chat template; /reset begins it anew."

    @property
    def turns(self) -> tuple[Mapping[str, str], ...]:
        """What has been said, each with ``role`` and ``content``."""
        return tuple(self._turns)

    def ended_by(self, ending: Ending, tokenizer: PreTrainedTokenizerBase) -> Ending:
        """Returns what ends any answer, with what ends a turn of the chat template.

        Raises:
            BadInputError: there is no template, or it takes no such chat.
        """
        try:
            ids, texts = turn_ending(self.format, tokenizer, system=self.system)
        except DataError as error:
            if not self.system:
                raise
            raise BadInputError(
                f"system: got {self.system!r}, with which the chat template of the trial makes no "
                f"prompt ({error}); leave --system out, or say it in your first message"
            ) from error
        return replace(ending, end_ids=ids, stop_strings=(*ending.stop_strings, *texts))

    def encode(
        self, row: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, *, room: int
    ) -> tuple[Tokens, tuple[str, ...]]:
        """Returns the conversation with one more message.

        The oldest turns are forgotten where there is no room for all.
        """
        text = text_of(row, "message", where=_TYPED)
        if not text.strip():
            raise DataError(f"{_TYPED}: there is no text; a message needs some; type one")
        before = len(self._turns)
        ids = self._encoded(text, tokenizer)
        while len(ids) > room and self._turns:
            del self._turns[:2]
            ids = self._encoded(text, tokenizer)
        notes = []
        if forgotten := before - len(self._turns):
            notes.append(
                f"The conversation has no room in {room} tokens: the oldest "
                f"{count(forgotten, 'turn')} are forgotten."
            )
        if len(ids) > room:
            notes.append(_cut_note(len(ids), room))
            start = ids[: int(ids[0] == tokenizer.bos_token_id)]
            ids = [*start, *ids[len(ids) - room + len(start) :]]
        return Tokens(tuple(ids), len(ids)), tuple(notes)

    def keep(self, row: Mapping[str, str], answer: str) -> None:
        """Takes a message and its answer as the last two turns."""
        self._turns += [
            {"role": "user", "content": row["message"]},
            {"role": "assistant", "content": answer},
        ]

    def reset(self) -> None:
        """Forgets all turns; what was said before the first one stays."""
        self._turns.clear()

    def _encoded(self, message: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        messages = [*before, *self._turns, {"role": "user", "content": message}]
        learnt = [False] * (len(self._turns) // 2)
        return chat_prompt(self.format.conversation(messages, learnt, where=_TYPED), tokenizer)


def form_of(data: DataSpec, *, system: str = "") -> Form:
    """Returns the form of prompts of a trial's data.

    Args:
        data: what the trial was trained on.
        system: what is said before the first turn of a conversation; empty for nothing.

    Raises:
        BadInputError: something is said before, but the data has no conversations.
    """
    found = data.format if isinstance(data, RowDataSpec) else None
    if isinstance(found, MessagesFormat | ShareGptFormat):
        return ChatForm(found, system)
    if system:
        name = data.kind if found is None else found.name
        raise BadInputError(
            f"system: got {system!r}, but the trial was trained on prompts without conversations "
            f"({name}); only data in the formats messages and sharegpt has a system message; "
            "leave --system out"
        )
    return PromptForm(found)


def task_limits(data: DataSpec) -> tuple[int | None, tuple[str, ...]]:
    """Returns the most tokens of an answer that the data's tasks have, and the stops of them all.

    Args:
        data: what the trial was trained on; None and nothing where it is not made of tasks.
    """
    if not isinstance(data, TasksDataSpec):
        return None, ()
    tasks = data.trained()
    stops = {task.stop for task in tasks}
    return max(task.max_new_tokens for task in tasks), stops.pop() if len(stops) == 1 else ()


def _cut_note(tokens: int, room: int) -> str:
    return f"The prompt has {tokens} tokens and room for {room}: it is cut on its left."
