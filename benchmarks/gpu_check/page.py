"""The table that is printed of all parts, and what stands beneath it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks._bench import Column, mebibytes, render

__all__ = ["text"]

_NOTES = (
    "of limit: kernels, the error over what is allowed for it; sums, the time over that of copying "
    "what is read; steps, the time over the roofline by the card's published rates (empty where "
    "none are known); zero, the difference of the losses over what is allowed for it",
    "ratio: sums, autograd's time over it; steps, the time over LoRA's, by rounds",
)
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
    parts = [render(_columns(is_small=is_small), rows, width=width), ""]
    parts += [
        f"{row['status'].upper()} {row['part']}: {row['what']}: {row.get('detail', '')}"
        for row in rows
        if row["status"] != "ok"
    ]
    counts = Counter(row["status"] for row in rows)
    parts.append(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    return "\n".join([*parts, *([_SMALL] if is_small else _NOTES)])


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
        Column("peak\nMiB", lambda row: mebibytes(row.get("peak_memory_bytes")), is_narrow=False),
    ]
