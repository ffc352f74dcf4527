"""Checks that the data has the tasks that a method needs."""

from __future__ import annotations

from sweeper.data import DataSpec
from sweeper.errors import Problem, SpecError
from sweeper.experiment.space.space import Space

__all__ = ["require_tasks"]


def require_tasks(space: Space, data: DataSpec) -> None:
    """Reads the data's domains where a method of the space needs task ids.

    Args:
        space: of the sweep.
        data: what all trials are trained on; read only where a method needs it.

    Raises:
        SpecError: the data has no tasks, or not those of the method.
        DataError: the data cannot be read.
    """
    methods = [
        (space.trial(point).method, space.method(str(point["method"])).path)
        for _, point in space.corners()
    ]
    needing = [(method, path) for method, path in methods if method.needs_task_ids]
    if not needing:
        return
    domains = data.load().domains()
    problems = []
    for method, path in needing:
        try:
            method.task_ids(domains)
        except ValueError as error:
            problems.append(Problem(".".join(path), str(error)))
    if problems:
        raise SpecError("data", list(dict.fromkeys(problems)))
