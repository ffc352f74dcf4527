"""Which format rows have, told from a few of them.

Nothing is guessed: a format is proposed where it has been tried on all rows that were given and has
read each. Where none does, the proposal says why, and which fields there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from string import ascii_uppercase
from typing import Literal

from sweeper._text import shorten
from sweeper.data.formats import (
    ChoicesFormat,
    FieldsFormat,
    Format,
    LlmAdaptersFormat,
    MessagesFormat,
    ShareGptFormat,
    TextFormat,
)
from sweeper.data.templates import template_of
from sweeper.errors import DataError

__all__ = ["Kind", "Proposal", "recognise"]

Kind = Literal[
    "messages",
    "sharegpt",
    "llm_adapters",
    "choices",
    "alpaca",
    "prompt/completion",
    "question/answer",
    "text",
]
"""Forms of rows that are known."""

MOST_ROWS = 100
"""Rows that are looked at."""

_INSTRUCTIONS = ("instruction",)
_INPUTS = ("input", "context")
_OUTPUTS = ("output", "response", "answer", "completion")
_PROMPTS = ("prompt", "query")
_COMPLETIONS = ("completion", "response", "output", "answer", "chosen")
_QUESTIONS = ("question", "problem", "query", "question_stem")
_ANSWERS = ("answer", "response", "solution", "output", "final_answer")
_OPTIONS = ("options", "choices", "endings", "candidates")
_RIGHT = (
    *("answer", "answerKey", "answer_key", "label", "answer_idx", "answer_index"),
    *("correct", "correct_answer", "correct_option", "target"),
)
_TEXTS = ("text", "content", "document", "body")
_CHATS = ("messages", "conversations", "conversation", "chat", "dialogue", "turns")
# Columns that hold an option each, of which the first letter may be written small.
_LETTERS = tuple(ascii_uppercase[:10])
_LETTERED = (
    _LETTERS,
    tuple(letter.lower() for letter in _LETTERS),
    *(
        tuple(f"{name}{sign}" for sign in signs)
        for name in ("option", "option_", "choice", "choice_", "answer", "ending")
        for signs in (_LETTERS, [x.lower() for x in _LETTERS], "0123456789", "123456789")
    ),
)

# Settings that say which fields are read; a file says them also where they are the defaults.
_SHOWN = ("field", "prompt", "answer", "question", "options")
_UNCOUNTED = (
    "its answers are numbers, and none is 0 or the number of options, so that whether they count "
    "from 0 or from 1 cannot be told; give more rows, or set data.format.counted_from"
)


@dataclass(frozen=True)
class Proposal:
    """What rows are, or why that cannot be told."""

    kind: Kind | None
    """The form that they have; None where no format reads them."""
    format: Format | None
    """The format that read all of the rows; None where none does."""
    reason: str
    """One sentence: by what it was told, or why no format fits and what to do."""
    fields: tuple[str, ...]
    """Fields that the rows have, in the order in which they come."""
    rows: int
    """Rows that were looked at."""

    def settings(self) -> dict[str, object]:
        """Returns ``data.format`` as it stands in YAML: what names fields, and what is changed.

        Raises:
            ValueError: there is no format.
        """
        if self.format is None:
            raise ValueError("no format was recognised")
        changed = self.format.model_dump(mode="json", exclude_defaults=True)
        whole = self.format.model_dump(mode="json")
        shown = {key: value for key, value in whole.items() if key in _SHOWN or key in changed}
        return {"name": self.format.name} | shown


@dataclass(frozen=True)
class _Candidate:
    kind: Kind
    format: Format
    told_by: str
    doubt: str = ""
    """Why it is not proposed though it may read the rows."""


def recognise(rows: Iterable[Mapping[str, object]]) -> Proposal:
    """Returns which format rows have.

    Forms are tried from the most to the least particular: chats, choices, instructions, prompts,
    questions, plain text. The first whose fields are there decides: where it does not read every
    row, none is proposed, since a less particular one would leave out what the rows are about.

    Args:
        rows: by field; the first 100 are looked at.
    """
    seen = list(islice(rows, MOST_ROWS))
    fields = tuple(dict.fromkeys(str(name) for row in seen for name in row))
    if not seen:
        return Proposal(None, None, "there are no rows; give at least one", (), 0)
    # As of a table: a field that a row lacks is empty there.
    whole = [dict.fromkeys(fields) | dict(row) for row in seen]
    failures: list[_Candidate] = []
    for candidate in _candidates(fields, whole):
        if failures and failures[0].kind != candidate.kind:
            break
        failure = candidate.doubt or _failure(candidate.format, whole)
        if not failure:
            reason = f"{candidate.told_by}; it reads all of the first {len(whole)} rows"
            return Proposal(candidate.kind, candidate.format, reason, fields, len(whole))
        failures.append(replace(candidate, doubt=failure))
    return Proposal(None, None, _why_not(fields, failures), fields, len(whole))


def _candidates(
    fields: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> Iterator[_Candidate]:
    makers: tuple[Callable[..., Iterator[_Candidate]], ...] = (_chats, _llm_adapters, _choices)
    for make in makers:
        yield from make(fields, rows)
    yield from _templates(fields, rows)
    if found := _first(fields, _TEXTS):
        yield _Candidate("text", TextFormat(field=found), f"field {found}")
    elif len(fields) == 1:
        only = fields[0]
        yield _Candidate("text", TextFormat(field=only), f"the only field, {only}")


def _chats(fields: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Iterator[_Candidate]:
    for field in dict.fromkeys((*(name for name in _CHATS if name in fields), *fields)):
        value = next((row[field] for row in rows if row[field] not in (None, "")), None)
        keys = _keys_of_turns(value)
        if {"role", "content"} <= keys or {"role", "tool_calls"} <= keys:
            told = f"field {field}, a list with role and content"
            yield _Candidate("messages", MessagesFormat(field=field), told)
        elif {"from", "value"} <= keys:
            told = f"field {field}, a list with from and value"
            yield _Candidate("sharegpt", ShareGptFormat(field=field), told)


def _keys_of_turns(value: object) -> set[str]:
    """Returns the names in the first object of a list, which may be JSON; else nothing."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        from sweeper.data.formats.turns import turns_of

        try:
            value = turns_of({"turns": value}, "turns", where="")
        except DataError:
            return set()
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return {str(key) for key in value[0]}
    return set()


