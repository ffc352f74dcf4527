"""What is looked at of a base model before it is trusted: files, weights, tokens, positions.

Nothing here reads weights into memory. What needs an answer of the model asks a small one of the
same configuration, or, after loading, the model itself.
"""

from __future__ import annotations

from sweeper.models.inspection.causality import require_causal
from sweeper.models.inspection.checkpoint import find_weights, require_intact
from sweeper.models.inspection.fit import require_alone, require_fit, require_whole
from sweeper.models.inspection.folder import TokenCheck, inspect_model, load_tokenizer
from sweeper.models.inspection.positions import positions_of, require_positions
from sweeper.models.inspection.tokens import embedding_rows, replace_pad_token, require_token_rows

__all__ = [
    "TokenCheck",
    "embedding_rows",
    "find_weights",
    "inspect_model",
    "load_tokenizer",
    "positions_of",
    "replace_pad_token",
    "require_alone",
    "require_causal",
    "require_fit",
    "require_intact",
    "require_positions",
    "require_token_rows",
    "require_whole",
]
