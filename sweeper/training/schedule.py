"""Which examples an optimiser step sees, and with which learning rate: functions of the step alone.

Nothing here depends on what has run before, so a trial that resumes needs no state of it, and the
order of the data does not depend on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from sweeper.data.tokens.encoding import Tokens
from sweeper.data.tokens.table import TokenTable
from sweeper.experiment.trial import TrainSpec

if TYPE_CHECKING:
    import torch

__all__ = ["DataOrder", "evaluation_steps", "learning_rate"]


# Micro-batches' worth of examples that are sorted by length at once: of enough examples the next in
# length is near, and there are far more ways to draw as many than there are epochs.
WINDOW = 64


class DataOrder:
    """An endless sequence of examples: one permutation after another, each drawn from the seed."""

    def __init__(self, examples: Sequence[Tokens], *, seed: int, bucket: int = 1) -> None:
        """Notes what to draw from.

        Args:
            examples: of the training split, at least one.
            seed: of the permutations.
            bucket: so many examples that follow on each other, from a multiple of it on, are of
                like length: the size of a micro-batch, or 1, where length does not count. It says
                nothing of workers, so the order does not hang on their number.
        """
        self._examples = examples
        self._seed = seed
        self._bucket = bucket
        self._lengths: list[int] = []
        if bucket > 1:
            table = examples if isinstance(examples, TokenTable) else None
            self._lengths = table.lengths if table else [len(row.ids) for row in examples]
        self._epoch = -1
        self._permutation: list[int] = []

    def batch(self, step: int, size: int) -> list[Tokens]:
        """Returns the global batch of a step: examples ``[step * size, (step + 1) * size)``.

        With buckets, they stand in it by length: so the workers, which take one bucket each in
        turn, have examples of like length at the same time.

        Args:
            step: optimiser steps done before, from 0.
            size: sequences in one optimiser step of all workers; a multiple of the bucket.
        """
        found = [self._at(position) for position in range(step * size, (step + 1) * size)]
        if self._bucket == 1:
            return found
        buckets = [found[start : start + self._bucket] for start in range(0, size, self._bucket)]
        buckets.sort(key=lambda bucket: max(len(row.ids) for row in bucket))
        return list(chain.from_iterable(buckets))

    def _at(self, position: int) -> Tokens:
        epoch, offset = divmod(position, len(self._examples))
        if epoch != self._epoch:
            self._permutation = self._permute(epoch)
            self._epoch = epoch
        return self._examples[self._permutation[offset]]

    def _permute(self, epoch: int) -> list[int]:
        import torch

        # Seeds lie below 2**31, so no two pairs of seed and epoch share a generator's seed.
        generator = torch.Generator().manual_seed(self._seed + (epoch << 31))
        order: list[int] = torch.randperm(len(self._examples), generator=generator).tolist()
        return order if self._bucket == 1 else self._bucketed(order, epoch, generator)

    def _bucketed(self, order: list[int], epoch: int, generator: torch.Generator) -> list[int]:
        """Returns a permutation in which the examples of a bucket are of like length."""
        import torch

        size = self._bucket
        # Buckets begin at multiples of their size over all epochs: the first examples of this one
        # fill the last bucket of the one before, and the last ones begin a bucket of the next.
        first = min(-epoch * len(order) % size, len(order))
        last = first + (len(order) - first) // size * size
        buckets: list[list[int]] = []
        for start in range(first, last, WINDOW * size):
            window = order[start : min(start + WINDOW * size, last)]
            # Sorting is stable, so chance decides among those of one length.
            window.sort(key=self._lengths.__getitem__)
            buckets += [window[at : at + size] for at in range(0, len(window), size)]
        shuffled = torch.randperm(len(buckets), generator=generator).tolist()
        middle = chain.from_iterable(buckets[number] for number in shuffled)
        return [*order[:first], *middle, *order[last:]]


def learning_rate(train: TrainSpec, step: int) -> float:
    """Returns the learning rate of a step.

    It rises linearly over the warm-up, from one part to the peak, so that no step is lost at zero,
    and then stays or falls towards the zero that it would have after the last step.

    Args:
        train: peak, warm-up, schedule, steps.
        step: optimiser steps done before, from 0 to ``train.steps - 1``.
    """
    warmup = math.ceil(train.warmup_ratio * train.steps)
    if step < warmup:
        return train.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, train.steps - warmup)
    if train.schedule == "linear":
        return train.learning_rate * (1 - done)
    if train.schedule == "cosine":
        return train.learning_rate * (1 + math.cos(math.pi * done)) / 2
    return train.learning_rate


def evaluation_steps(train: TrainSpec) -> tuple[int, ...]:
    """Returns after how many steps a trial is evaluated: evenly spaced, the last at the end."""
    return tuple(
        (number + 1) * train.steps // train.evaluations for number in range(train.evaluations)
    )
