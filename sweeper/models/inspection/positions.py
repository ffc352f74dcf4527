"""How many positions a model has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["positions_of", "require_positions", "warn_of_length"]

logger = logging.getLogger(__name__)

# No table of positions in use is longer, and a longer row would cost attention seconds.
_MOST_TRIED = 8192
# RoBERTa begins to count after its pad token, so that its table has two rows fewer for tokens.
_MOST_OFFSET = 16
_NAMES = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length")


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Returns how many positions a ``config.json`` declares, None where it says nothing of them.

    Args:
        config: its content; where it has a text model among others, that one counts.
    """
    text = config.get("text_config")
    return _declared(text if isinstance(text, Mapping) else config)


def require_positions(
    model: PreTrainedModel, max_length: int, *, virtual_tokens: int = 0, subject: str
) -> None:
    """Looks whether a model takes rows of the length that trials may have, by giving it one.

    A table of positions has an end, and some families begin to count in its middle. Positions that
    are computed (rotary ones) have none: for these a length that the model was not trained with is
    only warned of.

    Args:
        model: a small one with the positions of the model, with values.
        max_length: tokens of the longest row.
        virtual_tokens: most that a method puts before each row; they take positions, too.
        subject: what it is, for the message.

    Raises:
        BadInputError: it does not.
    """
    whole = max_length + virtual_tokens
    length = min(whole, _MOST_TRIED)
    config = model.config.get_text_config().to_dict()
    declared = _declared(config)
    if declared is not None and whole <= declared - _MOST_OFFSET:
        return
    if _takes(model, length) or not _takes(model, 2):
        warn_of_length(config, whole, subject=subject)
        return
    taken = _last_taken(model, length, declared=declared or length)
    before = f" and a method puts {virtual_tokens} virtual tokens before each row,"
    raise BadInputError(
        f"train.max_length is {max_length}{before if virtual_tokens else ''} but {subject} has "
        f"{taken} positions; a longer row has no position for its last tokens; set "
        f"train.max_length to at most {max(0, taken - virtual_tokens)}"
    )


def warn_of_length(config: Mapping[str, Any], max_length: int, *, subject: str) -> None:
    """Warns of rows that are longer than those that the model was trained with.

    Args:
        config: content of a config.json, of the text model where there are several.
        max_length: tokens of the longest row.
        subject: what the model is.
    """
    declared = _declared(config)
    if declared is not None and declared < max_length:
        logger.warning(
            "rows of up to %d tokens (train.max_length) are longer than those that %s was trained "
            "with: %d positions; it computes further ones, and its outputs there may be poor",
            max_length,
            subject,
            declared,
        )


def _declared(config: Mapping[str, Any]) -> int | None:
    named = (config.get(name) for name in _NAMES)
    return next((found for found in named if isinstance(found, int) and found > 0), None)


def _last_taken(model: PreTrainedModel, refused: int, *, declared: int) -> int:
    """Returns the longest row that a model takes, below one that it refuses."""
    taken = 2
    # Nearly always it is what the configuration says, or a few less.
    for guess in (declared, declared + 1):
        if taken < guess < refused:
            if _takes(model, guess):
                taken = guess
            else:
                refused = guess
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if _takes(model, middle):
            taken = middle
        else:
            refused = middle
    return taken


def _takes(model: PreTrainedModel, length: int) -> bool:
    """Returns whether a forward pass of a row of this many tokens works."""
    import torch

    pad = getattr(model.config.get_text_config(), "pad_token_id", None)
    # The pad token has a position of its own in some families.
    token = next(token for token in (5, 6) if token != pad)
    ids = torch.full((1, length), token)
    try:
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    except (IndexError, RuntimeError, ValueError):
        return False
    return True
