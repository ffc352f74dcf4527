"""The papers' tasks by name: a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sweeper._text import nearest
from sweeper.data.tasks.bbh import BBH, BBH_FREE
from sweeper.data.tasks.code import CODEFEEDBACK, HUMANEVAL
from sweeper.data.tasks.commonsense import CLOZE, COMMONSENSE
from sweeper.data.tasks.convai2 import CONVAI2
from sweeper.data.tasks.fineval import FINEVAL
from sweeper.data.tasks.instructions import DOLLY, LAWYER_INSTRUCT, OPENORCA
from sweeper.data.tasks.maths import GSM8K, GSM8K_CHOICE, METAMATH
from sweeper.data.tasks.mmlu import MMLU, MMLU_LAW
from sweeper.data.tasks.task import Task
from sweeper.data.tasks.us_terms import US_TERMS
from sweeper.errors import DataError

__all__ = ["MIXTURES", "TASKS", "expand", "find_task", "unknown_task"]

_TASKS = (
    *(DOLLY, LAWYER_INSTRUCT, OPENORCA),
    *(GSM8K, GSM8K_CHOICE, METAMATH),
    *(MMLU, MMLU_LAW),
    *(BBH, BBH_FREE),
    *COMMONSENSE,
    *CLOZE,
    *(CODEFEEDBACK, HUMANEVAL),
    CONVAI2,
    FINEVAL,
    US_TERMS,
)

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
"""All tasks, by name."""

MIXTURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "commonsense": tuple(task.name for task in COMMONSENSE),
        "commonsense_cloze": tuple(task.name for task in CLOZE),
    }
)
"""Names that stand for several tasks."""


def find_task(name: str) -> Task:
    """Returns the task of a name.

    Raises:
        DataError: there is none.
    """
    if name not in TASKS:
        raise DataError(unknown_task(name, known=tuple(TASKS)))
    return TASKS[name]


def expand(name: str) -> tuple[Task, ...]:
    """Returns the tasks that a name stands for: one, or those of a mixture.

    Raises:
        DataError: there is no such name.
    """
    if name not in MIXTURES and name not in TASKS:
        raise DataError(unknown_task(name))
    return tuple(TASKS[member] for member in MIXTURES.get(name, (name,)))


def unknown_task(name: str, known: tuple[str, ...] = (*MIXTURES, *TASKS)) -> str:
    """Returns the message that says that there is no task ``name``."""
    return f"unknown task {name!r}; known: {', '.join(sorted(known))}{nearest(name, list(known))}"
