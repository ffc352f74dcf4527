"""Tessellations: which of K groups each of the N weights of a matrix belongs to (MoSA, B.8).

Every strategy is two steps. A bijection takes the index of a weight (row-major) to a *position*,
and runs of consecutive positions are the groups. So the inverse of the bijection lists the weights
group by group, and nothing has to be stored: both steps are integer arithmetic on the index, the
same on every device and in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Strategy", "Tessellation", "group_index"]

Strategy = Literal["brt", "row", "col", "skewed"]
"""Grouping strategies of MoSA: balanced random, row and column stripes, geometric sizes."""

# Half-rounds of the Feistel network. Four make a pseudo-random permutation when the round function
# is one (Luby and Rackoff, 1988); two more are for ours, which is only a hash.
_ROUNDS = 6
_MASK_32 = 0xFFFFFFFF
_MASK_64 = 0xFFFFFFFFFFFFFFFF
# Weights computed at once: the fastest power of two on a CPU, whose cache holds the temporaries.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Tessellation:
    """A division of the weights of a matrix [O, I] into K groups.

    Attributes:
        out_features: O, rows of the weight matrix.
        in_features: I, columns of the weight matrix.
        groups: K, from 1 to O * I.
        strategy: ``brt`` is balanced random: sizes differ by at most one and neighbours have
            nothing in common. ``row`` and ``col`` are contiguous stripes of the same sizes.
            ``skewed`` has sizes that fall geometrically; with many groups the last are empty.
        seed: seed of ``brt`` and ``skewed``, 0 to 2**63 - 1.
        skew: ρ of ``skewed``, the ratio of one group's size to the one before, above 0 and below 1.

    Raises:
        ValueError: when a value is out of its range.
    """

    out_features: int
    in_features: int
    groups: int
    strategy: Strategy = "brt"
    seed: int = 0
    skew: float = 0.85

    def __post_init__(self) -> None:
        problems = [
            (self.out_features >= 1, "out_features", self.out_features, "1 or more"),
            (self.in_features >= 1, "in_features", self.in_features, "1 or more"),
            (
                1 <= self.groups <= max(self.weights, 1),
                "groups",
                self.groups,
                f"1 to {self.weights}, the weights of a {self.out_features} x "
                f"{self.in_features} matrix",
            ),
            (
                self.strategy in get_args(Strategy),
                "strategy",
                repr(self.strategy),
                ", ".join(get_args(Strategy)),
            ),
            (0 <= self.seed < 2**63, "seed", self.seed, "0 to 2**63 - 1"),
            (0 < self.skew < 1, "skew", self.skew, "above 0 and below 1"),
        ]
        for is_right, name, value, allowed in problems:
            if not is_right:
                raise ValueError(
                    f"tessellation: {name} is {value}; allowed is {allowed}; change {name}"
                )
        if self.weights * self.groups >= 2**63:
            raise ValueError(
                f"tessellation: weights times groups is {self.weights * self.groups}; allowed is "
                "less than 2**63, the range of the 64-bit arithmetic; give fewer groups"
            )

    @property
    def weights(self) -> int:
        """N, the number of weights."""
        return self.out_features * self.in_features

    def position(self, index: Tensor) -> Tensor:
        """Returns the position of each weight, a bijection of 0 … N-1.

        Args:
            index: row-major indices of weights, any shape, int64.
        """
        if self.strategy == "row":
            return index
        if self.strategy == "col":
            row = index.div(self.in_features, rounding_mode="floor")
            return (index - row * self.in_features) * self.out_features + row
        return self._shuffle(index, inverse=False)

    def index(self, position: Tensor) -> Tensor:
        """Returns the weight at each position: the inverse of :meth:`position`.

        Args:
            position: positions, any shape, int64.
        """
        if self.strategy == "row":
            return position
        if self.strategy == "col":
            column = position.div(self.out_features, rounding_mode="floor")
            return (position - column * self.out_features) * self.in_features + column
        return self._shuffle(position, inverse=True)

    def group(self, position: Tensor) -> Tensor:
        """Returns the group, 0 … K-1, of each position; it never falls as the position rises.

        Args:
            position: positions, any shape, int64.
        """
        if self.strategy == "skewed":
            ends = torch.tensor(self._skewed_ends, dtype=torch.int64, device=position.device)
            return torch.searchsorted(ends, position, right=True)
        return (position * self.groups).div(self.weights, rounding_mode="floor")

    @cached_property
    def _skewed_ends(self) -> tuple[int, ...]:
        """Position after the last weight of each group that is not empty."""
        sizes = _skewed_sizes(self.weights, groups=self.groups, skew=self.skew)
        ends, end = [], 0
        for size in sizes:
            end += size
            ends.append(end)
        return tuple(ends)

    def _shuffle(self, number: Tensor, *, inverse: bool) -> Tensor:
        """Applies the keyed permutation of 0 … N-1, or its inverse.

        The Feistel network permutes 0 … 2**bits - 1. What it sends past N is sent on until it comes
        back (cycle walking, Black and Rogaway, 2002), which keeps it a bijection; as 2**bits < 2N,
        less than half of the numbers need another step.
        """
        bits = max(1, (self.weights - 1).bit_length())
        keys = tuple(_keys(self.seed))
        result = _feistel(number, bits=bits, keys=keys, inverse=inverse)
        outside = (result >= self.weights).nonzero(as_tuple=True)
        while outside[0].numel():
            walked = _feistel(result[outside], bits=bits, keys=keys, inverse=inverse)
            result[outside] = walked
            still = walked >= self.weights
            outside = tuple(axis[still] for axis in outside)
        return result


def group_index(tessellation: Tessellation, *, device: torch.device | str = "cpu") -> Tensor:
    """Returns the group of every weight: Γ, [O, I], int32.

    Args:
        tessellation: the division into groups.
        device: where it is computed and stays; all devices give the same values.
    """
    size = tessellation.weights
    groups = torch.empty(size, dtype=torch.int32, device=device)
    for start in range(0, size, _CHUNK):
        index = torch.arange(start, min(start + _CHUNK, size), device=device)
        groups[start : start + _CHUNK] = tessellation.group(tessellation.position(index))
    return groups.view(tessellation.out_features, tessellation.in_features)


def _skewed_sizes(weights: int, *, groups: int, skew: float) -> list[int]:
    """Returns geometric group sizes by the largest-remainder method, empty last groups left out."""
    shares, share, total = [], 1.0, 0.0
    for _ in range(groups):
        # Smaller shares of any matrix that fits in 64 bits round to nothing.
        if share < 2.0**-120:
            break
        shares.append(share)
        total += share
        share *= skew
    quotas = [weights * share / total for share in shares]
    sizes = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(sizes)), key=lambda k: sizes[k] - quotas[k])
    for k in by_remainder[: weights - sum(sizes)]:
        sizes[k] += 1
    return [size for size in sizes if size]


def _keys(seed: int) -> Iterator[int]:
    """Yields one 32-bit key for each half-round: splitmix64 (Steele, Lea and Flood, 2014)."""
    state = seed
    for _ in range(_ROUNDS):
        state = (state + 0x9E3779B97F4A7C15) & _MASK_64
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
        yield (mixed ^ (mixed >> 31)) >> 32


def _feistel(number: Tensor, *, bits: int, keys: tuple[int, ...], inverse: bool) -> Tensor:
    """Permutes 0 … 2**bits - 1 by a Feistel network whose two halves take turns.

    A half-round changes one half by a hash of the other, so it undoes itself; the inverse runs them
    backwards.
    """
    low_bits = bits // 2
    low_mask = (1 << low_bits) - 1
    high_mask = (1 << (bits - low_bits)) - 1
    low, high = number & low_mask, number >> low_bits
    turns = list(enumerate(keys))
    for turn, key in reversed(turns) if inverse else turns:
        if turn % 2 == 0:
            high ^= _hash(low, key=key) & high_mask
        else:
            low ^= _hash(high, key=key) & low_mask
    return (high << low_bits) | low


def _hash(number: Tensor, *, key: int) -> Tensor:
    """Returns 32 pseudo-random bits for each number below 2**32, as int64.

    The constants are those of "lowbias32" by Chris Wellons (public domain, github.com/skeeto/
    hash-prospector). Products wrap modulo 2**64, whose low 32 bits are what is kept.
    """
    mixed = number ^ key
    mixed ^= mixed >> 16
    mixed *= 0x7FEB352D
    mixed &= _MASK_32
    mixed ^= mixed >> 15
    mixed *= 0x846CA68B
    mixed &= _MASK_32
    mixed ^= mixed >> 16
    return mixed