def _llm_adapters(
    fields: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> Iterator[_Candidate]:
    if {"instruction", "input", "output", "answer"} <= set(fields) and all(
        "Answer format:" in str(row["instruction"]) for row in rows
    ):
        told = "fields instruction, input, output, answer, and a line 'Answer format'"
        yield _Candidate("llm_adapters", LlmAdaptersFormat(), told)


def _choices(fields: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Iterator[_Candidate]:
    question = _first(fields, (*_QUESTIONS, "instruction", "prompt", "input", "sentence", "ctx"))
    if question is None:
        return
    asked = "{" + question + "}"
    options: list[tuple[str, ...]] = [(name,) for name in _OPTIONS if name in fields]
    for names in _LETTERED:
        own = tuple(name for name in names if name in fields)
        if len(own) > 1 and own == names[: len(own)]:
            options.append(own)
    for own in options:
        for right in (name for name in _RIGHT if name in fields and name not in own):
            told = f"fields {question}, {', '.join(own)} and {right}"
            found = ChoicesFormat(question=asked, options=own, answer=right)
            first = _counted_from(rows, found)
            found = found.model_copy(update={"counted_from": first or 0})
            yield _Candidate("choices", found, told, _UNCOUNTED if first is None else "")


def _counted_from(
    rows: Sequence[Mapping[str, object]], chosen: ChoicesFormat
) -> Literal[0, 1] | None:
    """Returns the number of the first option; 0 where answers are no numbers; None in doubt."""
    told = [str(row[chosen.answer]).strip() for row in rows]
    if not all(text.isdecimal() for text in told):
        return 0
    try:
        options = [chosen.options_of(row, where="") for row in rows]
    except DataError:
        # The format does not read them, which is told with the place.
        return 0
    pairs = [(text, own) for text, own in zip(told, options, strict=True) if text not in own]
    if not pairs or any(text.strip("0") == "" for text, _ in pairs):
        # They are labels, or one is 0.
        return 0
    return 1 if any(text == str(len(own)) for text, own in pairs) else None


def _templates(fields: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Iterator[_Candidate]:
    """Yields the forms that a template over fields reads."""
    forms: tuple[tuple[Kind, Sequence[str], Sequence[str]], ...] = (
        ("alpaca", _INSTRUCTIONS, _OUTPUTS),
        ("prompt/completion", _PROMPTS, _COMPLETIONS),
        ("question/answer", _QUESTIONS, _ANSWERS),
    )
    for kind, asking, answering in forms:
        asked = _first(fields, asking)
        answer = _first(fields, [name for name in answering if name != asked])
        if asked is None or answer is None:
            continue
        given = [name for name in _INPUTS if name in fields and name not in (asked, answer)][:1]
        # A prompt is whole; what is asked needs a word that says where the answer begins.
        lines = ["{" + name + "}" for name in (asked, *given)]
        prompt = "\n".join(lines) if kind == "prompt/completion" else "\n".join([*lines, "Answer:"])
        if kind == "question/answer":
            prompt = "\n".join([*("{" + name + "}" for name in given), f"Question: {{{asked}}}"])
            prompt += "\nAnswer:"
        # Some rows bring the space themselves, at the end of one text or the begin of the other.
        ends = all(str(row[asked])[-1:].isspace() for row in rows) and prompt == f"{{{asked}}}"
        begins = all(str(row[answer])[:1].isspace() for row in rows)
        space = "" if ends or begins else " "
        found = FieldsFormat(prompt=prompt, answer=f"{space}{{{answer}}}")
        told = f"fields {', '.join((asked, *given))} and {answer}"
        yield _Candidate(kind, found, told)


def _first(fields: Sequence[str], names: Iterable[str]) -> str | None:
    """Returns the first of the names that is a field, and that a template can name."""
    return next((name for name in names if name in fields), None)


def _failure(chosen: Format, rows: Sequence[Mapping[str, object]]) -> str | None:
    """Returns why a format does not read the rows; None where it does."""
    for number, row in enumerate(rows):
        try:
            chosen.read(row, where=f"row {number}")
        except DataError as error:
            return str(error)
    return None


def _why_not(fields: Sequence[str], failures: Sequence[_Candidate]) -> str:
    named = shorten(", ".join(fields) or "(none)", limit=300)
    if failures:
        first = failures[0]
        looks = f"rows look like {first.kind} ({first.told_by}), but {first.doubt}"
        return shorten(f"{looks}; their fields are {named}", limit=700)
    example = next((name for name in fields if _is_nameable(name)), "field")
    return (
        f"no format is known for rows with these fields: {named}; say which is the prompt and "
        f"which the answer in data.format, for example prompt: '{{{example}}}'"
    )


def _is_nameable(field: str) -> bool:
    try:
        return template_of("{" + field + "}").fields == (field,)
    except ValueError:
        return False
