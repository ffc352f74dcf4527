"""Tessellations: which of K groups each of the N weights of a matrix belongs to (MoSA, B.8).

Every strategy is two steps. A bijection takes the index of a weight (row-major) to a *position*,
and runs of consecutive positions are the groups. So the inverse of the bijection lists the weights
group by group, and nothing has to be stored: both steps are integer arithmetic on the index, the
same on every device and in every process. This module is their reference; the kernels compute the
same in registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Strategy", "Tessellation", "group_index_reference"]

Strategy = Literal["brt", "row", "col", "skewed"]
"""Grouping strategies of MoSA: balanced random, row and column stripes, geometric sizes."""

# Half-rounds of the Feistel network. Four make a pseudo-random permutation when the round function
# is one (Luby and Rackoff, 1988); two more are for ours, which is only a hash.
_ROUNDS = 6
_MASK_32 = 0xFFFFFFFF
_MASK_64 = 0xFFFFFFFFFFFFFFFF
# A kernel's integers are 32 bits wide, one of them the sign.
_MOST_WEIGHTS = 2**31 - 1
# A hash has 16 bits, so no side of the network may be longer than that; and a side of a few numbers
# mixes badly.
_SHORTEST_SIDE, _LONGEST_SIDE = 64, 2**16
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
        if self.weights > _MOST_WEIGHTS:
            raise ValueError(
                f"tessellation: a {self.out_features} x {self.in_features} matrix has "
                f"{self.weights} weights; allowed are {_MOST_WEIGHTS}, the range of the 32-bit "
                "arithmetic of the kernels; leave this layer out"
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
            ends = torch.tensor(self.ends, dtype=torch.int64, device=position.device)
            return torch.searchsorted(ends, position, right=True)
        size, larger = self.sizes
        end = larger * (size + 1)
        late = (position - end).div(size, rounding_mode="floor") + larger
        return torch.where(position < end, position.div(size + 1, rounding_mode="floor"), late)

    @property
    def sizes(self) -> tuple[int, int]:
        """Size of a group, and how many groups, the first ones, have one weight more."""
        return divmod(self.weights, self.groups)

    @cached_property
    def sides(self) -> tuple[int, int]:
        """The sides of the Feistel network, P and Q, with P * Q at or just above N.

        O and I where they fit, so that a kernel has both halves of its numbers for nothing; for
        very thin and very long matrices the two next to the square root.
        """
        shape = self.out_features, self.in_features
        if min(shape) >= _SHORTEST_SIDE and max(shape) <= _LONGEST_SIDE:
            return shape
        columns = math.isqrt(self.weights - 1) + 1
        return -(-self.weights // columns), columns

    @cached_property
    def keys(self) -> tuple[int, ...]:
        """One 32-bit key for each half-round: splitmix64 (Steele, Lea and Flood, 2014)."""
        state, found = self.seed, []
        for _ in range(_ROUNDS):
            state = (state + 0x9E3779B97F4A7C15) & _MASK_64
            mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
            found.append((mixed ^ (mixed >> 31)) >> 32)
        return tuple(found)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """With ``skewed``: position after the last weight of each group that is not empty."""
        sizes = _skewed_sizes(self.weights, groups=self.groups, skew=self.skew)
        ends, end = [], 0
        for size in sizes:
            end += size
            ends.append(end)
        return tuple(ends)

    def _shuffle(self, number: Tensor, *, inverse: bool) -> Tensor:
        """Applies the keyed permutation of 0 … N-1, or its inverse.

        The network permutes 0 … P * Q - 1. What it sends past N is sent on until it comes back
        (cycle walking, Black and Rogaway, 2002), which keeps it a bijection.
        """
        result = self._feistel(number, inverse=inverse)
        outside = (result >= self.weights).nonzero(as_tuple=True)
        while outside[0].numel():
            walked = self._feistel(result[outside], inverse=inverse)
            result[outside] = walked
            still = walked >= self.weights
            outside = tuple(axis[still] for axis in outside)
        return result

    def _feistel(self, number: Tensor, *, inverse: bool) -> Tensor:
        """Permutes 0 … P * Q - 1 by a Feistel network whose two halves take turns.

        With number = p * Q + q, a half-round adds a hash of one half to the other, modulo that
        one's side (the generalised network of Black and Rogaway, 2002), so the inverse runs
        backwards and subtracts.
        """
        sides = self.sides
        row = number.div(sides[1], rounding_mode="floor")
        halves = [row, number - row * sides[1]]
        turns = list(enumerate(self.keys))
        for turn, key in reversed(turns) if inverse else turns:
            changed, other = (1, 0) if turn % 2 == 0 else (0, 1)
            step = _hash(halves[other], key=key, size=sides[changed])
            moved = halves[changed] - step if inverse else halves[changed] + step
            halves[changed] = moved.remainder(sides[changed])
        return halves[0] * sides[1] + halves[1]


def group_index_reference(
    tessellation: Tessellation, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Returns the group of every weight: Γ, [O, I], int32, by torch's integer operations.

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


def _hash(number: Tensor, *, key: int, size: int) -> Tensor:
    """Returns a pseudo-random number below ``size``, at most 2**16, for each number below 2**16.

    The mixing is the first half of "lowbias32" by Chris Wellons (public domain, github.com/skeeto/
    hash-prospector); its upper 16 bits are scaled to the range by a product. In 64 bits the
    products may wrap, but never in the low 32 bits, which are what is kept.
    """
    mixed = ((number ^ key) * 0x7FEB352D) & _MASK_32
    mixed ^= mixed >> 15
    mixed = (mixed * 0x846CA68B) & _MASK_32
    return ((mixed >> 16) * size) >> 16
