"""Seeded choices that depend on an example's content and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import ceil, floor, fsum

from sweeper.data.examples import Example
from sweeper.data.units import is_told_by_answer

__all__ = ["key_of", "sample", "share_counts", "split_off"]


def key_of(example: Example) -> str:
    """Returns what decides which split an example falls into: its unit, else its prompt."""
    return example.unit or example.prompt


def sample(examples: Sequence[Example], rows: int | None, *, seed: int) -> tuple[Example, ...]:
    """Returns ``rows`` of the examples in their order, all of them where ``rows`` is None."""
    if rows is None or rows >= len(examples):
        return tuple(examples)
    ranked = sorted(
        range(len(examples)), key=lambda index: (_rank(_drawn_by(examples[index]), seed), index)
    )
    return tuple(examples[index] for index in sorted(ranked[:rows]))


def _drawn_by(example: Example) -> str:
    """Returns what decides whether an example is drawn: its prompt, where that tells it."""
    return example.unit if is_told_by_answer(example) else example.prompt


def share_counts(sizes: Sequence[int], shares: Sequence[float], most: int | None) -> list[int]:
    """Returns how many rows of each pool make the most rows with these shares, none repeated."""
    whole = fsum(shares)
    total = min(size * whole / share for size, share in zip(sizes, shares, strict=True))
    if most is not None:
        total = min(total, most)
    exact = [total * share / whole for share in shares]
    # A hair is added because the product that should be whole may lie just below it.
    counts = [floor(value + 1e-9) for value in exact]
    left = floor(total + 1e-9) - sum(counts)
    by_rest = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_rest[:left]:
        counts[index] += 1
    return counts


def split_off(
    examples: Sequence[Example], fraction: float, *, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Returns the examples without a part of them, and that part.

    Repeated prompts stay together, so that no prompt is in both; so do the examples of one unit.

    Args:
        examples: what to split.
        fraction: share of the distinct prompts or units that is split off, rounded up.
        seed: another seed splits off another part.
    """
    ranks = sorted({_rank(key_of(example), seed) for example in examples})
    chosen = set(ranks[: ceil(fraction * len(ranks))])
    is_chosen = [_rank(key_of(example), seed) in chosen for example in examples]
    pairs = list(zip(examples, is_chosen, strict=True))
    kept = tuple(example for example, chosen_one in pairs if not chosen_one)
    return kept, tuple(example for example, chosen_one in pairs if chosen_one)


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
