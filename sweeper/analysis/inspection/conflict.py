"""Whether tasks pull the trained parameters in different directions."""

from __future__ import annotations

import itertools
from typing import Any

from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.measures import GradientStream, cosines_of
from sweeper.analysis.inspection.model import (
    OpenTrial,
    TaskBatches,
    mean_gradient,
    rows_by_task,
    rows_of,
    trained_parameters,
)
from sweeper.analysis.inspection.results import Measured, TaskGradient, TaskPair

__all__ = ["conflict_of"]

# Of each task; the error is a jackknife over them.
BATCHES = 8


def conflict_of(opened: OpenTrial, asked: InspectionRequest) -> dict[str, Any]:
    """Returns the fields of a :class:`Conflict` that are its own.

    Raises:
        BadInputError: there are no two tasks with rows enough.
        TrialError: a gradient is not finite.
    """
    rows = rows_of(opened, asked, least=2 * BATCHES)
    tasks = rows_by_task(rows, kind="conflict", least=BATCHES)
    batches = TaskBatches.of(tasks, batches=BATCHES)
    parameters = trained_parameters(opened)
    stream = GradientStream(len(tasks))
    for number, own in enumerate(batches.batches.values()):
        for batch in own:
            stream.add(number, mean_gradient(opened, parameters, batch))
    # A second pass instead of all gradients at once: they are as large as the adapter each.
    for same in zip(*batches.batches.values(), strict=True):
        stream.compare([mean_gradient(opened, parameters, batch) for batch in same])
    found = cosines_of(stream.products())
    names = list(tasks)
    sizes = [sum(map(len, own)) for own in batches.batches.values()]
    return {
        "layers": [],
        "modules": [],
        "rows": batches.rows,
        "batches": BATCHES,
        "parameters": sum(parameter.numel() for parameter in parameters),
        "tasks": [
            TaskGradient(task=task, rows=size, norm=norm)
            for task, size, norm in zip(names, sizes, found.norms, strict=True)
        ],
        "pairs": [
            TaskPair(first=names[s], second=names[t], cosine=Measured.of(found.cosines[s][t]))
            for s, t in itertools.combinations(range(len(names)), 2)
        ],
    }
