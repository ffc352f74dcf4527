"""Evaluation rows that training rows contain, found by n-grams of words.

An inverted index of the evaluation rows' n-grams stays in memory; training rows pass by once, some
thousands at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.hygiene.boilerplate import Boilerplate, units_of
from sweeper.data.hygiene.ngrams import Coded, Coder, CodeSet, distinct, windows
from sweeper.data.hygiene.texts import short_key
from sweeper.data.units import instructions_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Ints = NDArray[np.int64]
    _Floats = NDArray[np.float64]

__all__ = ["LONGEST", "SHORTEST", "Overlap", "find_overlaps"]

LONGEST = 13
"""Words of an n-gram, as in GPT-3's check (arXiv:2005.14165, appendix C)."""
SHORTEST = 8
"""Fewest words of an n-gram, as there: a text of 8 to 12 is one, a shorter one must be equal."""
# An n-gram in more rows than these tells no row apart.
_MOST_SHARED, _MOST_SHARED_ROWS = 0.01, 10
# Rows of training that are looked at at once: memory stays below some tens of megabytes.
_CHUNK = 4096
# Training rows that tell, beside the evaluation rows, what is a template.
_SAMPLE = 4096


@dataclass(frozen=True)
class Overlap:
    """An evaluation row and the training row that contains most of it."""

    row: int
    """Position of the evaluation row."""
    training_row: int
    """Position of the training row."""
    share: float
    """Share of the evaluation row's own words that the training row holds in n-grams, 0 to 1."""
    is_question: bool
    """Whether that is the question's share, or that of question and answer together."""


def find_overlaps(
    evaluation: Sequence[Example], training: Sequence[Example], *, threshold: float
) -> list[Overlap]:
    """Returns the evaluation rows that training rows contain.

    Args:
        evaluation: rows to look for.
        training: rows to look in.
        threshold: the share of a row's own words, those of no template, from which it counts.
    """
    if not evaluation or not training:
        return []
    index = _Index(evaluation, training)
    best = _Best(2 * len(evaluation), threshold)
    for first in range(0, len(training), _CHUNK):
        chunk = training[first : first + _CHUNK]
        for entries, rows, shares in index.look(chunk):
            best.add(entries, rows + first, shares)
    return best.overlaps()


