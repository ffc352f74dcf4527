"""BLEU-4 of a corpus, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.estimates import Estimate, jackknife_estimate
from sweeper.evaluation.metrics.inputs import import_library, require_pairs

__all__ = ["bleu"]

ORDERS = 4
"""Longest n-gram that is counted."""


def bleu(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns BLEU-4 of the corpus, from 0 to 1, as sacrebleu has it (13a, smoothing exp).

    It is no mean over sentences; its standard error is that of the jackknife, from BLEU without
    each of them.

    Raises:
        BadInputError: predictions and references do not belong together.
        MissingError: sacrebleu is not installed.
    """
    require_pairs(predictions, references, "predictions and references")
    scorer = import_library("sacrebleu.metrics", metric="bleu").BLEU(max_ngram_order=ORDERS)
    value = scorer.corpus_score(list(predictions), [list(references)]).score / 100
    counts = _counts(predictions, references)
    total = [sum(column) for column in zip(*counts, strict=True)]
    without = [_bleu_of([a - b for a, b in zip(total, own, strict=True)]) for own in counts]
    return jackknife_estimate(value, without)


def _counts(predictions: Sequence[str], references: Sequence[str]) -> list[list[int]]:
    """Returns what a corpus is summed up from: right and all n-grams, both lengths, [N, 10]."""
    # Effective order changes the score of a sentence, which nobody reads, and not its counts.
    scorer = import_library("sacrebleu.metrics", metric="bleu").BLEU(
        max_ngram_order=ORDERS, effective_order=True
    )
    found = []
    for got, want in zip(predictions, references, strict=True):
        score = scorer.sentence_score(got, [want])
        found.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return found


def _bleu_of(counts: list[int]) -> float:
    scorer = import_library("sacrebleu.metrics", metric="bleu").BLEU
    score = scorer.compute_bleu(
        correct=counts[:ORDERS],
        total=counts[ORDERS : 2 * ORDERS],
        sys_len=counts[-2],
        ref_len=counts[-1],
        smooth_method="exp",
    )
    return float(score.score) / 100
