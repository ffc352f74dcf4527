"""The page on the tasks."""

from __future__ import annotations

from sweeper_docs.markdown import code, page, table
from sweeper_docs.project import MIXTURES, TASKS, Task

__all__ = ["tasks_page"]

_INTRODUCTION = """
`data: {kind: tasks, train: [dolly], evaluate: [mmlu]}` names tasks of this page. Their fields are
those of [data of kind tasks](profile.md#data-of-kind-tasks). None of the data comes with this
project: a task reads the files of the third column below `data.root` or `SWEEPER_DATA`, else the
folder `<root>/<owner>/<name>` in the Hub's layout, and without a root the Hub. The licence is
that of the data, as its authors state it.
"""
_MIXTURES = "A mixture stands for several tasks wherever a task may be named."
_METRICS = "The main metric of a task stands first. `choice` ranks the options by their likelihood."


def tasks_page() -> str:
    """Returns the page."""
    mixtures = [(code(name), ", ".join(map(code, names))) for name, names in MIXTURES.items()]
    return page(
        "Tasks",
        _INTRODUCTION,
        f"## All tasks\n\n{_METRICS}\n\n"
        + table(
            ("task", "what is asked", "trained", "tested by", "licence"), map(_row, TASKS.values())
        ),
        "## Sources\n\n"
        + table(
            ("task", "on the Hub", "local files", "described in"), map(_sources, TASKS.values())
        ),
        f"## Mixtures\n\n{_MIXTURES}\n\n" + table(("mixture", "tasks"), mixtures),
    )


def _row(task: Task) -> tuple[str, ...]:
    has = _splits(task)
    # Where there are no training rows, a part of the test rows takes their place.
    trained = "yes" if "train" in has else "a share of the test rows" if task.held_out else "no"
    tested = ", ".join(map(code, task.metrics)) if has & {"test", "validation"} else "no"
    return (code(task.name), task.summary, trained, tested, task.licence)


def _splits(task: Task) -> set[str]:
    """Returns the splits that some source of a task has."""
    return set(task.files) | set(task.hub.splits if task.hub else ())


def _sources(task: Task) -> tuple[str, ...]:
    hub = code(task.hub.name) if task.hub else "–"
    patterns = [files.pattern for files in task.files.values()]
    return (code(task.name), hub, ", ".join(map(code, patterns)) or "–", task.citation)
