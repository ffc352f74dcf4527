"""Many examples as token ids: arrays, which a file may back, and single examples on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, overload

from sweeper.data.tokens.encoding import Encoded, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TokenTable"]


class TokenTable(Sequence[Tokens]):
    """Examples as token ids, in arrays.

    Arrays that lie in a file cost memory once on a machine, however many processes read them, and
    only where they are read.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[np.integer]], *, prompts_cut: int, answers_cut: int
    ) -> None:
        """Takes the arrays that :meth:`of` makes.

        Args:
            arrays: ``ids``, of all examples one after another; ``ends``, where each ends among
                them; ``answer_starts``, ``examples`` and ``domains`` of each; where one of them has
                a mask, ``masks``, as ``ids``, whether each token is learnt.
            prompts_cut: examples whose prompt was cut.
            answers_cut: examples whose answer was cut.
        """
        self.arrays = dict(arrays)
        self.prompts_cut = prompts_cut
        self.answers_cut = answers_cut

    @classmethod
    def of(cls, encoded: Encoded) -> TokenTable:
        """Returns the table of some examples."""
        import numpy as np

        rows = encoded.tokens
        lengths = np.fromiter((len(row.ids) for row in rows), np.int64, len(rows))
        ids = chain.from_iterable(row.ids for row in rows)
        arrays: dict[str, NDArray[np.integer]] = {
            "ids": np.fromiter(ids, np.int32, int(lengths.sum())),
            "ends": np.cumsum(lengths),
            "answer_starts": np.fromiter((row.answer_start for row in rows), np.int32, len(rows)),
            "examples": np.fromiter((row.example for row in rows), np.int32, len(rows)),
            "domains": np.fromiter((row.domain for row in rows), np.int32, len(rows)),
        }
        if any(row.mask for row in rows):
            masks = chain.from_iterable(map(_mask, rows))
            arrays["masks"] = np.fromiter(masks, np.uint8, int(lengths.sum()))
        return cls(
            arrays,
            prompts_cut=len(encoded.prompts_cut),
            answers_cut=len(encoded.answers_cut),
        )

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        import numpy as np

        lengths: list[int] = np.diff(self.arrays["ends"], prepend=0).tolist()
        return lengths

    def __len__(self) -> int:
        return len(self.arrays["ends"])

    @overload
    def __getitem__(self, index: int) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tokens, ...]: ...
    def __getitem__(self, index: int | slice) -> Tokens | tuple[Tokens, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        ends = self.arrays["ends"]
        start, end = int(ends[number - 1]) if number else 0, int(ends[number])
        masks = self.arrays.get("masks")
        answer_start = int(self.arrays["answer_starts"][number])
        mask = [] if masks is None else masks[start:end].astype(bool).tolist()
        return Tokens(
            ids=tuple(self.arrays["ids"][start:end].tolist()),
            answer_start=answer_start,
            example=int(self.arrays["examples"][number]),
            domain=int(self.arrays["domains"][number]),
            mask=() if all(mask[answer_start:]) else tuple(mask),
        )

    def __iter__(self) -> Iterator[Tokens]:
        return (self[number] for number in range(len(self)))


def _mask(row: Tokens) -> Sequence[bool]:
    start = row.answer_start
    return row.mask or [False] * start + [True] * (len(row.ids) - start)
