"""The table that is printed of all parts, and what stands beneath it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks._bench import WIDE, Column, mebibytes

__all__ = ["text"]

_NOTES = (
    "of limit: kernels, the error over what is allowed for it; sums, the time over that of copying "
    "what is read; steps, the time over the roofline by the card's published rates (empty where "
    "none are known); zero, the difference of the losses over what is allowed for it",
    "ratio: sums, autograd's time over it; steps, the time over LoRA's, by rounds",
)
# Place of the column that says what a row is of.
_WHAT = 1
_SMALL = (
    "Run small on the CPU, kernels and sums by Triton's interpreter: nothing is measured, so no "
    "time is told."
)


def text(rows: Sequence[Mapping[str, Any]], *, width: int, is_small: bool) -> str:
    """Returns the table, what failed or was not run and why, and what the columns mean.

    Args:
        rows: of all parts.
        width: characters of a line, from 80.
        is_small: whether they are of the form that measures nothing.
    """
    parts = [*_table(rows, width=width, is_small=is_small), ""]
    parts += [
        f"{row['status'].upper()} {row['part']}: {row['what']}: {row.get('detail', '')}"
        for row in rows
        if row["status"] != "ok"
    ]
    counts = Counter(row["status"] for row in rows)
    parts.append(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    return "\n".join([*parts, *([_SMALL] if is_small else _NOTES)])


def _table(rows: Sequence[Mapping[str, Any]], *, width: int, is_small: bool) -> Iterator[str]:
    """Yields the lines of the table, by the standard library alone: rich may be missing there."""
    columns = [
        column for column in _columns(is_small=is_small) if width >= WIDE or column.is_narrow
    ]
    titles = [column.title for column in columns]
    cells = [[column.text(row) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    # What a row is of gets the place that the figures leave, and goes on in the next line.
    widths[_WHAT] = min(widths[_WHAT], width - sum(widths) + widths[_WHAT] - 2 * len(columns) + 2)
    yield _line(titles, columns, widths)
    yield _line(["-" * x for x in widths], columns, widths)
    for row in cells:
        first, *others = textwrap.wrap(row[_WHAT], widths[_WHAT]) or [""]
        yield _line([*row[:_WHAT], first, *row[_WHAT + 1 :]], columns, widths)
        for rest in others:
            yield _line([""] * _WHAT + [rest], columns, widths)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    texts = zip(cells, columns, widths, strict=False)
    return "  ".join(
        text.rjust(width) if column.is_number else text.ljust(width)
        for text, column, width in texts
    ).rstrip()


def _columns(*, is_small: bool) -> list[Column]:
    def shown(name: str, form: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: "" if row.get(name) is None else format(row[name], form)

    def ratio(row: Mapping[str, Any]) -> str:
        found = row.get("autograd_over_it", row.get("over_lora"))
        return "" if found is None else f"{found:.2f}"

    def quartiles(row: Mapping[str, Any]) -> str:
        for low, high in (("low_ms", "high_ms"), ("over_lora_low", "over_lora_high")):
            if low in row:
                return f"{row[low]:.3f}–{row[high]:.3f}"
        return ""

    told = [
        Column("part", lambda row: row["part"], is_number=False),
        Column("what", lambda row: row["what"], is_number=False),
        Column("result", lambda row: row["status"], is_number=False),
    ]
    if is_small:
        return told
    return [
        *told,
        Column("ms", shown("time_ms", ".3f")),
        Column("quartiles", quartiles, is_narrow=False),
        Column("ratio", ratio),
        Column("of limit", shown("of_limit", ".2f")),
        Column("peak MiB", lambda row: mebibytes(row.get("peak_memory_bytes")), is_narrow=False),
    ]
