"""The text the embedded model is pretrained on.

It teaches the words, the numbers and every skill, each by a code (``rev : cat dog = dog cat``). The
words of instructions occur in it, too, but as noise that says nothing about the task. To connect
the two is what fine-tuning is for: the skill is there, the way to ask for it is new.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.data.embedded.lexicon import NAMES, NOUNS, OPPOSITES
from sweeper.data.embedded.skills import SKILLS

__all__ = ["Line", "documents"]

_DRILLS = 0.25
"""Share of lines that only repeat words or pair opposites: copying is learnt on these first."""
_MOST_LINES = 4
"""Most lines of a document."""
_MOST_NOISE = 4
"""Most words of noise in a line."""
_NOISE = sorted(
    {
        word
        for skill in SKILLS
        for wording in (*skill.wordings, "Answer")
        for word in re.findall(r"\b[A-Za-z]+\b", wording.replace("{argument}", ""))
        if word != "operands"
    }
)
_SIGNS = (" =", " =", " ->", "\nResult:", "\nResult:")


@dataclass(frozen=True)
class Line:
    """One line of text, or two."""

    given: str
    """What is random in it."""
    result: str
    """What follows from the rest; a space parts the two."""


def documents(seed: int) -> Iterator[tuple[Line, ...]]:
    """Yields documents of a few lines, for ever; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield tuple(_line(rng) for _ in range(rng.randint(1, _MOST_LINES)))


def _line(rng: random.Random) -> Line:
    if rng.random() < _DRILLS:
        return rng.choice((_copy, _pairs, _table, _table))(rng)
    skill = rng.choice(SKILLS)
    task = skill.draw(rng)
    noise = rng.sample(_NOISE, max(0, rng.randint(-2, _MOST_NOISE)))
    head = " ".join((*noise, skill.code.format(argument=task.argument)))
    operands = rng.choice((" ", ", ")).join(task.operands)
    end = rng.choice(("", "", ".", "?", "!"))
    return Line(f"{head}: {operands}{end}{rng.choice(_SIGNS)}", " ".join(task.result))


def _copy(rng: random.Random) -> Line:
    text = " ".join(rng.sample((*NOUNS, *sorted(OPPOSITES), *_NOISE), rng.randint(2, 8)))
    return Line(f"id: {text}{rng.choice(_SIGNS)}", text)


def _pairs(rng: random.Random) -> Line:
    words = rng.sample(sorted(OPPOSITES), 3)
    return Line("pairs:", ", ".join(f"{word} {OPPOSITES[word]}" for word in words))


def _table(rng: random.Random) -> Line:
    things = rng.sample(NOUNS, 3)
    rows = [f"{name} {thing}" for name, thing in zip(rng.sample(NAMES, 3), things, strict=True)]
    again = rng.sample(rows, 3) + rng.sample(rows, 3)
    return Line(f"table: {', '.join(rows)},", ", ".join(again))
