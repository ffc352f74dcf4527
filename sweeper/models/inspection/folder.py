"""One look at a base model as a whole, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.models.inspection.causality import require_causal, small_model
from sweeper.models.inspection.checkpoint import require_intact
from sweeper.models.inspection.fit import require_fit
from sweeper.models.inspection.positions import require_positions
from sweeper.models.inspection.tokens import (
    embedding_rows,
    replace_pad_token,
    require_no_rowless,
    require_token_rows,
)
from sweeper.models.reading import reading
from sweeper.models.shapes import skeleton

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["TokenCheck", "inspect_model", "load_tokenizer"]


@dataclass(frozen=True)
class TokenCheck:
    """What is still to be looked at in the data."""

    subject: str
    """The model, for messages."""
    rowless: tuple[str, ...] = ()
    """Special tokens that the data must not spell out: the model has no row for them."""

    def require(self, texts: Iterable[str]) -> None:
        """Looks whether a text spells out a token that has no row.

        Raises:
            BadInputError: one does.
        """
        require_no_rowless(texts, self.rowless, subject=self.subject)


def inspect_model(
    config: Mapping[str, Any],
    *,
    folder: Path | None,
    tokenizer: str,
    revision: str,
    max_length: int,
    virtual_tokens: int = 0,
    subject: str,
) -> TokenCheck:
    """Looks at all of a base model but the values of its weights.

    Files and tensors against config.json, whether it is causal, its positions against
    ``max_length``, and the tokenizer's ids against its embedding. The questions are put to a small
    model of the same configuration; a family that cannot be built so small is asked after loading.

    Args:
        config: content of its config.json.
        folder: with its files; None where the weights are not on this machine.
        tokenizer: folder, or name on the Hub.
        revision: of the latter.
        max_length: tokens of the longest row of a trial.
        virtual_tokens: most that a method puts before each row.
        subject: what it is, for messages.

    Raises:
        BadInputError: it cannot be trained on.
    """
    files = None if folder is None else require_intact(folder)
    model = skeleton(config)
    if files is not None:
        require_fit(files, model, subject=subject)
    small = small_model(model.config)
    if small is not None:
        require_causal(small, subject=subject)
        require_positions(small, max_length, virtual_tokens=virtual_tokens, subject=subject)
    rows = embedding_rows(model)
    loaded = load_tokenizer(tokenizer, revision=revision, subject=subject)
    replace_pad_token(loaded, rows=rows)
    return TokenCheck(subject, require_token_rows(loaded, rows=rows, subject=subject))


def load_tokenizer(source: str, *, revision: str, subject: str) -> PreTrainedTokenizerBase:
    """Returns the tokenizer of a model.

    Args:
        source: folder, or name on the Hub.
        revision: of the latter.
        subject: the model, for the message.

    Raises:
        BadInputError: its files are damaged or missing, or it needs a package.
    """
    remedy = (
        "save the tokenizer there again with save_pretrained; where the message names a package "
        "(sentencepiece, tiktoken), install that"
    )
    with reading(f"the tokenizer of {subject}", remedy=remedy):
        from transformers import AutoTokenizer

        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
        return found
