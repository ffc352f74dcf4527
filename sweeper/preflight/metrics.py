"""Checks that the metrics of a sweep can be computed, and score its rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice

from sweeper.data import DataSpec, Example, Splits, TasksDataSpec
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.evaluation.measures import WrittenMetrics, reference_of
from sweeper.evaluation.metrics import METRICS, Metric
from sweeper.evaluation.metrics.pass_at_1 import ProgrammingProblem
from sweeper.evaluation.metrics.python_function import load_function
from sweeper.experiment.trial import EvaluationSpec

__all__ = ["require_metrics", "require_scorable"]

logger = logging.getLogger(__name__)

# A text that each metric of texts can read: a number for one, an option for another.
_TEXT = ["answer1"]
# Right answers that metrics are tried on: what does not fit a metric mostly shows soon.
_TRIED = 64


def require_metrics(data: DataSpec, spec: EvaluationSpec, *, has_final: bool) -> None:
    """Computes each metric of the data's tasks on one text, before hours are spent on training.

    A warning names those that need an encoder and will not be computed without one. Of other data
    it computes those of ``evaluation.metrics``, and loads those that are Python functions.

    Args:
        data: what the trials are trained and evaluated on.
        spec: how they are evaluated.
        has_final: whether there is an evaluation after the search.

    Raises:
        BadInputError: the encoder has no such layer, a function cannot be loaded, or a metric of
            ``evaluation.metrics`` needs an encoder and there is none.
        MissingError: what a metric needs is not installed, or the encoder is not there.
        SweeperError: programs cannot be run safely on this machine.
    """
    if not isinstance(data, TasksDataSpec):
        _require_own(spec, has_final=has_final)
        return
    tasks = [*(data.trained() if spec.generates else ()), *(data.evaluated() if has_final else ())]
    measures = WrittenMetrics(spec)
    metrics = [METRICS[name] for name in sorted({n for task in tasks for n in task.metrics})]
    for found in metrics:
        if found.takes == "programs":
            problem = ProgrammingProblem(
                "def one():\n", "one", "def check(candidate):\n    candidate()\n"
            )
            found.measure(["    return 1\n"], [problem])
        elif found.takes in {"texts", "encoder"}:
            measures.of_texts(found, _TEXT, _TEXT)
    left_out = [found.name for found in metrics if not measures.has(found.name)]
    if left_out:
        logger.warning(
            "evaluation.encoder is null, and without an encoder these metrics are not computed: "
            "%s; to compute them: hf download roberta-large --local-dir FOLDER, then --set "
            "evaluation.encoder=FOLDER --set evaluation.encoder_layer=17",
            ", ".join(left_out),
        )


def _require_own(spec: EvaluationSpec, *, has_final: bool) -> None:
    """Looks whether the metrics that a sweep names can be computed at all."""
    measures = WrittenMetrics(spec)
    for found in _with_parts(spec, measures):
        if not measures.has(found.name):
            raise _refused(
                f"{found.name} needs an encoder, and evaluation.encoder is null; it must be a "
                "folder with one; run: hf download roberta-large --local-dir FOLDER, then --set "
                "evaluation.encoder=FOLDER --set evaluation.encoder_layer=17, or leave it out"
            )
        if found.takes in {"texts", "encoder"} and found.name in METRICS:
            measures.of_texts(found, _TEXT, _TEXT)
    for function in spec.functions:
        load_function(function)
    if not has_final and not spec.generates and _written(spec, measures):
        logger.warning(
            "evaluation.metrics names metrics of generated answers, and no evaluation generates "
            "any: final.trials is 0 and evaluation.generates is false; set one of them"
        )


def _with_parts(spec: EvaluationSpec, measures: WrittenMetrics) -> list[Metric]:
    """Returns the metrics that a sweep names, and those that they are made of."""
    named = [measures.find(name) for name in spec.metric_names]
    return [*named, *(METRICS[part] for found in named for part in found.parts)]


def _written(spec: EvaluationSpec, measures: WrittenMetrics) -> list[Metric]:
    """Returns the metrics of written answers that a sweep names."""
    named = [measures.find(name) for name in spec.metric_names]
    return [found for found in named if found.takes not in {"choices", "losses"}]


def require_scorable(splits: Splits, spec: EvaluationSpec) -> None:
    """Looks whether the metrics of ``evaluation.metrics`` score the rows that there are.

    A function of one's own is called with the first right answer, as what was written and as what
    should have been.

    Args:
        splits: of data that is not made of tasks; nothing is looked at where no metric is named.
        spec: of the evaluation.

    Raises:
        BadInputError: a metric does not, or a function does not return what it must.
    """
    if not spec.metrics:
        return
    rows = (*splits.validation, *splits.test)
    if "choice" in spec.metric_names and not any(row.scoring == "choice" for row in rows):
        raise _refused(
            "choice is the share of questions of which the likeliest option is right, and no row "
            "has options; it needs rows with options (data.format: {name: choices}); leave choice "
            "out"
        )
    measures = WrittenMetrics(spec)
    written = _written(spec, measures)
    if written and any(row.is_document for row in rows):
        raise _refused(
            f"{written[0].name} scores answers, and the rows are plain text, in which nothing is "
            "asked; perplexity and eval_loss score them; leave it out, or use rows with a question "
            "and an answer"
        )
    for found in written:
        if found.takes == "texts":
            is_own = found.name not in METRICS
            _try(found, measures, list(islice(_right(rows), 1 if is_own else _TRIED)))


def _right(rows: Sequence[Example]) -> Iterable[str]:
    return (reference_of(row) for row in rows)


def _try(found: Metric, measures: WrittenMetrics, texts: Sequence[str]) -> None:
    """Measures right answers as if they had been written."""
    try:
        measures.of_texts(found, texts, texts)
    except BadInputError as error:
        raise _refused(f"{found.name} cannot score the rows: {error}") from error


def _refused(message: str) -> SpecError:
    return SpecError("evaluation", [Problem("evaluation.metrics", message)])
