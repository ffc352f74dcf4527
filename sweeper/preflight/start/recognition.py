"""Which format rows have, told from a few of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sweeper.data.formats import FieldsFormat, Format
from sweeper.errors import DataError

__all__ = ["Proposal", "recognise"]

_FORMS = (
    ("alpaca", ("instruction",), ("output", "response", "answer", "completion")),
    ("prompt/completion", ("prompt", "query"), ("completion", "response", "output", "answer")),
    ("question/answer", ("question", "problem"), ("answer", "response", "solution", "output")),
)
_INPUTS = ("input", "context")


@dataclass(frozen=True)
class Proposal:
    """What rows are, or why that cannot be told."""

    kind: str | None
    format: Format | None
    reason: str
    fields: tuple[str, ...]


def recognise(rows: Iterable[Mapping[str, object]]) -> Proposal:
    """Returns which format rows have: the first whose fields are there and that reads every row."""
    seen = list(rows)
    fields = tuple(dict.fromkeys(name for row in seen for name in row))
    for kind, chosen, told_by in _candidates(fields):
        try:
            for number, row in enumerate(seen):
                chosen.read(row, where=f"row {number}")
        except DataError:
            continue
        return Proposal(kind, chosen, f"{told_by}; read {len(seen)} of {len(seen)} rows", fields)
    return Proposal(None, None, "no format is known for rows with these fields", fields)


def _candidates(fields: tuple[str, ...]) -> Iterator[tuple[str, Format, str]]:
    for kind, asking, answering in _FORMS:
        asked = next((name for name in asking if name in fields), None)
        answer = next((name for name in answering if name in fields), None)
        if asked is None or answer is None:
            continue
        given = [name for name in _INPUTS if name in fields][:1]
        lines = ["{" + name + "}" for name in (asked, *given)]
        prompt = "\n".join(lines if kind == "prompt/completion" else [*lines, "Answer:"])
        found = FieldsFormat(prompt=prompt, answer=f" {{{answer}}}")
        yield kind, found, f"fields {', '.join((asked, *given))} and {answer}"
