"""METEOR, by nltk."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import MissingError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import import_library, require_pairs

__all__ = ["meteor"]


def meteor(predictions: Sequence[str], references: Sequence[str]) -> Estimate:
    """Returns the mean METEOR (Banerjee and Lavie 2005): words, stems, and WordNet's synonyms.

    Words are told apart by nltk's rules for the Penn Treebank. The parameters are nltk's own,
    those of the paper.

    Raises:
        BadInputError: predictions and references do not belong together.
        MissingError: nltk is not installed, or has no WordNet data.
    """
    require_pairs(predictions, references, "predictions and references")
    score = import_library("nltk.translate.meteor_score", metric="meteor").meteor_score
    split = import_library("nltk.tokenize", metric="meteor").NLTKWordTokenizer().tokenize
    try:
        import_library("nltk.corpus", metric="meteor").wordnet.ensure_loaded()
    except LookupError as error:
        raise MissingError(
            "the metric meteor needs NLTK's copy of WordNet, which is not in nltk.data.path; run: "
            "python -m nltk.downloader wordnet"
        ) from error
    pairs = zip(predictions, references, strict=True)
    return mean_estimate([float(score([split(want)], split(got))) for got, want in pairs])