class _Best:
    """The best training row of each entry so far."""

    def __init__(self, entries: int, threshold: float) -> None:
        import numpy as np

        self._shares = np.zeros(entries)
        self._rows = np.full(entries, -1)
        self._threshold = threshold

    def add(self, entries: _Ints, rows: _Ints, shares: _Floats) -> None:
        enough = shares >= self._threshold
        # A few at a time: almost no training row holds half of an evaluation row.
        for entry, row, share in zip(entries[enough], rows[enough], shares[enough], strict=True):
            if share > self._shares[entry]:
                self._shares[entry], self._rows[entry] = share, row

    def overlaps(self) -> list[Overlap]:
        found = []
        for row in range(len(self._rows) // 2):
            # The question, if it is held; else the question and its answer.
            for entry in (2 * row, 2 * row + 1):
                if self._rows[entry] >= 0:
                    share = float(self._shares[entry])
                    found.append(Overlap(row, int(self._rows[entry]), share, entry % 2 == 0))
                    break
        return found


class _Index:
    """The n-grams of evaluation rows, and where they stand.

    Each row has two entries: its question, and its question and answer.
    """

    def __init__(self, evaluation: Sequence[Example], training: Sequence[Example]) -> None:
        import numpy as np

        self._coder = Coder()
        questions = self._coder.learn(example.prompt for example in evaluation)
        whole = questions.joined(self._coder.learn(example.answer for example in evaluation))
        sample = training[:: -(-len(training) // _SAMPLE)]
        coded = self._coder.encode(map(_whole, sample)).numbered(plus=len(evaluation))
        self._boilerplate = Boilerplate(whole.joined(coded), (*evaluation, *sample))
        both = questions.numbered(times=2).joined(whole.numbered(times=2, plus=1))
        own = self._boilerplate.without(both)
        self._lengths = np.bincount(own.rows, minlength=2 * len(evaluation))
        self._postings = dict(self._index(own, np.repeat(units_of(evaluation), 2)))
        self._words = np.zeros(2 * len(evaluation), np.int64)
        for size, postings in self._postings.items():
            entries, words = _covered(postings.entries, postings.starts, size)
            self._words[entries] = words
        self._short: dict[str, list[int]] = {}
        # What is left of half of them by n-grams would not tell that a question is the same.
        instructions = instructions_of((*evaluation, *sample))
        for entry in np.flatnonzero(2 * self._words < np.maximum(self._lengths, SHORTEST)).tolist():
            self._words[entry] = 0
            example, is_question = evaluation[entry // 2], entry % 2 == 0
            # An instruction tells no row from another: there it is the answer that does.
            if is_question != (example.prompt in instructions):
                key = _question(example) if is_question else _row(example)
                self._short.setdefault(key, []).append(entry)

    def _index(self, own: Coded, units: _Ints) -> Iterator[tuple[int, _Postings]]:
        most = max(_MOST_SHARED_ROWS, _MOST_SHARED * (int(units.max()) + 1))
        firsts = own.rows.searchsorted(range(len(self._lengths)))
        for size, starts, codes in windows(own, range(SHORTEST, LONGEST + 1)):
            entries = own.rows[starts]
            is_of_size = (self._lengths == size) | ((self._lengths > size) & (size == LONGEST))
            chosen = is_of_size[entries]
            entries, starts, codes = entries[chosen], starts[chosen], codes[chosen]
            if len(codes):
                yield size, _Postings(codes, entries, starts - firsts[entries], units, most)

    def look(self, chunk: Sequence[Example]) -> Iterator[tuple[_Ints, _Ints, _Floats]]:
        """Yields entries, rows of the chunk, and which share of the entry the row holds."""
        import numpy as np

        own = self._boilerplate.without(self._coder.encode(map(_whole, chunk)))
        for size, starts, codes in windows(own, self._postings):
            postings = self._postings[size]
            at, numbers = postings.grams.find(codes)
            which, entries, places = postings.expand(numbers)
            if not len(which):
                continue
            pairs = entries * len(chunk) + own.rows[starts[at[which]]]
            pairs, words = _covered(pairs, places, size)
            entries, rows = np.divmod(pairs, len(chunk))
            is_compared = self._words[entries] > 0
            entries, rows, words = entries[is_compared], rows[is_compared], words[is_compared]
            yield entries, rows, words / self._words[entries]
        if self._short:
            yield from self._equal(chunk)

    def _equal(self, chunk: Sequence[Example]) -> Iterator[tuple[_Ints, _Ints, _Floats]]:
        import numpy as np

        pairs = [
            (entry, row)
            for row, example in enumerate(chunk)
            for key in (_question(example), _row(example))
            for entry in self._short.get(key, ())
        ]
        if pairs:
            entries, rows = np.asarray(pairs, np.int64).T
            yield entries, rows, np.ones(len(pairs))


class _Postings:
    """Where n-grams of one size stand."""

    def __init__(
        self, codes: NDArray[np.uint64], entries: _Ints, starts: _Ints, units: _Ints, most: float
    ) -> None:
        import numpy as np

        known, numbers = np.unique(codes, return_inverse=True)
        total = int(units.max()) + 1
        pairs = distinct(numbers * total + units[entries])
        is_rare = np.bincount(pairs // total, minlength=len(known)) <= most
        kept = is_rare[numbers]
        order = np.argsort(numbers[kept], kind="stable")
        self.grams = CodeSet(known[is_rare])
        self.entries = entries[kept][order]
        self.starts = starts[kept][order]
        self._ends = np.cumsum(np.bincount(numbers[kept], minlength=len(known))[is_rare])

    def expand(self, numbers: _Ints) -> tuple[_Ints, _Ints, _Ints]:
        """Returns, of n-grams by number, each of their places: which it is of, entry, start."""
        import numpy as np

        ends = self._ends[numbers]
        sizes = ends - np.where(numbers > 0, self._ends[numbers - 1], 0)
        which = np.repeat(np.arange(len(numbers)), sizes)
        # Positions count up to each n-gram's end.
        back = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(which))
        places = ends[which] - back
        return which, self.entries[places], self.starts[places]


def _covered(keys: _Ints, starts: _Ints, size: int) -> tuple[_Ints, _Ints]:
    """Returns the keys, each once, and how many words the n-grams at their starts cover."""
    import numpy as np

    order = np.lexsort((starts, keys))
    keys, starts = keys[order], starts[order]
    steps = np.full(len(keys), size)
    is_same = keys[1:] == keys[:-1]
    steps[:-1][is_same] = np.minimum(np.diff(starts)[is_same], size)
    firsts = np.flatnonzero(np.concatenate(([True], ~is_same))) if len(keys) else order
    return keys[firsts], np.add.reduceat(steps, firsts) if len(keys) else steps


def _whole(example: Example) -> str:
    return f"{example.prompt} {example.answer}"


def _question(example: Example) -> str:
    """Returns what two short questions must have in common to be one."""
    return short_key(" ".join((example.prompt, *sorted(example.choices))))


def _row(example: Example) -> str:
    """Returns what two rows with a short answer to one instruction have in common."""
    return f"{_question(example)}\0{short_key(example.answer)}"
