"""Checks that evaluations report the metric that a sweep optimises, and what it compares."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper._text import nearest
from sweeper.data import Example
from sweeper.data.questions import Question, draw_examples
from sweeper.data.tokens.encoding import Tokens
from sweeper.errors import Problem, SpecError
from sweeper.estimates import Estimate
from sweeper.evaluation.likelihood import CandidateScore
from sweeper.evaluation.measures import WrittenMetrics
from sweeper.evaluation.scoring import answer_of, estimates_of
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import EvaluationSpec

__all__ = ["metric_names", "require_objective"]

# Every evaluation in training has it: without a loss there is none, see ``Base.questions``.
ALWAYS = "eval_loss"


def require_objective(sweep: Sweep) -> None:
    """Checks that what is optimised is reported in training, and what is compared at the end.

    The data is read where either is a metric other than the loss.

    Raises:
        SpecError: a metric is not reported; with those that are.
        DataError: the data cannot be read.
    """
    spec = sweep.spec
    wanted, compared = spec.objective.metric, spec.final.metric
    if wanted == ALWAYS and compared in (None, ALWAYS):
        return
    splits = spec.data.load().scored_by(spec.evaluation.metric_names)
    if wanted != ALWAYS:
        count = sweep.space.any_trial().train.eval_examples
        _require_rungs_report(draw_examples(splits.validation, count), sweep)
    if compared is not None:
        known = metric_names(splits.test, spec.evaluation, generates=True)
        if compared not in known:
            hint = nearest(compared, list(known)) or "; name one of them"
            message = (
                f"got {compared!r}, which the evaluation of the test rows does not report; "
                f"reported are {', '.join(known)}{hint}"
            )
            raise SpecError(spec.name, [Problem("final.metric", message)])


def _require_rungs_report(examples: Sequence[Example], sweep: Sweep) -> None:
    """Raises SpecError where evaluations during training do not report the objective."""
    spec, wanted = sweep.spec, sweep.spec.objective.metric
    is_generating = spec.evaluation.generates
    known = metric_names(examples, spec.evaluation, generates=is_generating)
    if wanted in known:
        return
    if wanted in metric_names(examples, spec.evaluation, generates=True):
        hint = (
            "; it scores generated answers: set evaluation.generates to true, or choose another "
            "metric"
        )
    else:
        hint = nearest(wanted, list(known)) or "; name one of them"
    message = (
        f"got {wanted!r}, which evaluations during training do not report; the search needs it at "
        f"every evaluation; reported are {', '.join(known)}{hint}"
    )
    raise SpecError(spec.name, [Problem("objective.metric", message)])


def metric_names(
    examples: Sequence[Example], spec: EvaluationSpec, *, generates: bool
) -> tuple[str, ...]:
    """Returns the names of the metrics that an evaluation has of examples, without ``_se``.

    No model is asked: they are what :func:`sweeper.evaluation.scoring.estimates_of` makes of
    scores that say nothing. That each answer has room is taken for granted.

    Args:
        examples: at least one.
        spec: of the evaluation.
        generates: whether answers are written.
    """
    row, score = Tokens(ids=(), answer_start=0), CandidateScore(0.0, 0.0, tokens=1, is_greedy=False)
    questions, answered = [], []
    for example in examples:
        count = len(example.candidates)
        questions.append(Question((row,) * count, (1,) * count, 0, example))
        answered.append(answer_of(questions[-1], (score,) * count))
    measures = WrittenMetrics(spec)

    def measure(name: str, members: Sequence[int]) -> Estimate | None:
        is_written = generates and all(examples[index].is_written for index in members)
        return Estimate(0.0, None, len(members)) if is_written and measures.has(name) else None

    return tuple(estimates_of(questions, answered, measure))
