"""What the benches share: the machine, timing of rivals in turn, tables, and the file of results.

Times on one machine drift by more than what is compared. So rivals run in turn within each round, a
ratio is taken within its round, and what is reported is the median over rounds, with its quartiles.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import shutil
import statistics
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sweeper_kernels.backend import choose

__all__ = [
    "RESULTS",
    "WIDE",
    "Column",
    "Ratio",
    "alternate",
    "document",
    "machine",
    "mebibytes",
    "render",
    "terminal_width",
    "wrapped",
    "write",
]

RESULTS = Path(__file__).parent / "results"
WIDE = 120
"""Characters from which on a table has all of its columns."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times, each pair from one round."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    rounds: int

    @classmethod
    def of(cls, times_s: Sequence[float], base_times_s: Sequence[float]) -> Ratio:
        """Returns the median of the rounds' ratios, with quartiles.

        Args:
            times_s: of one rival, by round.
            base_times_s: of the one that it is compared with, in the same rounds.

        Raises:
            ValueError: the rounds are not the same, or none.
        """
        if not times_s or len(times_s) != len(base_times_s):
            raise ValueError(
                f"a ratio of {len(times_s)} times to {len(base_times_s)}; there must be as many, "
                "at least one, in pairs of one round; pass the times of the same rounds"
            )
        ratios = [x / y for x, y in zip(times_s, base_times_s, strict=True)]
        if len(ratios) == 1:
            return cls(ratios[0], ratios[0], ratios[0], 1)
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(median, low, high, len(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def alternate(
    rivals: Mapping[str, Callable[[], object]], *, rounds: int, warmups: int = 1
) -> dict[str, list[float]]:
    """Returns the seconds that each rival took in each round.

    Each round begins with another rival, so that none always has the same one before it.

    Args:
        rivals: what is timed, by name.
        rounds: 1 or more.
        warmups: rounds before that, which do not count.
    """
    names = list(rivals)
    times_s: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warmups, rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            started_s = time.perf_counter()
            # What it returns is freed outside of its time.
            kept = rivals[name]()
            elapsed_s = time.perf_counter() - started_s
            del kept
            if number >= 0:
                times_s[name].append(elapsed_s)
    return times_s


def machine() -> dict[str, Any]:
    """Returns what the figures were measured on, and how busy it was before."""
    return {
        "cpu": _cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def document(
    bench: str,
    *,
    rows: Sequence[Mapping[str, Any]],
    seeds: Mapping[str, int],
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what is written of one run of a bench.

    Args:
        bench: its name.
        rows: the figures.
        seeds: of all that is drawn, by what it is for.
        settings: sizes and rounds.
        machine: what :func:`machine` said before the run.
    """
    return {
        "bench": bench,
        **_origin(),
        "machine": dict(machine),
        "threads": torch.get_num_threads(),
        "backend": choose(torch.empty(1)),
        "seeds": dict(seeds),
        "settings": dict(settings),
        "rows": [dict(row) for row in rows],
    }


def _origin() -> dict[str, Any]:
    """Returns the commit and the versions; where pydantic is missing, those of the kernels' own."""
    try:
        from sweeper.tracking.provenance import git_state, package_versions
    except ImportError:
        # A card's machine may have torch and Triton alone, and often no repository either.
        versions = {name: importlib.metadata.version(name) for name in ("torch", "triton")}
        versions["python"] = platform.python_version()
        return {"commit": None, "is_dirty": None, "versions": versions}
    state = git_state(RESULTS.parent)
    return {
        "commit": None if state is None else state.commit,
        "is_dirty": None if state is None else state.is_dirty,
        "versions": package_versions(),
    }


def write(result: Mapping[str, Any], *, is_whole: bool, folder: Path = RESULTS) -> Path:
    """Writes a result and returns where: ``<bench>.json``, or ``<bench>-partial.json``.

    Args:
        result: what :func:`document` returned.
        is_whole: whether it is of the whole bench; part of it must not take its place.
        folder: where to.

    Raises:
        ValueError: a figure is not a finite number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['bench']}{'' if is_whole else '-partial'}.json"
    text = json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Column:
    """A column of a printed table."""

    title: str
    text: Callable[[Mapping[str, Any]], str]
    """Gives its cell in a row."""
    is_narrow: bool = True
    """Whether it is in tables of less than :data:`WIDE` characters, too."""
    is_number: bool = True


def render(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], *, width: int) -> str:
    """Returns a table.

    Args:
        columns: all that there are.
        rows: the figures.
        width: characters of a line, from 80.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = [column for column in columns if width >= WIDE or column.is_narrow]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in shown:
        justify, overflow = ("right", "ignore") if column.is_number else ("left", "fold")
        table.add_column(
            column.title,
            justify=justify,  # type: ignore[arg-type]
            overflow=overflow,  # type: ignore[arg-type]
            no_wrap=column.is_number,
        )
    for row in rows:
        table.add_row(*(column.text(row) for column in shown))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, markup=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines())


def terminal_width() -> int:
    """Returns how wide a printed table may be."""
    return max(80, shutil.get_terminal_size().columns)


def wrapped(sentence: str) -> str:
    """Returns a paragraph, or an entry of a list, in lines of a page's width."""
    indent = "  " if sentence[:1] == "-" else ""
    lines = textwrap.wrap(sentence, 100, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines)


def mebibytes(size_bytes: float | None) -> str:
    """Returns a number of bytes in MiB."""
    return "" if size_bytes is None else f"{size_bytes / 2**20:,.1f}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
