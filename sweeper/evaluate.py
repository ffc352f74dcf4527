"""Metrics with standard errors, from single forward passes over known answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.tokens import IGNORED_LABEL, Tokens, collate
from sweeper.frozen import Base
from sweeper.questions import Question
from sweeper.ranks import rank, sum_over_ranks, workers

if TYPE_CHECKING:
    import torch

__all__ = ["Forward", "answer_logits", "evaluate", "evaluate_base"]

Forward = Callable[..., "torch.Tensor"]
"""Takes the inputs of a causal language model by name, and ``domains``, and returns its logits."""

TOKEN_BUDGET = 4096
"""Tokens of one batch, padding included. A constant, so that all trials are rounded alike."""


@dataclass(frozen=True)
class _Score:
    """What one forward pass says of one row."""

    loss: float
    """Summed over the answer's tokens and the end-of-text token, in nats."""
    text_loss: float
    """The same without the end-of-text token."""
    tokens: int
    is_greedy: bool
    """Whether greedy decoding gives it: each token is the likeliest after the ones before."""


def answer_logits(
    forward: Forward, batch: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns logits and labels of the answers' tokens alone: [N, vocabulary] float32, and [N].

    The model projects on the vocabulary only where an answer's token is predicted; on the whole
    prompt that would often take more memory than all the rest.

    Args:
        forward: the model.
        batch: input_ids, attention_mask and labels, each [B, T], and domains, [B], on the model's
            device.
    """
    import torch

    labels = batch["labels"][:, 1:]
    is_answer = labels != IGNORED_LABEL
    kept = torch.nn.functional.pad(is_answer, (0, 1))
    logits = forward(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        logits_to_keep=kept,
        domains=batch["domains"],
    )
    return logits.float(), labels[is_answer]


def evaluate(
    forward: Forward, questions: Sequence[Question], *, pad_id: int, device: torch.device
) -> dict[str, float]:
    """Returns the metrics of a model on some questions, the same on all workers.

    * ``eval_loss``: mean over the examples of the loss per token of the right answer.
    * ``accuracy``: whether the likeliest candidate is right (summed log-probability, end-of-text
      token included, so that no answer gains by being the beginning of another); without
      candidates, whether greedy decoding gives exactly the answer.
    * ``accuracy_per_character``: the same by log-probability per character, end-of-text token not
      included; only where all questions have candidates.
    * ``accuracy/<domain>`` where there is more than one domain.
    * ``<metric>_se``: standard error of each of these means over the examples.

    The batches do not depend on the number of workers, which take turns, so the numbers do not
    either. Each worker runs equally many forward passes, as ZeRO-3 needs. No gradient is recorded
    and the mode of the model is left alone: both are the caller's business.

    Args:
        forward: the model, in evaluation mode, with gradients off.
        questions: at least one.
        pad_id: token that fills up shorter rows.
        device: where the model lives.
    """
    rows = [candidate for question in questions for candidate in question.candidates]
    scores = iter(_score(forward, rows, pad_id=pad_id, device=device))
    answered = [_answer(q, [next(scores) for _ in q.candidates]) for q in questions]
    metrics: dict[str, float] = {}
    for name in answered[0]:
        if all(name in found for found in answered):
            _add_mean(metrics, name, [found[name] for found in answered])
    domains = sorted({question.domain for question in questions})
    for domain in domains if len(domains) > 1 else ():
        chosen = [a for a, q in zip(answered, questions, strict=True) if q.domain == domain]
        _add_mean(metrics, f"accuracy/{domain}", [found["accuracy"] for found in chosen])
    return metrics


def evaluate_base(
    base: Base, *, max_length: int, count: int | None = None, split: str = "validation"
) -> dict[str, float]:
    """Returns the metrics of the frozen model on the questions that the trials get.

    Args:
        base: not in use by a trial.
        max_length: tokens after which a prompt is cut from the left.
        count: examples, as ``train.eval_examples``; all of the split where None.
        split: ``validation`` or ``test``.
    """
    import torch

    def forward(*, domains: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        del domains  # the frozen model treats all alike
        logits: torch.Tensor = base.model(**inputs).logits
        return logits

    questions = base.questions(max_length=max_length, count=count, split=split)
    with torch.no_grad():
        return evaluate(forward, questions, pad_id=base.pad_id, device=base.device)


def _add_mean(metrics: dict[str, float], name: str, values: Sequence[float]) -> None:
    import numpy as np

    # A diverged model's losses may be infinite, or overflow when squared; the caller will see.
    with np.errstate(all="ignore"):
        metrics[name] = float(np.mean(values))
        if len(values) > 1:
            metrics[f"{name}_se"] = float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _answer(question: Question, scores: Sequence[_Score]) -> dict[str, float]:
    """Returns the metrics of one question from the scores of its candidates."""
    gold = scores[question.gold]
    found = {"eval_loss": gold.loss / gold.tokens}
    if not question.is_choice:
        return {**found, "accuracy": float(gold.is_greedy)}
    best = min(range(len(scores)), key=lambda i: scores[i].loss)
    found["accuracy"] = float(best == question.gold)
    by_character = [s.text_loss / n for s, n in zip(scores, question.characters, strict=True)]
    best = min(range(len(scores)), key=by_character.__getitem__)
    return {**found, "accuracy_per_character": float(best == question.gold)}


def _batches(rows: Sequence[Tokens]) -> Iterator[list[int]]:
    """Yields batches of rows of like length, each of at most ``TOKEN_BUDGET`` tokens or one row."""
    batch: list[int] = []
    # From long to short, so that the last batch, which may run as a dummy, is a cheap one.
    for index in sorted(range(len(rows)), key=lambda i: (-len(rows[i].ids), i)):
        if batch and (len(batch) + 1) * len(rows[batch[0]].ids) > TOKEN_BUDGET:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _score(
    forward: Forward, rows: Sequence[Tokens], *, pad_id: int, device: torch.device
) -> list[_Score]:
    """Returns the score of each row; the workers share the work and all get all scores."""
    batches = list(_batches(rows))
    # Four numbers a row, zero where another worker has them, so that their sum is exact.
    found = [[0.0] * 4 for _ in rows]
    for turn in range(math.ceil(len(batches) / workers())):
        number = turn * workers() + rank()
        batch = batches[min(number, len(batches) - 1)]
        inputs = collate([rows[index] for index in batch], pad_id)
        numbers = _row_numbers(forward, {name: x.to(device) for name, x in inputs.items()})
        if number < len(batches):
            for index, values in zip(batch, numbers, strict=True):
                found[index] = values
    flat = sum_over_ranks([value for values in found for value in values], device=device)
    parts = [flat[start : start + 4] for start in range(0, len(flat), 4)]
    return [_Score(loss, text, int(n), is_greedy=wrong == 0) for loss, text, n, wrong in parts]


def _row_numbers(forward: Forward, batch: Mapping[str, torch.Tensor]) -> list[list[float]]:
    """Returns loss, loss without the last token, tokens, and tokens not predicted, of each row."""
    import torch

    logits, labels = answer_logits(forward, batch)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").double()
    is_wrong = (logits.argmax(dim=-1) != labels).double()
    counts = (batch["labels"][:, 1:] != IGNORED_LABEL).sum(dim=1)
    row = torch.repeat_interleave(torch.arange(len(counts), device=labels.device), counts)
    zeros = torch.zeros(len(counts), dtype=torch.float64, device=labels.device)
    loss = zeros.index_add(0, row, losses)
    wrong = zeros.index_add(0, row, is_wrong)
    last = losses[counts.cumsum(0) - 1]
    numbers: list[list[float]] = torch.stack(
        [loss, loss - last, counts.double(), wrong], dim=1
    ).tolist()
    return numbers
