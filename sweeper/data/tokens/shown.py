"""An example as a model sees it, for people."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sweeper.data.tokens.encoding import IGNORED_LABEL, Tokens, labels_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["marked_text"]


def marked_text(tokens: Tokens, tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the text of an example, with what is learnt in double brackets: ``⟦…⟧``.

    Args:
        tokens: of the example.
        tokenizer: that encoded it.
    """
    labels = labels_of(tokens).tolist()
    runs = groupby(zip(tokens.ids, labels, strict=True), key=lambda pair: pair[1] != IGNORED_LABEL)
    parts = []
    for is_learnt, run in runs:
        text = str(tokenizer.decode([token for token, _ in run]))
        parts.append(f"⟦{text}⟧" if is_learnt else text)
    return "".join(parts)
