"""Likelihoods of known answers, from single forward passes; a prompt is computed once for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.tokens.encoding import IGNORED_LABEL, Tokens, collate
from sweeper.distributed import rank, sum_over_ranks, workers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

__all__ = ["CandidateScore", "Forward", "answer_logits", "can_share_prompts", "score_candidates"]

Forward = Callable[..., "torch.Tensor"]
"""Takes the inputs of a causal language model by name, and ``domains``, and returns its logits."""

TOKEN_BUDGET = 4096
"""Tokens of one batch, padding included. A constant, so that all trials are rounded alike."""
# A batch that is large enough takes no row of less than this share of its longest one.
LEAST_FILLED = 0.75
# Labels whose float32 logits are there at once, besides the model's own.
LABELS = 512
# Models that tell positions by ``position_ids`` alone and take a mask for each pair of tokens.
MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3"})


@dataclass(frozen=True)
class CandidateScore:
    """What a forward pass says of one candidate."""

    loss: float
    """Summed over the answer's tokens and the end-of-text token, in nats."""
    text_loss: float
    """The same without the end-of-text token."""
    tokens: int
    is_greedy: bool
    """Whether greedy decoding gives it: each token is the likeliest after the ones before. Of a
    chat, whether it gives the last learnt turn after the ones before."""


def can_share_prompts(config: PreTrainedConfig, *, max_length: int) -> bool:
    """Returns whether a model can be asked for several answers to one prompt in one row.

    A method that puts virtual tokens before each row rules it out besides.

    Args:
        config: of the base model, as transformers has it.
        max_length: most tokens of a prompt with one answer.
    """
    window = getattr(config, "sliding_window", None)
    return (
        config.model_type in MODEL_TYPES
        and config._attn_implementation == "sdpa"
        # The mask takes the place of the window's, which must not be needed.
        and (window is None or window >= max_length)
    )


