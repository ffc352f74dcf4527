"""Whether a model has a row for each token that its tokenizer can produce."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sweeper._text import listed, shorten
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["embedding_rows", "replace_pad_token", "require_no_rowless", "require_token_rows"]

logger = logging.getLogger(__name__)


def embedding_rows(model: PreTrainedModel) -> int:
    """Returns the number of token ids that a model can read and predict."""
    rows = int(model.get_input_embeddings().get_parameter("weight").shape[0])
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight = getattr(head, "weight", None)
    return rows if weight is None else min(rows, int(weight.shape[0]))


def replace_pad_token(tokenizer: PreTrainedTokenizerBase, *, rows: int) -> None:
    """Makes the end-of-text token the pad token where there is none, or it has no row.

    A new row would have to be in the frozen embedding, and padding is masked in any case.

    Args:
        tokenizer: of the model; changed.
        rows: of the model's embedding.
    """
    pad = tokenizer.pad_token_id
    if pad is None or pad >= rows:
        tokenizer.pad_token = tokenizer.eos_token


def require_token_rows(
    tokenizer: PreTrainedTokenizerBase, *, rows: int, subject: str
) -> tuple[str, ...]:
    """Looks whether a model has a row for each token that text is made into.

    Args:
        tokenizer: of the model, with its pad token as :func:`replace_pad_token` leaves it.
        rows: of the model's embedding.
        subject: the model, for the message.

    Returns:
        Special tokens without a row, which only a text that spells them out could produce.

    Raises:
        BadInputError: an ordinary token, or the begin- or end-of-text token, has no row, or there
            is no end-of-text token.
    """
    if tokenizer.eos_token_id is None:
        raise BadInputError(
            f"the tokenizer of {subject} has no end-of-text token, but answers must end in one; "
            "set eos_token in its tokenizer_config.json"
        )
    added = tokenizer.added_tokens_decoder
    needed = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    rowless = {text: token for text, token in tokenizer.get_vocab().items() if token >= rows}
    special = {
        text
        for text, token in rowless.items()
        if token not in needed and token in added and added[token].special
    }
    ordinary = sorted(rowless.keys() - special, key=rowless.__getitem__)
    if ordinary:
        raise BadInputError(
            f"the tokenizer of {subject} has ids up to {max(rowless.values())}, but the model has "
            f"{rows} rows in its embedding: {_some(ordinary)} would be out of range; both must be "
            "of one model; take the tokenizer that belongs to the model, or add the rows "
            "(resize_token_embeddings), train them, and save the model"
        )
    return tuple(sorted(special))


def require_no_rowless(texts: Iterable[str], tokens: Sequence[str], *, subject: str) -> None:
    """Looks whether a text spells out a special token that has no row.

    Args:
        texts: of the data.
        tokens: as of :func:`require_token_rows`.
        subject: the model, for the message.

    Raises:
        BadInputError: one does.
    """
    if not tokens:
        return
    for text in texts:
        for token in tokens:
            if token in text:
                raise BadInputError(
                    f"a row of the data contains the special token {shorten(repr(token))}, for "
                    f"which {subject} has no row in its embedding: {shorten(repr(text))}; take it "
                    "out of the data, or use a model that has the row"
                )
    logger.info("special tokens of %s without a row in its embedding: %s", subject, tokens)


def _some(tokens: Sequence[str]) -> str:
    shown = [shorten(repr(token), limit=40) for token in tokens]
    return listed(shown, most=3, is_counted=True)
