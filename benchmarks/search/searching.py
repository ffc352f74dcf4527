"""Many searches, several at once: each process reads the table once."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

from benchmarks.curves.table import read_table
from benchmarks.search.contestants import by_name
from benchmarks.search.replay import Course, Setting

__all__ = ["searches"]

# Searches that a process does before it takes others.
_CHUNK = 5


def _search(place: tuple[str, int], *, path: Path, setting: Setting) -> Course:
    """Returns the course of one search.

    Args:
        place: name of the contestant, and seed.
        path: of the table, which each process reads once.
        setting: what contestants have in common.
    """
    name, seed = place
    return by_name(name).search(_table(path), setting, seed=seed)


_table = functools.lru_cache(maxsize=1)(read_table)


def searches(
    names: Sequence[str], *, seeds: int, path: Path, setting: Setting, processes: int
) -> dict[str, list[Course]]:
    """Returns the courses of all contestants, by name, each of the seeds from 0 on."""
    places = [(name, seed) for name in names for seed in range(seeds)]
    work = functools.partial(_search, path=path, setting=setting)
    # A fork would copy the threads of torch.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = pool.map(work, places, chunksize=_CHUNK)
    courses: dict[str, list[Course]] = {name: [] for name in names}
    for (name, _), course in zip(places, found, strict=True):
        courses[name].append(course)
    return courses
