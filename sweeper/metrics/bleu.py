"""BLEU-4 of a corpus, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.metrics.estimates import Estimate, library, require_pairs

__all__ = ["bleu"]

RESAMPLES = 1000
SEED = 20240229
"""Draws the sentences of each resample: the same texts always have the same standard error."""
ORDERS = 4
"""Longest n-gram that is counted."""


def bleu(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns BLEU-4 of the corpus, from 0 to 1, as sacrebleu has it (13a, smoothing exp).

    It is no mean over sentences. Its standard error is the deviation of BLEU over 1000 corpora of
    as many sentences, drawn with replacement (Koehn 2004, "Statistical significance tests for
    machine translation evaluation").

    Raises:
        BadInputError: predictions and references do not belong together.
        MissingError: sacrebleu is not installed.
    """
    require_pairs(predictions, references, "predictions and references")
    import numpy as np

    scorer = library("sacrebleu.metrics", metric="bleu").BLEU(max_ngram_order=ORDERS)
    value = scorer.corpus_score(list(predictions), [list(references)]).score / 100
    if len(predictions) == 1:
        return Estimate(value, None, 1)
    counts = np.array(_counts(predictions, references))
    drawn = np.random.default_rng(SEED).integers(len(counts), size=(RESAMPLES, len(counts)))
    resampled = [_bleu_of(counts[chosen].sum(axis=0).tolist()) for chosen in drawn]
    return Estimate(value, float(np.std(resampled, ddof=1)), len(predictions))


def _counts(predictions: Sequence[str], references: Sequence[str]) -> list[list[int]]:
    """Returns what a corpus is summed up from: right and all n-grams, both lengths, [N, 10]."""
    # Effective order changes the score of a sentence, which nobody reads, and not its counts.
    scorer = library("sacrebleu.metrics", metric="bleu").BLEU(
        max_ngram_order=ORDERS, effective_order=True
    )
    found = []
    for got, want in zip(predictions, references, strict=True):
        score = scorer.sentence_score(got, [want])
        found.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return found


def _bleu_of(counts: list[int]) -> float:
    scorer = library("sacrebleu.metrics", metric="bleu").BLEU
    score = scorer.compute_bleu(
        correct=counts[:ORDERS],
        total=counts[ORDERS : 2 * ORDERS],
        sys_len=counts[-2],
        ref_len=counts[-1],
        smooth_method="exp",
    )
    return float(score.score) / 100
