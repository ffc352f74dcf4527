"""Checks that the metrics of the data's tasks can be computed."""

from __future__ import annotations

import logging

from sweeper.data import DataSpec, TasksDataSpec
from sweeper.evaluation.measures import WrittenMetrics
from sweeper.evaluation.metrics import METRICS
from sweeper.evaluation.metrics.pass_at_1 import ProgrammingProblem
from sweeper.experiment.trial import EvaluationSpec

__all__ = ["require_metrics"]

logger = logging.getLogger(__name__)


def require_metrics(data: DataSpec, spec: EvaluationSpec, *, has_final: bool) -> None:
    """Computes each metric of the data's tasks on one text, before hours are spent on training.

    A warning names those that need an encoder and will not be computed without one.

    Args:
        data: what the trials are trained and evaluated on.
        spec: how they are evaluated.
        has_final: whether there is an evaluation after the search.

    Raises:
        BadInputError: the encoder has no such layer.
        MissingError: what a metric needs is not installed, or the encoder is not there.
        SweeperError: programs cannot be run safely on this machine.
    """
    if not isinstance(data, TasksDataSpec):
        return
    tasks = [*(data.trained() if spec.generates else ()), *(data.evaluated() if has_final else ())]
    measures = WrittenMetrics(spec)
    # A text that each of them can read: a number for one, an option for another.
    text = ["answer1"]
    metrics = [METRICS[name] for name in sorted({n for task in tasks for n in task.metrics})]
    for found in metrics:
        if found.takes == "programs":
            problem = ProgrammingProblem(
                "def one():\n", "one", "def check(candidate):\n    candidate()\n"
            )
            found.measure(["    return 1\n"], [problem])
        elif found.takes in {"texts", "encoder"}:
            measures.of_texts(found, text, text)
    left_out = [found.name for found in metrics if not measures.has(found.name)]
    if left_out:
        logger.warning(
            "evaluation.encoder is null, and without an encoder these metrics are not computed: "
            "%s; to compute them: hf download roberta-large --local-dir FOLDER, then --set "
            "evaluation.encoder=FOLDER --set evaluation.encoder_layer=17",
            ", ".join(left_out),
        )
