"""The words of the embedded language. All text that the sweeper generates is made of these."""

from __future__ import annotations

__all__ = ["NAMES", "NOUNS", "OPPOSITES"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS: tuple[str, ...] = _words(
    """
    apple arm bag ball bear bell bird boat bone book box bread bus cake cap car card cat chain clock
    coat coin corn cow cup desk dog door drum duck egg eye farm fish flag fork fox frog gate goat
    gold hand hat hill hook horn house jar key king lake lamp leaf lion map milk moon mouse neck
    nest nut oven owl pear pen pig pot rain ring road rock rose sand ship shoe sock star sun tree
    """
)
"""Things: what lists are made of."""

NAMES: tuple[str, ...] = _words(
    "Ada Ben Cara Dan Eva Finn Gus Hana Ivan June Kim Leo Mia Nils Olga Pia Rosa Sam Tom Uma"
)
"""People: the keys of tables."""

_PAIRS: tuple[tuple[str, str], ...] = (
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("wet", "dry"),
    ("old", "new"),
    ("hard", "soft"),
    ("high", "low"),
    ("long", "short"),
    ("light", "dark"),
    ("rich", "poor"),
    ("full", "empty"),
    ("open", "shut"),
    ("near", "far"),
    ("good", "bad"),
    ("young", "aged"),
    ("clean", "dirty"),
    ("loud", "quiet"),
    ("thick", "thin"),
    ("wide", "narrow"),
    ("early", "late"),
    ("sweet", "bitter"),
    ("strong", "weak"),
    ("happy", "sad"),
    ("sharp", "blunt"),
    ("deep", "shallow"),
    ("cheap", "dear"),
    ("brave", "timid"),
    ("kind", "cruel"),
    ("rough", "smooth"),
    ("tight", "loose"),
    ("true", "false"),
    ("wild", "tame"),
)

OPPOSITES: dict[str, str] = {word: other for pair in _PAIRS for word, other in (pair, pair[::-1])}
"""The opposite of each adjective, in both directions."""
