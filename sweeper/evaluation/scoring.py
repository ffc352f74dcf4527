"""Metrics with standard errors: of known answers by likelihood, of generated ones by content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sweeper.data.questions import Question, split_by_room
from sweeper.data.row_order import row_order
from sweeper.data.tokens.encoding import Tokens
from sweeper.distributed import on_first_worker
from sweeper.errors import SweeperError
from sweeper.estimates import Estimate, mean_estimate, to_metrics
from sweeper.evaluation.answers import GenerationSettings, write_answers
from sweeper.evaluation.generation import Generation
from sweeper.evaluation.likelihood import (
    CandidateScore,
    Forward,
    can_share_prompts,
    score_candidates,
)
from sweeper.evaluation.measures import WrittenMetrics
from sweeper.evaluation.own_scores import own_estimates
from sweeper.evaluation.protocol import generation_settings
from sweeper.evaluation.task_scores import task_estimates
from sweeper.experiment.trial import EvaluationSpec
from sweeper.models.frozen import FrozenBase
from sweeper.tracking.row_scores import RowScores

if TYPE_CHECKING:
    import torch

__all__ = [
    "RowBlocks",
    "answer_of",
    "estimates_of",
    "evaluate",
    "evaluate_base",
    "evaluate_on",
    "frozen_forward",
]


@dataclass(frozen=True)
class RowBlocks:
    """Rows that are asked a block at a time, for as long as somebody wants to know more."""

    rows: Sequence[Sequence[int]]
    """Of each block, from 0; together all rows that have a loss, each once."""
    goes_on: Callable[[Mapping[int, float]], bool]
    """Takes the losses so far by row, after each block but the last, and returns whether the next
    one is asked. It must say the same on all workers."""


def evaluate(
    forward: Forward,
    questions: Sequence[Question],
    *,
    pad_id: int,
    device: torch.device,
    shares_prompts: bool = False,
    writing: GenerationSettings | None = None,
    blocks: RowBlocks | None = None,
) -> dict[str, Estimate]:
    """Returns the metrics of a model on some questions by name, the same on all workers.

    * ``eval_loss``: mean over the examples of the loss per token of the right answer. An example
      that is scored by its generated answer has no loss if the reference answer does not fit.
    * ``accuracy``: whether the candidate of the highest log-probability is right. The end-of-text
      token does not count, as in lm-evaluation-harness's ``acc``: a base that was never told where
      an answer ends would look worse than it is. Without candidates, whether greedy decoding gives
      exactly the answer, its end included. Of data made of tasks it is as
      :mod:`sweeper.evaluation.task_scores` has it, of other data with metrics as
      :mod:`sweeper.evaluation.own_scores` has it, and the names there come besides.
    * ``accuracy_per_character``: the same by the log-probability divided by the text's characters;
      only where all questions have candidates.
    * ``accuracy/<domain>`` where there is more than one domain, and no task.

    The batches do not depend on the number of workers, which take turns, so the numbers do not
    either; in blocks they are others, which changes the last digit of a loss. Each worker runs
    equally many forward passes, as ZeRO-3 needs. No gradient is recorded and the mode of the model
    is left alone: both are the caller's business.

    Args:
        forward: the model, in evaluation mode, with gradients off.
        questions: at least one that can be asked, see :func:`sweeper.data.questions.split_by_room`.
        pad_id: token that fills up shorter rows.
        device: where the model lives.
        shares_prompts: whether the model may be asked for all candidates of a question in one row,
            see :func:`sweeper.evaluation.likelihood.can_share_prompts`.
        writing: how answers are generated; None generates none.
        blocks: of the rows; None asks them all at once. Where it ends the evaluation before the
            last block there are no metrics: those of some rows are never taken for those of all.

    Raises:
        SweeperError: the generated answers could not be scored.
    """
    asked, _ = split_by_room(questions, generates=writing is not None)
    score = partial(
        score_candidates, forward, pad_id=pad_id, device=device, shares_prompts=shares_prompts
    )
    scores = _scores(asked, score, blocks)
    if scores is None:
        return {}
    answered = [answer_of(q, found) for q, found in zip(asked, scores, strict=True)]
    written: dict[int, Generation] = {}
    measures = None
    if writing is not None:
        written = write_answers(forward, asked, writing, device=device)
        measures = WrittenMetrics(writing.spec, device=device)

    def measure(name: str, members: Sequence[int]) -> Estimate | None:
        if measures is None or any(index not in written for index in members):
            return None
        texts = [written[i].text for i in members]
        return measures.of(name, [asked[i] for i in members], texts)

    def work() -> dict[str, Estimate]:
        return estimates_of(asked, answered, measure)

    # Metrics that run programs or encoders would cost as much again on each of the others.
    return on_first_worker(work, failure=_not_measured) if written else work()


def _scores(
    asked: Sequence[Question],
    score: Callable[[Sequence[Sequence[Tokens]]], list[list[CandidateScore]]],
    blocks: RowBlocks | None,
) -> list[list[CandidateScore]] | None:
    """Returns the scores of each question's candidates; None where the blocks end before."""
    if blocks is None:
        return score([question.candidates for question in asked])
    # A row without candidates has no loss, and none of a block.
    found: list[list[CandidateScore]] = [[] for _ in asked]
    losses: dict[int, float] = {}
    for number, rows in enumerate(blocks.rows, start=1):
        for row, own in zip(rows, score([asked[row].candidates for row in rows]), strict=True):
            found[row] = own
            losses[row] = answer_of(asked[row], own)["eval_loss"]
        if number < len(blocks.rows) and not blocks.goes_on(losses):
            return None
    return found


