"""Examples as token ids: encoded, kept on disk, put into batches."""

from __future__ import annotations

from sweeper.data.tokens.cache import training_tokens
from sweeper.data.tokens.encoding import Tokens, collate, encode, encode_candidates
from sweeper.data.tokens.packing import pack, require_packable
from sweeper.data.tokens.shown import marked_text
from sweeper.data.tokens.table import TokenTable

__all__ = [
    "TokenTable",
    "Tokens",
    "collate",
    "encode",
    "encode_candidates",
    "marked_text",
    "pack",
    "require_packable",
    "training_tokens",
]
