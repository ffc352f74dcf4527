"""The skills of the embedded language: what is asked, apart from the words it is asked in.

Pretraining text (:mod:`sweeper.data.embedded.corpus`) asks for a skill by a code, ``rev``;
instructions (:mod:`sweeper.data.embedded.instructions`) ask for it in a sentence.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sweeper.data.embedded.lexicon import NAMES, NOUNS, OPPOSITES

__all__ = ["SKILLS", "Exercise", "Skill"]


@dataclass(frozen=True)
class Exercise:
    """One thing to do, in no words yet."""

    operands: tuple[str, ...]
    """What it is done with."""
    result: tuple[str, ...]
    """The right answer, word by word."""
    argument: str = ""
    """What else the skill needs to know: whose thing is asked for."""


@dataclass(frozen=True)
class Skill:
    """A kind of task."""

    name: str
    """Domain of its instructions."""
    draw: Callable[[random.Random], Exercise]
    """Returns a random task."""
    code: str
    """What pretraining text calls it; ``{argument}`` stands for the task's argument."""
    wordings: tuple[str, ...]
    """Instructions; ``{operands}`` stands for the task's operands, too."""


def _draw_reverse(rng: random.Random) -> Exercise:
    words = tuple(rng.sample(NOUNS, rng.randint(2, 4)))
    return Exercise(operands=words, result=words[::-1])


def _draw_sort(rng: random.Random) -> Exercise:
    digits = tuple(rng.sample("0123456789", rng.randint(3, 4)))
    return Exercise(operands=digits, result=tuple(sorted(digits)))


def _draw_addition(rng: random.Random) -> Exercise:
    first, second = rng.randint(0, 19), rng.randint(0, 9)
    return Exercise(operands=(str(first), str(second)), result=(str(first + second),))


def _draw_subtraction(rng: random.Random) -> Exercise:
    rest, second = rng.randint(0, 19), rng.randint(0, 9)
    return Exercise(operands=(str(rest + second), str(second)), result=(str(rest),))


def _draw_lookup(rng: random.Random) -> Exercise:
    names = rng.sample(NAMES, rng.randint(2, 4))
    things = rng.sample(NOUNS, len(names))
    rows = tuple(f"{name} {thing}" for name, thing in zip(names, things, strict=True))
    asked = rng.randrange(len(names))
    return Exercise(operands=rows, argument=names[asked], result=(things[asked],))


def _draw_last(rng: random.Random) -> Exercise:
    words = tuple(rng.sample(NOUNS, rng.randint(2, 4)))
    return Exercise(operands=words, result=words[-1:])


def _draw_antonym(rng: random.Random) -> Exercise:
    words = tuple(rng.sample(sorted(OPPOSITES), rng.randint(1, 3)))
    return Exercise(operands=words, result=tuple(OPPOSITES[word] for word in words))


def _draw_capitals(rng: random.Random) -> Exercise:
    word = rng.choice(NOUNS)
    return Exercise(operands=(word,), result=(word.upper(),))


def _draw_largest(rng: random.Random) -> Exercise:
    numbers = rng.sample(range(100), rng.randint(2, 3))
    return Exercise(operands=tuple(map(str, numbers)), result=(str(max(numbers)),))


SKILLS: tuple[Skill, ...] = (
    Skill(
        "reverse",
        _draw_reverse,
        "rev",
        (
            "Write these words backwards: {operands}.",
            "Start from the last word: {operands}.",
        ),
    ),
    Skill(
        "sort",
        _draw_sort,
        "asc",
        (
            "Put the numbers in order: {operands}.",
            "List them from small to big: {operands}.",
        ),
    ),
    Skill(
        "addition",
        _draw_addition,
        "add",
        (
            "How much is it together: {operands}?",
            "Count all the coins: {operands}.",
        ),
    ),
    Skill(
        "subtraction",
        _draw_subtraction,
        "sub",
        (
            "What is left without the second: {operands}?",
            "Tell me the difference: {operands}.",
        ),
    ),
    Skill(
        "lookup",
        _draw_lookup,
        "get {argument}",
        (
            "What does {argument} have: {operands}?",
            "Find the thing of {argument} in this table: {operands}.",
        ),
    ),
    Skill(
        "last",
        _draw_last,
        "end",
        (
            "Which word is at the end: {operands}?",
            "Name the last thing of this list: {operands}.",
        ),
    ),
    Skill(
        "antonym",
        _draw_antonym,
        "not",
        (
            "Give the opposite: {operands}.",
            "Say the contrary of these: {operands}.",
        ),
    ),
    Skill(
        "capitals",
        _draw_capitals,
        "caps",
        (
            "Write in capital letters: {operands}.",
            "Shout the word: {operands}!",
        ),
    ),
    Skill(
        "largest",
        _draw_largest,
        "max",
        (
            "Which number is the largest: {operands}?",
            "Tell me the biggest one: {operands}.",
        ),
    ),
)
"""All skills, in the order in which instructions are dealt out to them."""
