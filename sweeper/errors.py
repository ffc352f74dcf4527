"""Every error that the sweeper raises on purpose.

A message has four parts: what is wrong, the value got, what is allowed, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AdapterError",
    "BadInputError",
    "CountError",
    "DataError",
    "DivergedError",
    "ExportError",
    "MissingError",
    "Problem",
    "SpecError",
    "SweeperError",
    "TrialError",
]


class SweeperError(Exception):
    """Root of all errors raised by the sweeper on purpose."""


class BadInputError(SweeperError):
    """The user's input cannot be run; nothing was started. The command line exits with 2."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file: where it stands and what is wrong with it."""

    path: str
    """Dotted path in the file, for example ``method.experts``."""
    message: str
    """What is wrong, the value got, what is allowed, what to do."""

    def __str__(self) -> str:
        """Returns ``path: message``."""
        return f"{self.path}: {self.message}" if self.path else self.message


class SpecError(BadInputError):
    """A search space or a profile is wrong; carries all problems at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        """Collects the problems found in the file or option named ``source``."""
        self.source = source
        self.problems = tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        lines = [f"{source}: {len(self.problems)} {noun}"]
        lines += [f"  {problem}" for problem in self.problems]
        super().__init__("\n".join(lines))


class MissingError(BadInputError):
    """A package, model or file is missing; the message names the one command that gets it."""


class DataError(BadInputError):
    """Data was found but cannot be used: empty, unreadable, or without the fields asked for."""


class AdapterError(BadInputError):
    """The files of a trained adapter are missing, damaged, or not what the trial's method saves."""


class CountError(SweeperError):
    """A parameter count by formula differs from the counted one."""


class TrialError(SweeperError):
    """A trial failed; the sweep goes on and the record of the trial keeps the reason."""


class DivergedError(TrialError):
    """The loss of a trial became NaN or infinite."""


class ExportError(SweeperError):
    """An adapter could not be exported, or its export does not give the same outputs."""
