"""The size of a method that comes nearest to a number of parameters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from sweeper_adapters.methods._facts import Linear, ModelShape

__all__ = ["Countable", "find_nearest", "rank_problems"]


class Countable(Protocol):
    """What has a number of parameters on a model, and may not fit it."""

    def count(self, shape: ModelShape) -> int:
        """Returns the number of trainable parameters on a model of this shape."""

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps it from being used on ``shape``."""


_Spec = TypeVar("_Spec", bound=Countable)

# No model is wide enough for a size above this.
_LARGEST = 2**31 - 1


def find_nearest(at: Callable[[int], _Spec | None], shape: ModelShape, parameters: int) -> _Spec:
    """Returns a method in the size whose number of parameters is nearest to a wished one.

    Of sizes that are equally near it is the smallest. It is a size that the model allows, where it
    allows one.

    Args:
        at: gives the method in any size, None where the size is out of its field's range.
        shape: of the model.
        parameters: trainable parameters wished for.
    """

    def spec_at(size: int) -> _Spec:
        spec = at(size)
        assert spec is not None
        return spec

    def count(size: int) -> int:
        return spec_at(size).count(shape)

    lowest = next(size for size in range(1, _LARGEST) if at(size) is not None)
    smallest, largest = _find_range(at, shape, lowest=lowest)
    size = min(_find_first(lambda size: count(size) >= parameters, smallest, largest), largest)
    if size > smallest and parameters - count(size - 1) <= count(size) - parameters:
        size -= 1
    # Neighbouring sizes may come to the same number.
    reached = count(size)
    return spec_at(_find_first(lambda size: count(size) >= reached, smallest, largest))


def rank_problems(linears: Iterable[Linear], *, rank: int, field: str) -> Iterator[tuple[str, str]]:
    """Yields a problem where a matrix of ``rank`` cannot have it, naming ``field``.

    Args:
        linears: layers that get such a matrix, of their own size each.
        rank: of all of them.
        field: that has the rank.
    """
    smallest = min(linears, key=lambda x: x.highest_rank, default=None)
    if smallest is None:
        return
    limit = smallest.highest_rank
    if rank > limit:
        yield (
            field,
            f"{field} is {rank} but {smallest.name} is {smallest.in_features} -> "
            f"{smallest.out_features}; its rank is at most {limit}; "
            f"give a {field} of 1 to {limit} or leave {smallest.name} out of targets",
        )


def _find_range(
    at: Callable[[int], _Spec | None], shape: ModelShape, *, lowest: int
) -> tuple[int, int]:
    """Returns the smallest and the largest size that the model allows."""

    def problems(size: int) -> set[str]:
        spec = at(size)
        # Out of the field's range: an empty name is no field of any method.
        return {""} if spec is None else {field for field, _ in spec.problems(shape)}

    # A size may have to be above another field; what is wrong at every size stays wrong.
    early = problems(lowest)
    largest = _find_first(lambda size: bool(problems(size) - early), lowest, _LARGEST) - 1
    smallest = _find_first(lambda size: not problems(size), lowest, largest)
    return (smallest, largest) if smallest <= largest else (lowest, max(lowest, largest))


def _find_first(test: Callable[[int], bool], lowest: int, highest: int) -> int:
    """Returns the first number that passes a test, ``highest + 1`` where none does.

    Args:
        test: passed by all numbers above one that passes it.
        lowest: the first number that is tried.
        highest: the last one.
    """
    return lowest + bisect_left(range(lowest, highest + 1), True, key=test)
