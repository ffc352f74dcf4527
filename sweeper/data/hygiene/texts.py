"""Texts without what does not tell one question from another: case, punctuation, white space."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["short_key", "shortened", "words_of"]

# Letters of scripts that put no space between words count as a word each.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_ASCII_WORDS = str.maketrans({code: " " for code in range(128) if not chr(code).isalnum()})
# Of a short text signs of operations stay: "5 - 8" and "5 + 8" are two questions.
# Also typographic quotes and the ellipsis.
_PUNCTUATION = re.compile("[\\s.,;:!?'\"`_\u00ab\u00b4\u00bb\u2018-\u201e\u2026]+")


def words_of(text: str) -> list[str]:
    """Returns a text's words in lower case, without punctuation."""
    if text.isascii():
        return text.lower().translate(_ASCII_WORDS).split()
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def short_key(text: str) -> str:
    """Returns what two short texts have in common that differ in case and punctuation alone."""
    return _PUNCTUATION.sub("", unicodedata.normalize("NFKC", text).casefold())


def shortened(text: str, *, most: int = 300) -> str:
    """Returns a text on one line, its middle left out where it has more than ``most`` letters."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    half = (most - 3) // 2
    return f"{line[:half].rstrip()} … {line[-half:].lstrip()}"
