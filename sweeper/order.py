"""Which examples an optimiser step sees, and with which learning rate: functions of the step alone.

Nothing here depends on what has run before, so a trial that resumes needs no state of it, and the
order of the data does not depend on the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeper.data.tokens import Tokens
from sweeper.spec import TrainSpec

__all__ = ["DataOrder", "evaluation_steps", "learning_rate"]


class DataOrder:
    """An endless sequence of examples: one permutation after another, each drawn from the seed."""

    def __init__(self, examples: Sequence[Tokens], *, seed: int) -> None:
        """Notes what to draw from.

        Args:
            examples: of the training split, at least one.
            seed: of the permutations.
        """
        self._examples = examples
        self._seed = seed
        self._epoch = -1
        self._permutation: list[int] = []

    def batch(self, step: int, size: int) -> list[Tokens]:
        """Returns the global batch of a step: examples ``[step * size, (step + 1) * size)``.

        Args:
            step: optimiser steps done before, from 0.
            size: sequences in one optimiser step of all workers.
        """
        return [self._at(position) for position in range(step * size, (step + 1) * size)]

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
        return order


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
