"""Metrics with standard errors: of known answers by likelihood, of written ones by content."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sweeper.frozen import Base
from sweeper.likelihood import Forward, Score, can_share_prompts, score_candidates
from sweeper.metrics import Estimate
from sweeper.questions import Question
from sweeper.spec import EvaluationSpec, TrainSpec
from sweeper.task_scores import task_estimates
from sweeper.written import Measures, Writing, on_first_worker, write_answers

if TYPE_CHECKING:
    import torch

__all__ = [
    "evaluate",
    "evaluate_base",
    "frozen_forward",
    "protocol_of",
    "rung_protocol",
    "writing_of",
]

# What no report shows: the terms of other metrics.
TERMS = ("nats", "tokens")


def evaluate(
    forward: Forward,
    questions: Sequence[Question],
    *,
    pad_id: int,
    device: torch.device,
    shares_prompts: bool = False,
    writing: Writing | None = None,
) -> dict[str, float]:
    """Returns the metrics of a model on some questions, the same on all workers.

    * ``eval_loss``: mean over the examples of the loss per token of the right answer.
    * ``accuracy``: whether the candidate of the highest log-probability is right. The end-of-text
      token does not count, as in lm-evaluation-harness's ``acc``: a base that was never told where
      an answer ends would look worse than it is. Without candidates, whether greedy decoding gives
      exactly the answer, its end included. Of data made of tasks it is as
      :mod:`sweeper.task_scores` has it, and its names come besides.
    * ``accuracy_per_character``: the same by the log-probability divided by the text's characters;
      only where all questions have candidates.
    * ``accuracy/<domain>`` where there is more than one domain, and no task.
    * ``<metric>_se``: standard error of each of these means over the examples.

    The batches do not depend on the number of workers, which take turns, so the numbers do not
    either. Each worker runs equally many forward passes, as ZeRO-3 needs. No gradient is recorded
    and the mode of the model is left alone: both are the caller's business.

    Args:
        forward: the model, in evaluation mode, with gradients off.
        questions: at least one.
        pad_id: token that fills up shorter rows.
        device: where the model lives.
        shares_prompts: whether the model may be asked for all candidates of a question in one row,
            see :func:`sweeper.likelihood.can_share_prompts`.
        writing: how answers are written that are scored so; where None, none is.

    Raises:
        SweeperError: what was written could not be measured.
    """
    scores = score_candidates(
        forward,
        [question.candidates for question in questions],
        pad_id=pad_id,
        device=device,
        shares_prompts=shares_prompts,
    )
    answered = [_answer(q, found) for q, found in zip(questions, scores, strict=True)]
    has_tasks = any(question.example.task for question in questions)
    metrics: dict[str, float] = {}
    for name in answered[0]:
        is_told = name not in TERMS and not (has_tasks and name == "accuracy")
        if is_told and all(name in found for found in answered):
            _add_mean(metrics, name, [found[name] for found in answered])
    if not has_tasks:
        _add_parts(metrics, "accuracy", answered, [question.domain for question in questions])
        return metrics
    tasks = [question.example.task for question in questions]
    for task in sorted(set(tasks)):
        chosen = [a["eval_loss"] for a, name in zip(answered, tasks, strict=True) if name == task]
        _add_mean(metrics, f"{task}/loss", chosen)
    for name, value in _estimates(forward, questions, answered, writing, device=device).items():
        metrics[name] = value.value
        if value.standard_error is not None:
            metrics[f"{name}_se"] = value.standard_error
    return metrics


def frozen_forward(base: Base) -> Forward:
    """Returns the frozen model as :func:`evaluate` takes it."""

    def forward(*, domains: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        del domains  # the frozen model treats all alike
        logits: torch.Tensor = base.model(**inputs).logits
        return logits

    return forward


def evaluate_base(
    base: Base,
    *,
    max_length: int,
    count: int | None = None,
    split: str = "validation",
    spec: EvaluationSpec | None = None,
) -> dict[str, float]:
    """Returns the metrics of the frozen model on the questions that the trials get.

    Args:
        base: not in use by a trial.
        max_length: tokens after which a prompt is cut from the left.
        count: examples, as ``train.eval_examples``; all of the split where None.
        split: ``validation`` or ``test``.
        spec: of the evaluation; its defaults where None.
    """
    import torch

    spec = spec or EvaluationSpec()
    with torch.no_grad():
        return evaluate(
            frozen_forward(base),
            base.questions(max_length=max_length, count=count, split=split),
            pad_id=base.pad_id,
            device=base.device,
            shares_prompts=can_share_prompts(base.model.config, max_length=max_length),
            writing=writing_of(base, spec, max_length=max_length) if spec.generates else None,
        )


def writing_of(
    base: Base, spec: EvaluationSpec, *, max_length: int, virtual_tokens: int = 0
) -> Writing:
    """Returns how the model of a base writes answers.

    Args:
        base: with its tokenizer and its domains.
        spec: of the evaluation.
        max_length: tokens after which a prompt is cut from the left.
        virtual_tokens: that a method puts before each text.
    """
    positions = getattr(base.model.config, "max_position_embeddings", None)
    return Writing(
        base.tokenizer,
        max_length=max_length,
        positions=None if positions is None else positions - virtual_tokens,
        spec=spec,
        domains=base.domains,
        uses_cache=virtual_tokens == 0,
    )


def protocol_of(
    questions: Sequence[Question], writing: Writing | None, *, max_length: int
) -> dict[str, object]:
    """Returns, for the record, what was asked and how, as plain JSON.

    Args:
        questions: that were asked.
        writing: as :func:`evaluate` got it.
        max_length: tokens after which a prompt was cut from the left.
    """
    examples = [question.example for question in questions]
    tasks = [example.task for example in examples if example.task]
    return {
        "rows": len(examples),
        "task_rows": {task: tasks.count(task) for task in sorted(set(tasks))},
        "by_likelihood_of_choices": sum(question.is_choice for question in questions),
        "generation": {} if writing is None else writing.settings(examples),
        "max_length": max_length,
    }


def rung_protocol(base: Base, train: TrainSpec, spec: EvaluationSpec) -> dict[str, object]:
    """Returns, for the record, what the trials of a sweep are asked while they train, and how.

    Args:
        base: with the data of the sweep.
        train: what all trials have in common.
        spec: of the evaluation.
    """
    length = train.max_length
    questions = base.questions(max_length=length, count=train.eval_examples)
    writing = writing_of(base, spec, max_length=length) if spec.generates else None
    return {
        "split": "validation",
        "rows_in_split": len(base.splits.validation),
        **protocol_of(questions, writing, max_length=length),
    }


def _estimates(
    forward: Forward,
    questions: Sequence[Question],
    answered: Sequence[Mapping[str, float]],
    writing: Writing | None,
    *,
    device: torch.device,
) -> dict[str, Estimate]:
    written, measures = {}, None
    if writing is not None:
        written = write_answers(forward, questions, writing, device=device)
        measures = Measures(writing.spec, device=device)

    def measure(name: str, members: Sequence[int]) -> Estimate | None:
        if measures is None or any(index not in written for index in members):
            return None
        texts = [written[i].text for i in members]
        return measures.of(name, [questions[i] for i in members], texts)

    def work() -> dict[str, Estimate]:
        return task_estimates(questions, answered, measure=measure)

    return on_first_worker(work) if written else work()


def _add_parts(
    metrics: dict[str, float],
    name: str,
    answered: Sequence[Mapping[str, float]],
    parts: Sequence[str],
) -> None:
    """Adds a metric by part, where there is more than one."""
    for part in sorted(set(parts)) if len(set(parts)) > 1 else ():
        chosen = [found[name] for found, own in zip(answered, parts, strict=True) if own == part]
        _add_mean(metrics, f"{name}/{part}", chosen)


def _add_mean(metrics: dict[str, float], name: str, values: Sequence[float]) -> None:
    import numpy as np

    # A diverged model's losses may be infinite, or overflow when squared; the caller will see.
    with np.errstate(all="ignore"):
        metrics[name] = float(np.mean(values))
        if len(values) > 1:
            metrics[f"{name}_se"] = float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _answer(question: Question, scores: Sequence[Score]) -> dict[str, float]:
    """Returns the metrics of one question from the scores of its candidates."""
    gold = scores[question.gold]
    found = {
        "eval_loss": gold.loss / gold.tokens,
        "nats": gold.loss,
        "tokens": float(gold.tokens),
    }
    if not question.is_choice:
        return {**found, "accuracy": float(gold.is_greedy)}
    best = min(range(len(scores)), key=lambda i: scores[i].text_loss)
    found["accuracy"] = float(best == question.gold)
    by_character = [s.text_loss / n for s, n in zip(scores, question.characters, strict=True)]
    best = min(range(len(scores)), key=by_character.__getitem__)
    return {**found, "accuracy_per_character": float(best == question.gold)}
