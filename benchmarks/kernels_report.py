"""Every Triton kernel compiled for A100 and H100 without either, and the time that each allows.

    make kernels-report [ARGS=--quick]

Nothing here is measured. Registers, spills and instructions are read from the compiled kernels; the
times are *computed*: the longest of what memory, the second-level cache, the units of the products,
the two integer pipelines and the issue of instructions allow by their published rates, as if they
overlapped perfectly and nothing else happened. A kernel takes longer than that.

Expected before the first run: no spills; loads of 16 bytes but for the gathers; the integer work of
a computed Γ (some 55 instructions a weight) shows in ``expand`` and hides behind the product in
``grad_values``.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks._ahead import Compiled, compile_launches, require_compiler
from benchmarks._bench import RESULTS, Column, document, machine, render, terminal_width, write
from benchmarks._cases import RANK, TOKENS, Case, cases
from benchmarks._gpus import GPUS, Gpu, bounds_us, resident_warps

__all__ = ["compare", "markdown", "problems", "row", "tables", "totals"]


def main() -> None:
    """Compiles, prints, and writes ``kernels_report.json`` and ``kernels_report.md``.

    Raises:
        SystemExit: a kernel spills, or loads too narrowly in a loop.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one case of each kernel")
    is_quick = parser.parse_args().quick
    require_compiler()
    before = machine()
    rows, found = [], []
    for case in cases(is_quick=is_quick):
        for gpu in GPUS:
            [compiled] = compile_launches(case.call, target=gpu.target)
            rows.append(row(case, gpu, compiled))
            found += problems(case, compiled)
    layers = [] if is_quick else compare(rows)
    print(tables(rows, layers, width=terminal_width()))
    settings = {"tokens": TOKENS, "rank": RANK, "is_measured": False}
    result = document("kernels_report", rows=rows, seeds={}, settings=settings, machine=before)
    path = write({**result, "layers": layers}, is_whole=not is_quick)
    if not is_quick:
        page = RESULTS / "kernels_report.md"
        page.write_text(markdown(rows, layers), encoding="utf-8")
    print(f"written to {path}")
    if found:
        raise SystemExit("\n".join(found))


def problems(case: Case, compiled: Compiled) -> list[str]:
    """Returns what is wrong with a compiled kernel: spills, and narrow loads in loops."""
    code, name = compiled.code, f"{case.name}, {case.shape}, sm_{compiled.target}"
    found = []
    if code.spills or code.local_bytes:
        found.append(
            f"{name}: {code.spills} instructions spill, {code.local_bytes} bytes a thread; "
            "allowed is none; take smaller blocks or more warps"
        )
    if code.narrow_loads() != case.scattered:
        found.append(
            f"{name}: {code.narrow_loads()} loads of 4 bytes or less in the loop, or at all where "
            f"there is none; its algorithm needs {case.scattered}; align what is read, or correct "
            "the case"
        )
    return found


def totals(case: Case, compiled: Compiled) -> dict[str, int]:
    """Returns how many instructions all threads execute, by kind: loops times their turns."""
    threads, inside = compiled.programs * compiled.threads, compiled.code.inside
    turns: float = case.trips
    if inside.total() and not turns and case.scattered:
        # The mean: the last blocks of groups are not full, and some groups are longer.
        turns = case.accesses / (threads * case.scattered)
    kinds = sorted(compiled.code.outside | inside)
    return {
        kind: round(threads * (compiled.code.outside[kind] + turns * inside[kind]))
        for kind in kinds
    }


def row(case: Case, gpu: Gpu, compiled: Compiled) -> dict[str, Any]:
    """Returns the figures of one kernel on one GPU."""
    code, executed = compiled.code, totals(case, compiled)
    bounds = bounds_us(case, gpu, executed)
    return {
        "case": case.name,
        "shape": case.shape,
        "gpu": gpu.name,
        "kernel": compiled.kernel,
        "programs": compiled.programs,
        "threads": compiled.threads,
        "registers": code.registers,
        "spills": code.spills,
        "local_bytes": code.local_bytes,
        "shared_bytes": compiled.launch_shared_bytes,
        "resident_warps": resident_warps(compiled, gpu),
        "moved_bytes": case.moved_bytes,
        "operations": case.operations,
        "instructions": {"outside": dict(code.outside), "inside": dict(code.inside)},
        "load_bytes": {"outside": dict(code.loads_outside), "inside": dict(code.loads_inside)},
        "scattered": case.scattered,
        "accesses": case.accesses,
        "executed_tensor_operations": case.trips
        * compiled.programs
        * compiled.threads
        * code.tensor_operations_inside,
        "executed": executed,
        "computed_bounds_us": bounds,
        "computed_us": max(bounds.values()),
        "limit": max(bounds, key=bounds.__getitem__),
    }


