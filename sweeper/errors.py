"""Every error that the sweeper raises on purpose.

A message has four parts: what is wrong, the value got, what is allowed, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeper._text import shorten

__all__ = [
    "AdapterError",
    "AttemptLostError",
    "BadInputError",
    "CountError",
    "DamagedFileError",
    "DataError",
    "DivergedError",
    "ExportError",
    "MissingError",
    "NameTakenError",
    "PoolLostError",
    "Problem",
    "SpecError",
    "StudyLostError",
    "SweeperError",
    "TrialError",
    "UnwritableError",
]


# Characters of a reason: a library's words may quote all of a value.
MAX_REASON = 300
# Characters of a message: a file may hold anything, and be repeated in it.
_LONGEST = 600
_LONGEST_IN_ALL = 3000


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
        lines = [f"{shorten(source, limit=_LONGEST)}: {len(self.problems)} {noun}"]
        for number, problem in enumerate(self.problems):
            path = shorten(problem.path, limit=200)
            text = str(Problem(path, shorten(problem.message, limit=_LONGEST)))
            if number and sum(map(len, lines)) + len(text) > _LONGEST_IN_ALL:
                lines.append(f"  and {len(self.problems) - number} more; correct these first")
                break
            lines.append(f"  {text}")
        super().__init__("\n".join(lines))


class MissingError(BadInputError):
    """A package, model or file is missing; the message names the one command that gets it."""


class NameTakenError(BadInputError):
    """There is a sweep of that name already."""


class DataError(BadInputError):
    """Data was found but cannot be used: empty, unreadable, or without the fields asked for."""

    def __init__(self, message: str) -> None:
        """Takes the message; a row may hold anything, and be repeated in it."""
        is_long = len(message) > _LONGEST_IN_ALL
        super().__init__(shorten(message, limit=_LONGEST_IN_ALL) if is_long else message)


class DamagedFileError(BadInputError):
    """A file of a sweep is not what was written there: cut, changed, or of a newer version."""

    def __init__(self, path: Path, why: str) -> None:
        """Names the file and says what is wrong with it, in a few words."""
        self.path = path
        self.why = why if len(why) <= MAX_REASON else f"{why[:MAX_REASON]} …"
        super().__init__(
            f"{path} is damaged, or of a newer version: {self.why}; a file of a sweep is written "
            "whole and by the program alone; restore it from a copy; what a trial has lost "
            "'resume' does again"
        )

    def __reduce__(self) -> tuple[type[DamagedFileError], tuple[Path, str]]:
        return (DamagedFileError, (self.path, self.why))


class UnwritableError(SweeperError, OSError):
    """A file of a sweep cannot be written: there is no room, or it is read-only, or in use."""

    def __init__(self, path: Path, why: str) -> None:
        """Names the file and says why, in a few words."""
        self.path = path
        self.why = why if len(why) <= MAX_REASON else f"{why[:MAX_REASON]} …"
        super().__init__(f"{path}: {self.why}")

    def __reduce__(self) -> tuple[type[UnwritableError], tuple[Path, str]]:
        return (UnwritableError, (self.path, self.why))


class PoolLostError(SweeperError):
    """The process that hands trials to the replicas has died, or does not answer."""


class StudyLostError(SweeperError):
    """The shared database of a study has gone away, or refuses what it is asked."""

    def __init__(self, place: str, why: str) -> None:
        """Names the database, without a password, and says what it has said."""
        self.place = place
        self.why = why
        super().__init__(f"the study's database {place} cannot be used any more ({why})")

    def __reduce__(self) -> tuple[type[StudyLostError], tuple[str, str]]:
        return (StudyLostError, (self.place, self.why))


class AdapterError(BadInputError):
    """The files of a trained adapter are missing, damaged, or not what the trial's method saves."""


class CountError(SweeperError):
    """A parameter count by formula differs from the counted one."""


class TrialError(SweeperError):
    """A trial failed; the sweep goes on and the record of the trial keeps the reason."""


class AttemptLostError(SweeperError):
    """Another replica has begun the trial again; this one must not write any more."""


class DivergedError(TrialError):
    """The loss of a trial became NaN or infinite."""


class ExportError(SweeperError):
    """An adapter could not be exported, or its export does not give the same outputs."""
