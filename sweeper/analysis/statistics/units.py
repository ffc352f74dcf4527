"""What the rows of a table are sampled as: each by itself, or averaged over its cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from sweeper.errors import BadInputError

__all__ = [
    "RowUnits",
    "adapter_names",
    "as_adapters",
    "by_unit",
    "first_seeds",
    "require_comparable",
    "row_units",
    "with_seeds",
]


@dataclass(frozen=True, eq=False)
class RowUnits:
    """The independent units of a table's rows, and what the seeds scored on them.

    Attributes:
        scores: Of each configuration, float64 [S, n].
        strata: int64 [n], every stratum of at least two units where there are two at all.
    """

    scores: tuple[NDArray[np.float64], ...]
    strata: NDArray[np.int64]


def row_units(table: ScoreTable) -> RowUnits:
    """Returns the rows of a table, those of one cluster averaged, as :func:`by_unit` has them.

    Strata of one unit say nothing of their spread and are put together.

    Raises:
        BadInputError: The table is not one of comparable scores.
    """
    require_comparable(table)
    units = by_unit(table)
    if units.strata.size < 2:
        raise BadInputError(
            f"the {table.split} rows: got {units.strata.size} independent row or cluster; the "
            "spread over rows needs at least 2; give more rows"
        )
    return RowUnits(tuple(each.scores for each in units.configurations), _merged(units.strata))


def by_unit(table: ScoreTable) -> ScoreTable:
    """Returns the table whose rows are the units of a comparable table's rows.

    Rows of one cluster are not independent; their means are (Miller, arXiv:2411.00640, section
    2.2, for clusters of like size). A cluster is named within its stratum. Any mean that stands
    beside a difference is over these rows, or the two would not agree.
    """
    if table.clusters is None:
        return table
    keys = np.stack([table.strata, table.clusters])
    units, which, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    order = np.argsort(which.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    averaged = tuple(
        replace(each, scores=np.add.reduceat(each.scores[:, order], starts, axis=1) / sizes)
        for each in table.configurations
    )
    return replace(table, configurations=averaged, strata=units[0], clusters=None)


def require_comparable(table: ScoreTable) -> None:
    """Raises where the configurations of a table cannot be compared.

    Raises:
        BadInputError: A name or a seed repeats, scores are of other rows, or are not finite.
    """
    counts = Counter(each.name for each in table.configurations)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise BadInputError(
            f"configurations: {', '.join(repeated)} stands in the table twice; names must "
            "differ; give the seeds of one configuration together"
        )
    n = len(table.strata)
    if table.clusters is not None and len(table.clusters) != n:
        raise BadInputError(
            f"the {table.split} rows: got {len(table.clusters)} clusters for {n} rows; each row "
            "needs one; name the cluster of every row"
        )
    for each in table.configurations:
        _require_scores(each, n, table.split)


def _require_scores(each: ConfigurationScores, n: int, split: str) -> None:
    expected = (len(each.seeds), n)
    if each.scores.shape != expected or not each.seeds:
        raise BadInputError(
            f"configuration {each.name}: got scores of shape {each.scores.shape}; they must be of "
            f"{expected[0]} seeds and {n} {split} rows, with at least one seed; compare only what "
            "was scored on the same rows"
        )
    if len(set(each.seeds)) != len(each.seeds):
        raise BadInputError(
            f"configuration {each.name}: got seeds {list(each.seeds)}; they must differ; a seed "
            "that is counted twice feigns certainty"
        )
    finite = np.isfinite(each.scores).all(axis=1)
    if not finite.all():
        seed = each.seeds[int(np.argmin(finite))]
        raise BadInputError(
            f"configuration {each.name}: seed {seed} has a score that is not finite; scores must "
            "be finite; count it among the failed seeds"
        )


def as_adapters(table: ScoreTable) -> ScoreTable:
    """Returns the table in which every trained adapter stands by itself."""
    adapters = [
        ConfigurationScores(name, (seed,), each.scores[i : i + 1])
        for each in table.configurations
        for i, (name, seed) in enumerate(zip(adapter_names(each), each.seeds, strict=True))
    ]
    return replace(table, configurations=tuple(adapters))


def adapter_names(scores: ConfigurationScores) -> tuple[str, ...]:
    """Returns what the adapters of a configuration are called: its own name if there is but one."""
    if len(scores.seeds) == 1:
        return (scores.name,)
    return tuple(f"{scores.name}, seed {seed}" for seed in scores.seeds)


def first_seeds(table: ScoreTable, seeds: int) -> ScoreTable:
    """Returns the table of the first so many seeds that its configurations have.

    A seed that failed is one of them: no later one stands in for it, or a look would have what went
    well. A configuration of which none was scored is left out.
    """
    tried = {x for each in table.configurations for x in (*each.seeds, *each.failed_seeds)}
    kept = set(sorted(tried)[:seeds])
    found = []
    for each in table.configurations:
        places = [place for place, seed in enumerate(each.seeds) if seed in kept]
        if places:
            own = tuple(each.seeds[place] for place in places)
            failed = tuple(seed for seed in each.failed_seeds if seed in kept)
            found.append(replace(each, seeds=own, scores=each.scores[places], failed_seeds=failed))
    return replace(table, configurations=tuple(found))


def with_seeds(table: ScoreTable, least: int) -> ScoreTable:
    """Returns the table of those configurations that have at least so many seeds."""
    kept = tuple(each for each in table.configurations if len(each.seeds) >= least)
    return replace(table, configurations=kept)


def _merged(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns strata [n] of at least two units each: single ones are put together."""
    _, which, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    which = which.astype(np.int64)
    single = sizes == 1
    if not single.any() or sizes.size == 1:
        return which
    # One that stands alone goes to the smallest of the others.
    rest = np.where(single, np.iinfo(np.int64).max, sizes)
    goal = int(np.argmin(rest)) if single.sum() == 1 else int(np.argmax(single))
    return np.where(single[which], goal, which)