def answer_logits(
    forward: Forward, batch: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns logits and labels of the answers' tokens alone: [N, vocabulary] float32, and [N].

    The model projects on the vocabulary only where an answer's token is predicted; on the whole
    prompt that would often take more memory than all the rest.

    Args:
        forward: the model.
        batch: labels, [B, T], and what the model takes, such as input_ids and attention_mask, each
            [B, T], and domains, [B]; on the model's device.
    """
    import torch

    labels = batch["labels"][:, 1:]
    is_answer = labels != IGNORED_LABEL
    kept = torch.nn.functional.pad(is_answer, (0, 1))
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    logits = forward(**inputs, logits_to_keep=kept)
    return logits.float(), labels[is_answer]


def score_candidates(
    forward: Forward,
    candidates: Sequence[Sequence[Tokens]],
    *,
    pad_id: int,
    device: torch.device,
    shares_prompts: bool = False,
) -> list[list[CandidateScore]]:
    """Returns the scores of each question's candidates, the same on all workers.

    With shared prompts the candidates of a question stand in one row after their prompt, each at
    the positions that it would have alone, and see the prompt and themselves: what is computed is
    the same up to rounding, and a prompt is computed once. Candidates whose prompts differ, since
    a long answer has cut its own, have a row each.

    Args:
        forward: the model, in evaluation mode, with gradients off.
        candidates: of each question; one without any has no scores.
        pad_id: token that fills up shorter rows.
        device: where the model lives.
        shares_prompts: as :func:`can_share_prompts` has it.
    """
    rows: list[_Row] = []
    for found in candidates:
        rows += _rows_of(found, shares_prompts=shares_prompts)
    if not rows:
        return [[] for _ in candidates]
    numbers = iter(_share_out(forward, rows, pad_id=pad_id, device=device))
    return [[next(numbers) for _ in found] for found in candidates]


@dataclass(frozen=True)
class _Row:
    """One row of a forward pass: a prompt and what may follow it."""

    candidates: tuple[Tokens, ...]

    @property
    def is_shared(self) -> bool:
        return len(self.candidates) > 1

    @property
    def length(self) -> int:
        if not self.is_shared:
            return len(self.candidates[0].ids)
        # Nothing is predicted after an end-of-text token, so that it need not be there.
        start = self.candidates[0].answer_start
        return start + sum(len(tokens.ids) - start - 1 for tokens in self.candidates)


def _rows_of(candidates: Sequence[Tokens], *, shares_prompts: bool) -> list[_Row]:
    prompts = {tokens.ids[: tokens.answer_start] for tokens in candidates}
    # Without a prompt the first token of an answer is not predicted.
    if shares_prompts and len(prompts) == 1 and () not in prompts:
        return [_Row(tuple(candidates))]
    return [_Row((tokens,)) for tokens in candidates]


def _batches(rows: Sequence[_Row]) -> Iterator[list[int]]:
    """Yields batches of rows of like length and of one kind, within the budget or of one row."""
    batch: list[int] = []
    # From long to short, so that the last batch, which may run as a dummy, is a cheap one.
    for index in sorted(range(len(rows)), key=lambda i: (rows[i].is_shared, -rows[i].length, i)):
        if batch:
            first = rows[batch[0]]
            is_full = (len(batch) + 1) * first.length > TOKEN_BUDGET
            is_large = len(batch) * first.length >= TOKEN_BUDGET // 4
            is_mostly_padding = rows[index].length < LEAST_FILLED * first.length
            is_other_kind = first.is_shared != rows[index].is_shared
            if is_full or is_other_kind or (is_large and is_mostly_padding):
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch


def _share_out(
    forward: Forward, rows: Sequence[_Row], *, pad_id: int, device: torch.device
) -> list[CandidateScore]:
    """Returns the scores of all candidates; the workers share the work and all get all scores."""
    batches = list(_batches(rows))
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row.candidates))
    # Four numbers a candidate, zero where another worker has them, so that their sum is exact.
    found = [[0.0] * 4 for _ in range(starts[-1])]
    for turn in range(math.ceil(len(batches) / workers())):
        number = turn * workers() + rank()
        batch = batches[min(number, len(batches) - 1)]
        numbers = iter(_numbers(forward, [rows[i] for i in batch], pad_id=pad_id, device=device))
        if number < len(batches):
            for index in batch:
                for place in range(starts[index], starts[index + 1]):
                    found[place] = next(numbers)
    flat = sum_over_ranks([value for values in found for value in values], device=device)
    parts = [flat[start : start + 4] for start in range(0, len(flat), 4)]
    return [
        CandidateScore(loss, text, int(n), is_greedy=wrong == 0) for loss, text, n, wrong in parts
    ]


def _numbers(
    forward: Forward, rows: Sequence[_Row], *, pad_id: int, device: torch.device
) -> list[list[float]]:
    """Returns loss, loss without the last token, tokens, and tokens not predicted, of each."""
    import torch

    if rows[0].is_shared:
        batch = {name: x.to(device) for name, x in _packed(rows, pad_id).items()}
        logits, places = _shared_logits(forward, batch)
        labels, counts = batch["labels"], batch["counts"]
    else:
        inputs = collate([row.candidates[0] for row in rows], pad_id)
        batch = {name: x.to(device) for name, x in inputs.items()}
        logits, labels = answer_logits(forward, batch)
        places = torch.arange(len(labels), device=device)
        counts = (batch["labels"][:, 1:] != IGNORED_LABEL).sum(dim=1)
    parts = []
    for start in range(0, len(labels), LABELS):
        part, wanted = logits[places[start : start + LABELS]].float(), labels[start:][:LABELS]
        cross_entropy = torch.nn.functional.cross_entropy(part, wanted, reduction="none")
        parts.append(torch.stack((cross_entropy, (part.argmax(dim=-1) != wanted).float())))
    losses, is_wrong = torch.cat(parts, dim=1).double()
    row = torch.repeat_interleave(torch.arange(len(counts), device=labels.device), counts)
    is_wrong = is_wrong * _is_of_last_answer(rows, counts, row)
    zeros = torch.zeros(len(counts), dtype=torch.float64, device=labels.device)
    loss = zeros.index_add(0, row, losses)
    wrong = zeros.index_add(0, row, is_wrong)
    last = losses[counts.cumsum(0) - 1]
    numbers: list[list[float]] = torch.stack(
        [loss, loss - last, counts.double(), wrong], dim=1
    ).tolist()
    return numbers


def _is_of_last_answer(
    rows: Sequence[_Row], counts: torch.Tensor, row: torch.Tensor
) -> torch.Tensor:
    """Returns whether each label is of its row's last answer; of a chat's other turns it is not.

    Args:
        rows: of the batch.
        counts: labels of each candidate.
        row: of each label, the candidate that it is of.
    """
    import torch

    # Candidates that share a prompt are no chats.
    if rows[0].is_shared:
        return torch.ones_like(row, dtype=torch.bool)
    own = [one.candidates[0].last_answer_tokens for one in rows]
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    return place >= (counts - torch.tensor(own, device=row.device))[row]


def _packed(rows: Sequence[_Row], pad_id: int) -> dict[str, torch.Tensor]:
    """Returns a batch of prompts, each with all its candidates behind it.

    ``input_ids`` and ``position_ids`` are [B, T]; ``attention_mask``, [B, 1, T, T], is true where
    a token sees another; ``places`` [N] says for each label where in B * T it is predicted;
    ``labels`` is [N], ``counts`` their number for each candidate, and ``domains`` [B].
    """
    import torch

    longest = max(row.length for row in rows)
    input_ids = torch.full((len(rows), longest), pad_id, dtype=torch.int64)
    positions = torch.zeros_like(input_ids)
    # Whose token it is: the prompt's 0, a candidate's its number, the padding's none.
    owners = torch.full_like(input_ids, -1)
    places: list[int] = []
    labels: list[int] = []
    counts: list[int] = []
    for number, row in enumerate(rows):
        start = end = row.candidates[0].answer_start
        input_ids[number, :start] = torch.tensor(row.candidates[0].ids[:start])
        positions[number, :start] = torch.arange(start)
        owners[number, :start] = 0
        for owner, tokens in enumerate(row.candidates, start=1):
            answer = tokens.ids[start:]
            first, end = end, end + len(answer) - 1
            input_ids[number, first:end] = torch.tensor(answer[:-1], dtype=torch.int64)
            positions[number, first:end] = torch.arange(start, start + end - first)
            owners[number, first:end] = owner
            places += [number * longest + place for place in (start - 1, *range(first, end))]
            labels += answer
            counts.append(len(answer))
    is_own = owners[:, :, None] == owners[:, None, :]
    is_before = torch.ones(longest, longest, dtype=torch.bool).tril()
    return {
        "input_ids": input_ids,
        "position_ids": positions,
        "attention_mask": ((is_own | (owners == 0)[:, None, :]) & is_before)[:, None],
        "places": torch.tensor(places),
        "labels": torch.tensor(labels),
        "counts": torch.tensor(counts),
        "domains": torch.tensor([row.candidates[0].domain for row in rows]),
    }


def _shared_logits(
    forward: Forward, batch: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns logits where anything is predicted, and for each label which of them predict it."""
    import torch

    kept = torch.zeros_like(batch["input_ids"], dtype=torch.bool).flatten()
    kept[batch["places"]] = True
    logits = forward(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        logits_to_keep=kept.view_as(batch["input_ids"]),
        domains=batch["domains"],
    )
    # The end of a prompt predicts the first token of each of its candidates.
    return logits, kept.cumsum(0)[batch["places"]] - 1