def _not_measured(reason: str) -> SweeperError:
    return SweeperError(f"worker 0 could not score the generated answers: {reason}")


def evaluate_on(
    base: FrozenBase,
    forward: Forward,
    questions: Sequence[Question],
    settings: GenerationSettings,
    *,
    generates: bool | None = None,
    blocks: RowBlocks | None = None,
) -> dict[str, Estimate]:
    """Returns the metrics of a model that is made of a base, as :func:`evaluate` has them.

    Args:
        base: with its device and its tokenizer.
        forward: the base, with or without an adapter.
        questions: at least one that can be asked.
        settings: how answers are generated.
        generates: whether they are; what the settings' spec says where None.
        blocks: in which rows are asked; None asks all at once.
    """
    is_generating = settings.spec.generates if generates is None else generates
    # Behind virtual tokens a prompt's keys and values cannot be shared.
    shares_prompts = settings.uses_cache and can_share_prompts(
        base.model.config, max_length=settings.max_length
    )
    return evaluate(
        forward,
        questions,
        pad_id=base.pad_id,
        device=base.device,
        shares_prompts=shares_prompts,
        writing=settings if is_generating else None,
        blocks=blocks,
    )


def frozen_forward(base: FrozenBase) -> Forward:
    """Returns the frozen model as :func:`evaluate` takes it."""

    def forward(*, domains: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        del domains  # the frozen model treats all alike
        logits: torch.Tensor = base.model(**inputs).logits
        return logits

    return forward


def evaluate_base(
    base: FrozenBase,
    *,
    max_length: int,
    count: int | None = None,
    split: str = "validation",
    spec: EvaluationSpec | None = None,
    keep: Callable[[RowScores], object] | None = None,
) -> dict[str, float]:
    """Returns the metrics of the frozen model on the trials' evaluation examples, as numbers.

    Args:
        base: not in use by a trial.
        max_length: tokens after which a prompt is cut from the left.
        count: examples, as ``train.eval_examples``; all of the split where None.
        split: ``validation`` or ``test``.
        spec: of the evaluation; its defaults where None.
        keep: takes what each row contributes.
    """
    import torch

    questions = base.data.questions(max_length=max_length, count=count, split=split)
    settings = generation_settings(base, spec or EvaluationSpec(), max_length=max_length)
    with torch.no_grad():
        found = evaluate_on(base, frozen_forward(base), questions, settings)
    if keep is not None:
        order = row_order(questions, generates=settings.spec.generates)
        keep(RowScores.of(found, order, split=split))
    return to_metrics(found)


def estimates_of(
    questions: Sequence[Question],
    answered: Sequence[Mapping[str, float]],
    measure: Callable[[str, Sequence[int]], Estimate | None],
) -> dict[str, Estimate]:
    """Returns all metrics by name.

    Args:
        questions: that were asked.
        answered: what the likelihoods say of each; nothing of one without candidates.
        measure: as :func:`sweeper.evaluation.task_scores.task_estimates` takes it.
    """
    tasks = [question.example.task for question in questions]
    is_own = not any(tasks) and any(question.example.metrics for question in questions)
    found: dict[str, Estimate] = {}
    every_row = range(len(answered))
    _add_mean(found, "eval_loss", answered, every_row)
    if not any(tasks) and not is_own:
        _add_mean(found, "accuracy", answered, every_row)
    if all("accuracy_per_character" in own for own in answered):
        _add_mean(found, "accuracy_per_character", answered, every_row)
    if is_own:
        return found | own_estimates(questions, answered, measure=measure)
    parts = tasks if any(tasks) else [question.domain for question in questions]
    for part in sorted(set(parts)):
        rows = [row for row in every_row if parts[row] == part]
        if any(tasks):
            _add_mean(found, "eval_loss", answered, rows, called=f"{part}/loss")
        elif len(rows) < len(answered):
            _add_mean(found, "accuracy", answered, rows, called=f"accuracy/{part}")
    return found | (task_estimates(questions, answered, measure=measure) if any(tasks) else {})


def _add_mean(
    found: dict[str, Estimate],
    name: str,
    answered: Sequence[Mapping[str, float]],
    rows: Sequence[int],
    *,
    called: str = "",
) -> None:
    """Adds a mean over those of the rows that have the number; none where no row has."""
    known = [row for row in rows if name in answered[row]]
    if known:
        found[called or name] = mean_estimate([answered[row][name] for row in known]).on_rows(known)


def answer_of(question: Question, scores: Sequence[CandidateScore]) -> dict[str, float]:
    """Returns what the scores of a question's candidates say; nothing where it has none."""
    if not scores:
        return {}
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
