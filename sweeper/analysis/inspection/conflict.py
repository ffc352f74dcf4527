"""Whether tasks pull the trained parameters in different directions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr

from sweeper._text import count
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
from sweeper.analysis.statistics.multiplicity import holm_adjusted

__all__ = ["conflict_of"]

# Of the family of all pairs.
ALPHA = 0.05
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
    pairs = _with_holm(
        [
            TaskPair(first=names[s], second=names[t], cosine=Measured.of(found.cosines[s][t]))
            for s, t in itertools.combinations(range(len(names)), 2)
        ]
    )
    return {
        "layers": [],
        "modules": [],
        "rows": batches.rows,
        "batches": BATCHES,
        "parameters": sum(parameter.numel() for parameter in parameters),
        "tasks": [
            TaskGradient(task=task, rows=size, norm=norm, is_told=is_told)
            for task, size, norm, is_told in zip(
                names, sizes, found.norms, found.are_told, strict=True
            )
        ],
        "pairs": pairs,
        "statements": [_said(pairs)],
    }


def _with_holm(pairs: Sequence[TaskPair]) -> list[TaskPair]:
    """Returns the pairs with a p each, adjusted for the number of those that are told."""
    p = {}
    for place, pair in enumerate(pairs):
        if pair.cosine.value is not None and pair.cosine.se:
            ratio = pair.cosine.value / pair.cosine.se
            p[place] = 2 * float(stdtr(BATCHES - 1, -abs(ratio)))
    adjusted = dict(zip(p, holm_adjusted(np.array(list(p.values()))).tolist(), strict=True))
    return [
        pair.model_copy(update={"p_holm": adjusted.get(place)}) for place, pair in enumerate(pairs)
    ]


def _said(pairs: Sequence[TaskPair]) -> str:
    told = [pair for pair in pairs if pair.p_holm is not None and pair.p_holm < ALPHA]
    against = sum((pair.cosine.value or 0) < 0 for pair in told)
    noise = sum(pair.cosine.value is None for pair in pairs)
    open_ = len(pairs) - len(told) - noise
    return (
        f"Of {count(len(pairs), 'pair')} of tasks {against} pull against each other, "
        f"{len(told) - against} in one direction, {open_} are not told from 0, and of {noise} a "
        f"gradient is not told from noise ({BATCHES} batches each, Holm at 95 %)."
    )