def compare(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns computed times of one training step of a 4096 x 4096 layer, against LoRA's.

    In 16 bit λ[Γ] is multiplied by itself, as W0 + λ[Γ] would round a small λ away: five products
    of full size. The paper's form, one product with the rounded sum, has three.
    """
    found = []
    for gpu in GPUS:
        times = {r["case"]: r["computed_us"] for r in rows if _is_of(r, gpu)}
        product = 2 * TOKENS * 4096 * 4096 / gpu.tensor_per_s * 1e6
        # Six skinny products, each of which reads or writes an activation of 16 bits once.
        skinny = 6 * TOKENS * 4096 * 2 / gpu.bytes_per_s * 1e6
        lora = 2 * product + skinny
        for kind in ("brt computed", "stored"):
            expand = times[f"expand, bfloat16, {kind}"]
            gradient = times[f"grad_values, bfloat16, {kind}"]
            split = 4 * product + 2 * expand + gradient
            summed = 2 * product + 2 * expand + gradient
            found.append(
                {
                    "gpu": gpu.name,
                    "index": kind,
                    "product_us": product,
                    "expand_us": expand,
                    "gradient_us": gradient,
                    "lora_us": lora,
                    "split_us": split,
                    "split_to_lora": split / lora,
                    "summed_us": summed,
                    "summed_to_lora": summed / lora,
                    "index_bytes": 0 if kind != "stored" else 4 * 4096 * 4096,
                }
            )
    return found


def tables(
    rows: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]], *, width: int
) -> str:
    """Returns what is printed, in lines of ``width`` characters at most."""
    parts = [textwrap.fill(_NOTE, width)]
    parts += [
        f"{title}\n{render(columns, shown, width=width)}"
        for title, columns, shown in _parts(rows, layers)
    ]
    return "\n\n".join(parts)


def markdown(rows: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page of the report."""
    parts = ["# Kernels, compiled ahead of time", _NOTE]
    for title, columns, shown in _parts(rows, layers):
        heads = [column.title.replace("\n", " ") for column in columns]
        lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        lines += [f"| {' | '.join(column.text(r) for column in columns)} |" for r in shown]
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _parts(
    rows: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[Column], Sequence[Mapping[str, Any]]]]:
    return [
        ("What they are compiled to", _code_columns(), rows),
        ("Computed time of a call", _time_columns(), rows),
        ("Computed time of a step of one layer, 4096x4096", _layer_columns(), layers),
    ]


_NOTE = (
    "*Computed, not measured.* Times are the longest of what memory, the second-level cache, "
    "products, both integer pipelines and the issue of instructions allow by published rates; a "
    "kernel takes longer than that. Atomic additions that meet in one place wait for one another, "
    "which no published rate tells. Widths of loads are in bytes for each thread, and instructions "
    "those of a thread, both in loops first. The cache is asked for what each thread reads or adds "
    "somewhere else, 32 bytes each."
)


def _is_of(row: Mapping[str, Any], gpu: Gpu) -> bool:
    return bool(row["gpu"] == gpu.name) and row["shape"].startswith("4096x4096")


def _widths(row: Mapping[str, Any]) -> str:
    parts = []
    for place in ("inside", "outside"):
        counts = row["load_bytes"][place]
        parts.append(" ".join(f"{counts[size]}x{size}" for size in sorted(counts, key=int)) or "–")
    return " / ".join(parts)


def _mix(row: Mapping[str, Any]) -> str:
    parts = []
    for place in ("inside", "outside"):
        counts = row["instructions"][place]
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        parts.append(" ".join(f"{count} {kind}" for kind, count in ordered if count) or "–")
    return " / ".join(parts)


def _names() -> list[Column]:
    return [
        Column("kernel", lambda row: f"{row['case']}, {row['shape']}", is_number=False),
        Column("GPU", lambda row: row["gpu"], is_number=False),
    ]


def _code_columns() -> list[Column]:
    return [
        *_names(),
        Column("regi-\nsters", lambda row: str(row["registers"])),
        Column("spills", lambda row: str(row["spills"])),
        Column("shared\nKiB", lambda row: f"{row['shared_bytes'] / 1024:.0f}"),
        Column("warps\nof 64", lambda row: str(row["resident_warps"])),
        Column("loads in /\nout of loops", _widths),
        Column(
            "instructions in / out of loops",
            _mix,
            is_narrow=False,
            is_number=False,
        ),
    ]


def _time_columns() -> list[Column]:
    def bound(name: str) -> Column:
        return Column(
            f"{name}\nµs", lambda row: f"{row['computed_bounds_us'][name]:,.1f}", is_narrow=False
        )

    return [
        *_names(),
        Column("MB", lambda row: f"{row['moved_bytes'] / 1e6:,.1f}"),
        Column("Gop", lambda row: f"{row['operations'] / 1e9:,.1f}"),
        *map(bound, ("memory", "cache", "products", "integers", "multiplies", "issue")),
        Column("computed\nµs", lambda row: f"{row['computed_us']:,.1f}"),
        Column("limit", lambda row: row["limit"], is_number=False),
    ]


def _layer_columns() -> list[Column]:
    def us(name: str) -> Column:
        return Column(f"{name}\nµs", lambda row: f"{row[f'{name}_us']:,.0f}", is_narrow=False)

    return [
        Column("GPU", lambda row: row["gpu"], is_number=False),
        Column("Γ", lambda row: row["index"], is_number=False),
        us("product"),
        us("expand"),
        us("gradient"),
        us("lora"),
        us("split"),
        Column("five products\n/ LoRA", lambda row: f"{row['split_to_lora']:.2f}"),
        us("summed"),
        Column("three products\n/ LoRA", lambda row: f"{row['summed_to_lora']:.2f}"),
        Column("index\nMiB", lambda row: f"{row['index_bytes'] / 2**20:.0f}"),
    ]


if __name__ == "__main__":
    main()
