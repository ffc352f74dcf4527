"""What `bench-step` prints: a table for each model, what failed, notes, and the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks._bench import Column, mebibytes, render

__all__ = ["report", "targets"]


def targets(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a line for each target that the rows can answer."""
    for row in rows:
        if row["status"] != "ok":
            continue
        place, name = f"{row['shape']}: {row['name']}", row["name"]
        if name in ("mosa-stored", "mosa-computed"):
            yield _target(f"{place}, time over its floor", row["time_to_floor"], 1.10)
        if name == "mosa-computed":
            yield _target(f"{place}, bytes of index", row["index_bytes"], 0)
            for other, ratio in row.get("time_ratio_to", {}).items():
                yield _target(f"{place}, time over {other}'s", ratio["median"], 1.10)
        if name == "masa-collapsed":
            yield _target(f"{place}, time over LoRA's", row["time_ratio"]["median"], 1.03)
            yield _target(f"{place}, peak memory over LoRA's", row["memory_ratio"], 1.01)


def columns() -> list[Column]:
    """Returns the columns of the printed table."""

    def shown(text: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: text(row) if row["status"] == "ok" else ""

    def quartiles(row: Mapping[str, Any]) -> str:
        return f"{row['time_ratio']['low']:.2f}–{row['time_ratio']['high']:.2f}"

    return [
        Column("method", lambda row: row["name"], is_number=False),
        Column("parameters", shown(lambda row: f"{row['parameters']:,}"), is_narrow=False),
        Column(
            "off\nbudget",
            shown(lambda row: "" if row["budget"] is None else f"{row['miss_percent']:+.1f} %"),
            is_narrow=False,
        ),
        Column("step\ns", shown(lambda row: f"{row['step_time_s']:.2f}")),
        Column("tokens/s", shown(lambda row: f"{row['tokens_per_s']:,.0f}"), is_narrow=False),
        Column("time /\nLoRA's", shown(lambda row: f"{row['time_ratio']['median']:.2f}")),
        Column("quartiles", shown(quartiles)),
        Column("FLOPs /\nLoRA's", shown(lambda row: f"{row['flop_ratio']:.2f}")),
        Column("time /\nfloor", shown(lambda row: f"{row['time_to_floor']:.2f}")),
        Column("peak\nMiB", shown(lambda row: mebibytes(row["peak_memory_bytes"]))),
        Column(
            "besides\nbase, MiB",
            shown(lambda row: mebibytes(row["peak_besides_base_bytes"])),
            is_narrow=False,
        ),
        Column("peak /\nLoRA's", shown(lambda row: f"{row['memory_ratio']:.3f}"), is_narrow=False),
        Column("index\nMiB", shown(lambda row: mebibytes(row["index_bytes"]))),
    ]


def report(rows: Sequence[Mapping[str, Any]], *, width: int) -> str:
    """Returns the tables, what was not as the rest, and the targets.

    Args:
        rows: the figures.
        width: characters of a line.
    """
    parts = []
    for shape in dict.fromkeys(row["shape"] for row in rows):
        chosen = [row for row in rows if row["shape"] == shape]
        parts += [shape, render(columns(), chosen, width=width), ""]
    failed = [row for row in rows if row["status"] == "failed"]
    parts += [f"FAILED {row['shape']}: {row['name']}: {row['error']}" for row in failed]
    noted = {row["name"]: row["note"] for row in rows if row.get("note")}
    parts += [f"{name}: {note}" for name, note in noted.items()]
    return "\n".join([*parts, *targets(rows)])


def _target(what: str, found: float, bound: float) -> str:
    verdict = "met" if found <= bound else "MISSED"
    return f"{what}: {found:,.3f} (target: at most {bound:g}): {verdict}"
