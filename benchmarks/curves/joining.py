"""Tables of different seeds as one: what was trained elsewhere need not be trained again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

import numpy as np

from benchmarks.curves.table import CurveTable
from sweeper.errors import BadInputError

__all__ = ["joined", "of_seeds"]

# What may differ between the tables.
_OWN = {"seeds", "sweeps"}
# Arrays that have a row for each trial; the others are of the frozen base.
_OF_BASE = {"base_validation", "base_test"}


def of_seeds(table: CurveTable, seeds: Collection[int]) -> CurveTable:
    """Returns the part of a table that is of some seeds.

    Args:
        table: any.
        seeds: as they are called in ``about.seeds``, at least one of them.
    """
    kept = tuple(seed for seed in table.about.seeds if seed in seeds)
    places = np.array([table.about.seeds.index(seed) for seed in kept])
    rows = np.isin(table.seed, places)
    parts = {
        x.name: getattr(table, x.name)[rows]
        for x in fields(table)
        if x.name not in {"about", *_OF_BASE}
    }
    parts["seed"] = np.searchsorted(places, parts["seed"])
    about = table.about.model_copy(update={"seeds": kept})
    return replace(table, about=about, **parts)


def joined(first: CurveTable, second: CurveTable) -> CurveTable:
    """Returns the table of the trials of two tables.

    Args:
        first: of some seeds.
        second: of other seeds; all else that they are of is the same.

    Raises:
        BadInputError: it is not the same, or a seed is in both.
    """
    one, other = (x.about.model_dump(exclude=_OWN) for x in (first, second))
    differing = sorted(name for name, value in one.items() if other[name] != value)
    if differing or set(first.about.seeds) & set(second.about.seeds):
        raise BadInputError(
            f"curves: two tables of {', '.join(differing) or 'the same seeds'} that differ cannot "
            "be one; a table is trained with one version of everything; train all seeds anew, or "
            "take the old table away"
        )
    seeds = tuple(sorted((*first.about.seeds, *second.about.seeds)))
    parts = {
        x.name: np.concatenate([getattr(first, x.name), getattr(second, x.name)])
        for x in fields(first)
        if x.name not in {"about", "seed", *_OF_BASE}
    }
    numbers = [
        np.array([seeds.index(seed) for seed in x.about.seeds])[x.seed] for x in (first, second)
    ]
    about = first.about.model_copy(
        update={"seeds": seeds, "sweeps": (*first.about.sweeps, *second.about.sweeps)}
    )
    return replace(first, about=about, seed=np.concatenate(numbers), **parts)
