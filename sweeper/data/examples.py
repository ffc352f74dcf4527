"""What every data set is turned into: examples, in three splits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Example", "Splits"]


@dataclass(frozen=True)
class Example:
    """One prompt and the answer a model is trained to give."""

    prompt: str
    """Text before the answer; the loss does not see it."""
    answer: str
    """Text to learn, with the space or newline that parts it from the prompt."""
    domain: str = ""
    """Kind of task, for scores by domain; empty where the data has only one."""
    choices: tuple[str, ...] = ()
    """All candidate answers, ``answer`` among them, when the task is multiple choice."""


@dataclass(frozen=True)
class Splits:
    """A data set, parted. No example of one split is in another."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]

    def domains(self) -> tuple[str, ...]:
        """Returns the domains of all splits, sorted; a single empty name where it has none."""
        rows = (*self.train, *self.validation, *self.test)
        return tuple(sorted({example.domain for example in rows}))
