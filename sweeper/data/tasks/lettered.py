"""Multiple-choice questions whose answers are letters: the form of MMLU and of its like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from sweeper.data.examples import Example
from sweeper.data.reading.rows import Row
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["lettered", "options_of", "split_options"]


def lettered(
    question: str, options: Mapping[str, str], answer: str, *, head: str, where: str
) -> Example:
    """Returns a question whose answers are the letters of its options, each after a space.

    The form is the one of MMLU's authors (github.com/hendrycks/test), which the harness has, too: a
    sentence that says what follows, the question, a line for each option, and ``Answer:``.

    Args:
        question: its text.
        options: text of each option, by letter.
        answer: the letter of the right one.
        head: the sentence before it; none where empty.
        where: place of the row, for messages.

    Raises:
        DataError: the answer is not among the letters, or there is nothing to choose from.
    """
    if answer not in options or len(options) < 2:
        raise DataError(
            f"{where}: the answer is {answer!r} but the options are "
            f"{', '.join(options) or '(none)'}; the answer must be the letter of one of at least "
            "two options; correct the row"
        )
    lines = [f"{letter}. {text}" for letter, text in options.items()]
    parts = [f"{head}\n\n"] if head else []
    prompt = "".join([*parts, "\n".join([question.strip(), *lines, "Answer:"])])
    return Example(
        prompt=prompt, answer=f" {answer}", choices=tuple(f" {letter}" for letter in options)
    )


def options_of(row: Row, *, where: str) -> dict[str, str]:
    """Returns the texts in the columns A, B, C … of a row, without the empty ones."""
    found = {name: text_of(row, name, where=where) for name in ascii_uppercase if name in row}
    return {letter: text for letter, text in found.items() if text.strip()}


def split_options(text: str, letters: Sequence[str] = "ABCD") -> tuple[str, dict[str, str]]:
    """Returns a question and its options, of a text that holds both: ``… A. one B. two …``.

    The options are taken from the text's end, so that a letter inside of the question stays there.
    Without all options the text is returned whole, with no option.
    """
    rest, options = text.rstrip(), dict[str, str]()
    for letter in reversed(letters):
        marks = list(re.finditer(rf"(?<![A-Z.]){letter}\.\s*", rest))
        if not marks:
            return text, {}
        options[letter] = rest[marks[-1].end() :].strip()
        rest = rest[: marks[-1].start()]
    return rest.strip(), {letter: options[letter] for letter in letters}
