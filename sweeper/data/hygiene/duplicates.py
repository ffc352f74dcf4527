"""Rows that are in a set more than once, word for word or nearly so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.hygiene.boilerplate import Boilerplate
from sweeper.data.hygiene.ngrams import BASE, Coder, windows
from sweeper.data.hygiene.texts import short_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Ints = NDArray[np.int64]
    _Sketch = NDArray[np.uint32]

__all__ = ["NEARLY", "Repeat", "near_duplicates", "repeated_rows"]

NEARLY = 0.8
"""Jaccard similarity of two rows' n-grams from which they are near duplicates, as in Lee et al.
2022 (arXiv:2107.06499, section 4.2)."""
# Words of an n-gram, as there.
_WORDS = 5
# Numbers that a row is sketched by, one for each bin of its n-grams' codes (one-permutation
# MinHash, Li, Owen and Zhang 2012, arXiv:1208.1259), and how many in a row must be equal that two
# rows are compared: of pairs with similarity 0.8 all but (1 - 0.8 ** 4) ** 16, 1 in 5,000, are.
_BINS, _BAND = 64, 4
_EMPTY = 2**32 - 1
# What a sketch of 64 numbers may underestimate a similarity by: three standard errors of it.
_SLACK = 0.15
_CHUNK = 4096


@dataclass(frozen=True)
class Repeat:
    """A row, and an earlier one that it repeats."""

    row: int
    """Position of the later row."""
    earlier: int
    """Position of the earlier one."""
    similarity: float
    """Jaccard similarity of their n-grams, 1 where they differ in case and punctuation at most."""


def repeated_rows(examples: Sequence[Example]) -> list[Repeat]:
    """Returns the rows whose prompt and answer an earlier row has, too."""
    first: dict[tuple[str, str], int] = {}
    found = []
    for row, example in enumerate(examples):
        earlier = first.setdefault((example.prompt, example.answer), row)
        if earlier != row:
            found.append(Repeat(row, earlier, 1.0))
    return found


def near_duplicates(examples: Sequence[Example]) -> list[Repeat]:
    """Returns the rows that nearly repeat an earlier one; those that do so exactly are left out.

    Rows of fewer than five own words are near duplicates where they differ in case and punctuation
    alone. A row is compared with the first of each bucket it falls into, so that time grows with
    the rows and not with their square: one in a large family may be missed.
    """
    exact = {repeat.row for repeat in repeated_rows(examples)}
    rows = [row for row in range(len(examples)) if row not in exact]
    kept = [examples[row] for row in rows]
    if len(kept) < 2:
        return []
    keys: dict[str, int] = {}
    found: dict[int, tuple[int, float]] = {}
    for row, example in enumerate(kept):
        earlier = keys.setdefault(short_key(example.prompt) + "\0" + short_key(example.answer), row)
        if earlier != row:
            found[row] = (earlier, 1.0)
    grams = _Grams(kept)
    sketches = _sketches(grams, len(kept))
    for row, earlier in _candidates(sketches):
        if row not in found and (similarity := grams.similarity(row, earlier)) >= NEARLY:
            found[row] = (earlier, similarity)
    return [Repeat(rows[r], rows[e], similarity) for r, (e, similarity) in sorted(found.items())]


class _Grams:
    """The rows' n-grams, without what is of a template."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples
        self._coder = Coder()
        sample = examples[:: -(-len(examples) // _CHUNK)]
        self._boilerplate = Boilerplate(self._coder.learn(map(_text, sample)), sample)

    def of(self, first: int, last: int) -> tuple[_Ints, NDArray[np.uint64]]:
        """Returns the row of each n-gram, and its code, of rows ``first`` to ``last - 1``."""
        import numpy as np

        coded = self._coder.learn(map(_text, self._examples[first:last]))
        own = self._boilerplate.without(coded)
        for _, starts, codes in windows(own, (_WORDS,)):
            return own.rows[starts] + first, codes
        return np.empty(0, np.int64), np.empty(0, np.uint64)

    def similarity(self, row: int, other: int) -> float:
        """Returns the Jaccard similarity of two rows' n-grams; 0 where one has none."""
        sets = [set(self.of(r, r + 1)[1].tolist()) for r in (row, other)]
        return len(sets[0] & sets[1]) / len(sets[0] | sets[1]) if all(sets) else 0.0


def _sketches(grams: _Grams, rows: int) -> _Sketch:
    """Returns the sketch of each row, [rows, bins]."""
    import numpy as np

    sketches = np.full((rows, _BINS), _EMPTY, np.uint32)
    bits = np.uint64(64 - (_BINS - 1).bit_length())
    for first in range(0, rows, _CHUNK):
        row, codes = grams.of(first, min(first + _CHUNK, rows))
        values = (codes & np.uint64(_EMPTY)).astype(np.uint32)
        np.minimum.at(sketches, (row, (codes >> bits).astype(np.int64)), values)
    return sketches


def _candidates(sketches: _Sketch) -> Iterator[tuple[int, int]]:
    """Yields pairs of a row and an earlier one that may be near duplicates, each once."""
    import numpy as np

    pairs = []
    for start in range(0, _BINS, _BAND):
        band = sketches[:, start : start + _BAND]
        [filled] = np.nonzero((band != _EMPTY).any(axis=1))
        codes = np.zeros(len(filled), np.uint64)
        for values in band[filled].T:
            codes = codes * np.uint64(BASE) + values
        _, first, bucket = np.unique(codes, return_index=True, return_inverse=True)
        earlier = filled[first[bucket]]
        is_later = earlier != filled
        pairs.append(np.stack((filled[is_later], earlier[is_later]), axis=1))
    found = np.unique(np.concatenate(pairs), axis=0)
    for start in range(0, len(found), _CHUNK):
        row, earlier = found[start : start + _CHUNK].T
        mine, others = sketches[row], sketches[earlier]
        is_filled = (mine != _EMPTY) | (others != _EMPTY)
        equal = ((mine == others) & is_filled).sum(axis=1)
        filled = is_filled.sum(axis=1)
        # A sketch of few numbers says little: then the rows themselves are compared.
        enough = (equal >= (NEARLY - _SLACK) * filled) | (filled < _BINS // 2)
        yield from zip(row[enough].tolist(), earlier[enough].tolist(), strict=True)


def _text(example: Example) -> str:
    return f"{example.prompt} {example.answer}"
