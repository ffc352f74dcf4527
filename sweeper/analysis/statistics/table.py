"""The scores of several configurations on the same rows, from which every conclusion is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConfigurationScores", "ScoreTable"]


@dataclass(frozen=True, eq=False)
class ConfigurationScores:
    """What the seeds of one configuration scored on each row.

    A configuration is a trial's spec without its seed.

    Attributes:
        name: What the reader calls it, unique in a table.
        seeds: The S seeds that were scored, in the order of `scores`.
        scores: float64 [S, n], higher is better: a loss has changed its sign.
        failed_seeds: Seeds that were asked for and gave no score.
    """

    name: str
    seeds: tuple[int, ...]
    scores: NDArray[np.float64]
    failed_seeds: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Configurations that were scored on the same n rows in the same order.

    Attributes:
        configurations: In the order in which they were declared.
        strata: int64 [n], which stratum (task) a row belongs to.
        clusters: int64 [n], which cluster (dialogue, passage, clip, subject) a row belongs to, or
            None where each row stands for itself.
        split: Which split the rows are of: "validation" or "test".
        fingerprint: Names the rows and their order.
    """

    configurations: tuple[ConfigurationScores, ...]
    strata: NDArray[np.int64]
    clusters: NDArray[np.int64] | None
    split: str
    fingerprint: str
