"""The protocol of an evaluation, for the record."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.data.questions import Question, rows_by_task, split_by_room
from sweeper.evaluation.answers import GenerationSettings
from sweeper.experiment.trial import EvaluationSpec, TrainSpec
from sweeper.models.frozen import FrozenBase
from sweeper.models.inspection import positions_of

__all__ = ["generation_settings", "protocol_of", "rung_protocol"]


def generation_settings(
    base: FrozenBase, spec: EvaluationSpec, *, max_length: int, virtual_tokens: int = 0
) -> GenerationSettings:
    """Returns the settings of generation with a base's model.

    Args:
        base: with its tokenizer and its domains.
        spec: of the evaluation.
        max_length: tokens after which a prompt is cut from the left.
        virtual_tokens: that a method puts before each text.
    """
    positions = positions_of(base.model.config.to_dict())
    return GenerationSettings(
        base.tokenizer,
        max_length=max_length,
        positions=None if positions is None else positions - virtual_tokens,
        spec=spec,
        domains=base.data.domains,
        uses_cache=virtual_tokens == 0,
    )


def protocol_of(
    questions: Sequence[Question], writing: GenerationSettings | None, *, max_length: int
) -> dict[str, object]:
    """Returns the protocol of an evaluation, for the record, as plain JSON.

    Args:
        questions: as :func:`sweeper.evaluation.scoring.evaluate` got them. A row whose answer does
            not fit is left out, or has no loss where the answer is generated.
        writing: as :func:`sweeper.evaluation.scoring.evaluate` got it.
        max_length: tokens after which a prompt was cut from the left.
    """
    asked, left_out = split_by_room(questions, generates=writing is not None)
    return {
        "rows": len(asked),
        "rows_left_out": len(left_out),
        "rows_without_loss": sum(not question.candidates for question in asked),
        "task_rows": _of_tasks(asked),
        "task_rows_left_out": _of_tasks(left_out),
        "by_likelihood_of_choices": sum(question.is_choice for question in asked),
        "generation": {} if writing is None else writing.settings(asked),
        "max_length": max_length,
        **_own_metrics(asked, writing),
    }


def _own_metrics(
    questions: Sequence[Question], writing: GenerationSettings | None
) -> dict[str, object]:
    """Returns the metrics of data that is not made of tasks, and which functions they are."""
    others = [question.example for question in questions if not question.example.task]
    names = dict.fromkeys(name for example in others for name in example.metrics)
    functions = [x for x in writing.spec.functions if x.name in names] if writing else []
    own = {function.name: function.model_dump(mode="json") for function in functions}
    return ({"metrics": list(names)} if names else {}) | ({"functions": own} if own else {})


def _of_tasks(questions: Sequence[Question]) -> dict[str, int]:
    return {task: count for task, count in rows_by_task(questions).items() if task}


def rung_protocol(base: FrozenBase, train: TrainSpec, spec: EvaluationSpec) -> dict[str, object]:
    """Returns the protocol of the evaluations during training, for the record.

    Args:
        base: with the data of the sweep.
        train: what all trials have in common.
        spec: of the evaluation.
    """
    length = train.max_length
    questions = base.data.questions(max_length=length, count=train.eval_examples)
    writing = generation_settings(base, spec, max_length=length) if spec.generates else None
    return {
        "split": "validation",
        "rows_in_split": len(base.data.splits.validation),
        **protocol_of(questions, writing, max_length=length),
    }
