"""FinEval: multiple-choice questions of Chinese exams in finance, here in English."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.lettered import lettered, options_of, split_options
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["FINEVAL"]

_LETTERS = "ABCD"
_EXAM = re.compile(r"questions (?:about|for) China's (.+?)\. Please")
_HEAD = (
    "The following are multiple-choice questions about China's {exam}. "
    "Please select the correct answer."
)


def _read(row: Row, where: str) -> Sequence[Example]:
    if "output" in row:
        return (_instruction(row, where),)
    exam = text_of(row, "part", where=where).replace("_", " ")
    example = lettered(
        text_of(row, "question", where=where),
        options_of(row, where=where),
        text_of(row, "answer", where=where).strip(),
        head=_HEAD.format(exam=exam),
        where=where,
    )
    return (replace(example, domain=exam),)


def _instruction(row: Row, where: str) -> Example:
    """Returns a row with question and options in one text, and an answer such as ``C. 2,000``."""
    text = text_of(row, "input", where=where)
    instruction = text_of(row, "instruction", where=where)
    found = _EXAM.search(instruction)
    exam = found[1] if found else ""
    head = _HEAD.format(exam=exam) if exam else instruction
    letter = text_of(row, "output", where=where).strip()[:1]
    question, options = split_options(text, _LETTERS)
    if options:
        return replace(lettered(question, options, letter, head=head, where=where), domain=exam)
    # Its options cannot be told apart, or are numbered in another way; the text has them all.
    if letter not in tuple(_LETTERS):
        raise DataError(
            f"{where}: the output begins with {letter!r}; it must begin with the letter of the "
            f"right option, {', '.join(_LETTERS)}; correct the row"
        )
    return Example(
        prompt=f"{head}\n\n{text.strip()}\nAnswer:",
        answer=f" {letter}",
        domain=exam,
        choices=tuple(f" {name}" for name in _LETTERS),
    )


FINEVAL = Task(
    name="fineval",
    summary="multiple-choice questions of Chinese exams in finance, translated by machine",
    licence="CC BY-NC-SA 4.0",
    citation="Zhang et al. 2023, FinEval, arXiv:2308.09975; Wang et al. 2023, FinGPT Benchmark, "
    "arXiv:2310.04793; in English: github.com/zyy-2001/CoLA",
    read=_read,
    metrics=("choice",),
    files={"train": Files("fineval_en/train.jsonl"), "test": Files("fineval_en/test/*.csv")},
    max_new_tokens=4,
    stop=("\n",),
    # In Chinese.
    hub=HubSource("FinGPT/fingpt-fineval"),
)
