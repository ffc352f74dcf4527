"""Checks that the evaluations during training report the metric that a sweep optimises."""

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
    """Reads the data if a metric other than the loss is optimised, and checks that it is reported.

    Raises:
        SpecError: the evaluations during training do not report the metric; with those they do.
        DataError: the data cannot be read.
    """
    spec, wanted = sweep.spec, sweep.spec.objective.metric
    if wanted == ALWAYS:
        return
    count = sweep.space.any_trial().train.eval_examples
    splits = spec.data.load().scored_by(spec.evaluation.metric_names)
    examples = draw_examples(splits.validation, count)
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
