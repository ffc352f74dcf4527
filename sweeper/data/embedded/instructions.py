"""The generated instruction data set: several skills, each asked in several wordings.

Train, validation and test are disjoint by construction: a task's split is a hash of the skill and
its operands, so that no task of one split is in another in any wording.
"""

from __future__ import annotations

import hashlib
import random
from typing import Literal

from sweeper.data.embedded.skills import SKILLS, Exercise, Skill
from sweeper.data.examples import Example

__all__ = ["SplitName", "generate", "split_of"]

SplitName = Literal["train", "validation", "test"]
"""Name of a split."""

_HELD_OUT_PERCENT = 10
"""Percent of all tasks that are validation tasks, and percent that are test tasks."""


def split_of(skill: str, task: Exercise) -> SplitName:
    """Returns the split that a task belongs to, whatever it is worded like."""
    key = "\0".join((skill, task.argument, *task.operands))
    percent = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 100
    if percent < _HELD_OUT_PERCENT:
        return "test"
    return "validation" if percent < 2 * _HELD_OUT_PERCENT else "train"


def generate(split: SplitName, *, rows: int, seed: int) -> tuple[Example, ...]:
    """Returns examples of one split, the same number of each skill but for a remainder.

    Args:
        split: which tasks may be drawn.
        rows: how many examples, at least 1.
        seed: another seed draws other tasks of the same split.
    """
    rng = random.Random(f"{split} {seed}")
    drawn = [_example(SKILLS[row % len(SKILLS)], split, rng) for row in range(rows)]
    rng.shuffle(drawn)
    return tuple(drawn)


def _example(skill: Skill, split: SplitName, rng: random.Random) -> Example:
    task = _task(skill, split, rng)
    question = rng.choice(skill.wordings).format(
        argument=task.argument, operands=", ".join(task.operands)
    )
    answer = "".join(f" {word}" for word in task.result)
    return Example(prompt=f"{question}\nAnswer:", answer=answer, domain=skill.name)


def _task(skill: Skill, split: SplitName, rng: random.Random) -> Exercise:
    while True:
        task = skill.draw(rng)
        if split_of(skill.name, task) == split:
            return task
