"""Words that a task puts into every prompt, which say nothing about where a question is from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.data.examples import Example
from sweeper.data.hygiene.ngrams import Coded, CodeSet, distinct, windows
from sweeper.data.hygiene.texts import words_of
from sweeper.data.units import instructions_of, row_unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Ints = NDArray[np.int64]

__all__ = ["Boilerplate", "units_of"]

# Three words in a quarter of a task's rows are of its prompt, or a phrase that tells none apart. Of
# GSM8K's own words the most frequent three, "a total of", are in 18 % of the rows.
_WORDS = 3
_SHARE = 0.25
# Below that many rows it cannot be told what is a template.
_ROWS = 5


class Boilerplate:
    """The n-grams that are in many rows of one task or domain."""

    def __init__(self, coded: Coded, examples: Sequence[Example]) -> None:
        """Finds them.

        Args:
            coded: one text of each example.
            examples: what tells the groups apart, and which rows are one and the same.
        """
        import numpy as np

        found = [(starts, codes) for _, starts, codes in windows(coded, (_WORDS,))]
        if not found:
            self._grams = CodeSet(np.empty(0, np.uint64))
            return
        [(starts, codes)] = found
        known, numbers = np.unique(codes, return_inverse=True)
        units = units_of(examples)
        # Each n-gram once for each unit, however often the unit repeats it.
        pairs = distinct(units[coded.rows[starts]] * len(known) + numbers)
        unit, number = np.divmod(pairs, len(known))
        is_template = np.zeros(len(known), np.bool_)
        for groups in _groups_of_units(examples, units):
            sizes = np.bincount(groups)
            counted, counts = np.unique(groups[unit] * len(known) + number, return_counts=True)
            group, gram = np.divmod(counted, len(known))
            is_template[gram[counts >= np.maximum(_ROWS, _SHARE * sizes[group])]] = True
        self._grams = CodeSet(known[is_template])

    def without(self, coded: Coded) -> Coded:
        """Returns texts without the words that are of a template."""
        import numpy as np

        is_own = np.ones(len(coded.codes), np.bool_)
        for _, starts, codes in windows(coded, (_WORDS,)):
            at, _ = self._grams.find(codes)
            for offset in range(_WORDS):
                is_own[starts[at] + offset] = False
        return coded.kept(is_own)


def units_of(examples: Sequence[Example]) -> _Ints:
    """Returns a number for each example; the same for those of one unit, or with one prompt.

    A prompt that stands in very many rows is an instruction; there each row is a unit.
    """
    import numpy as np

    instructions = instructions_of(examples)
    numbers: dict[object, int] = {}
    found = []
    for e in examples:
        is_row = e.prompt in instructions and not e.unit
        unit = row_unit(e) if is_row else e.unit or " ".join(words_of(e.prompt))
        found.append(numbers.setdefault((e.task, e.domain, unit), len(numbers)))
    return np.asarray(found, np.int64)


def _groups_of_units(examples: Sequence[Example], units: _Ints) -> list[_Ints]:
    """Returns the group of each unit: all are one group, then each task is, then each domain."""
    import numpy as np

    levels = []
    for label in (lambda _: (), lambda e: (e.task,), lambda e: (e.task, e.domain)):
        numbers: dict[object, int] = {}
        groups = np.zeros(int(units.max()) + 1 if len(units) else 0, np.int64)
        groups[units] = [numbers.setdefault(label(e), len(numbers)) for e in examples]
        levels.append(groups)
    return levels
