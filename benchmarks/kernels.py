"""The gradient of MoSA's λ on the CPU: Figure 2 of its paper, with the copy that bounds it.

A weight gradient of 4096 x 4096 float32 values is summed into K groups, balanced (``brt``) and
skewed (ρ = 0.85), by

* autograd: the backward pass of ``λ[Γ.long()]`` alone, without its forward pass;
* ``index_add_`` with int32 indices, into new zeros;
* ours with Γ stored: reads the values and 4 bytes of index for each;
* ours with Γ computed from the tessellation: reads the values alone;

beside copies into memory that is there already: of the values and Γ, which is what the stored form
reads, and of the values alone, which is what the computed form reads. All take turns in each round,
in one process; each sum is first checked against one in float64.

Prediction, written before the first run, for 2 threads: autograd takes at least 4 times as long as
ours with Γ stored at every K, most at K = 1, where all its atomic additions meet in one place; ours
with Γ stored takes at most 1.5 times the copy of values and Γ up to K = 65,536, where sums fit in a
second-level cache, and more beyond; ours computed does some 40 integer operations for each weight
and is bound by these, not by memory: slower than with Γ stored, and above 1.5 times the copy of the
values.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks._bench import (
    RESULTS,
    Column,
    Ratio,
    alternate,
    document,
    machine,
    render,
    terminal_width,
    write,
)
from sweeper_kernels import Tessellation, group_index, segment_sum

SIDE = 4096
GROUPS = (1, 4, 32, 256, 1024, 4096, 16_384, 65_536, 262_144)
QUICK_GROUPS = (1, 4096, 262_144)
STRATEGIES: tuple[Literal["brt", "skewed"], ...] = ("brt", "skewed")
SEEDS = {"values": 0, "tessellation": 0}
# The largest K that the second target is for.
COPY_TARGET_GROUPS = 65_536
# Of the size that the largest sum has by chance, √Σv²: adding 16.8 million values of either sign
# one by one in float32 is off by up to 2e-4 of it, in four draws.
TOLERANCE = 1e-3

RIVALS = ("autograd", "index_add", "stored", "computed", "copy of values and Γ", "copy of values")
RATIOS = {
    "autograd_to_stored": ("autograd", "stored"),
    "autograd_to_computed": ("autograd", "computed"),
    "stored_to_copy": ("stored", "copy of values and Γ"),
    "computed_to_copy": ("computed", "copy of values"),
    "computed_to_stored": ("computed", "stored"),
}


def rivals(values: Tensor, tessellation: Tessellation) -> dict[str, Callable[[], Tensor]]:
    """Returns what is timed, by name; each returns the sums, but for the copies.

    Args:
        values: [O, I], float32.
        tessellation: of a matrix of this shape.
    """
    groups, device = tessellation.groups, values.device
    index = group_index(tessellation, device=device)
    trained = torch.zeros(groups, device=device, requires_grad=True)
    gathered = trained[index.long()]
    values_copy, index_copy = torch.empty_like(values), torch.empty_like(index)

    def copy_both() -> Tensor:
        values_copy.copy_(values)
        return index_copy.copy_(index)

    made: list[Callable[[], Tensor]] = [
        lambda: torch.autograd.grad(gathered, trained, values, retain_graph=True)[0],
        lambda: torch.zeros(groups, device=device).index_add_(0, index.view(-1), values.view(-1)),
        lambda: segment_sum(values, index, groups=groups),
        lambda: segment_sum(values, tessellation, groups=groups),
        copy_both,
        lambda: values_copy.copy_(values),
    ]
    return dict(zip(RIVALS, made, strict=True))


def demand_right(sums: Mapping[str, Tensor], expected: Tensor, *, size: float) -> None:
    """Checks the sums of all rivals: a wrong result is no speed.

    Args:
        sums: by rival, [K].
        expected: [K], float64.
        size: that the largest of them has by chance.

    Raises:
        RuntimeError: one of them is not as expected.
    """
    bound = TOLERANCE * size
    for name, found in sums.items():
        error = float((found.double() - expected).abs().max())
        if not error <= bound:
            raise RuntimeError(
                f"the sums of {name!r} are wrong by {error:g}; allowed is {bound:g}; its times "
                "mean nothing: mend it first"
            )


def check(
    made: Mapping[str, Callable[[], Tensor]], values: Tensor, tessellation: Tessellation
) -> None:
    """Checks all rivals but the copies against sums in float64.

    Args:
        made: what :func:`rivals` returned.
        values: [O, I], what is summed.
        tessellation: the groups.

    Raises:
        RuntimeError: one of them is wrong.
    """
    index, wide = group_index(tessellation, device=values.device).view(-1), values.view(-1).double()
    expected, squares = (
        torch.bincount(index, weights=terms, minlength=tessellation.groups)
        for terms in (wide, wide.square())
    )
    sums = {name: made[name]() for name in RIVALS if "copy" not in name}
    demand_right(sums, expected, size=float(squares.max().sqrt()))


def measure(values: Tensor, tessellation: Tessellation, *, rounds: int) -> dict[str, Any]:
    """Returns the figures of one K and one way of grouping."""
    made = rivals(values, tessellation)
    check(made, values, tessellation)
    times_s = alternate(made, rounds=rounds)
    return {
        "strategy": tessellation.strategy,
        "groups": tessellation.groups,
        "times_s": {name: statistics.median(found) for name, found in times_s.items()},
        "spread_s": {name: [min(found), max(found)] for name, found in times_s.items()},
        "ratios": {
            name: asdict(Ratio.of(times_s[above], times_s[below]))
            for name, (above, below) in RATIOS.items()
        },
    }


def targets(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line for each target: the worst ratio, where it is, and whether it is met."""
    small = [row for row in rows if row["groups"] <= COPY_TARGET_GROUPS]
    lines = []
    for index in ("stored", "computed"):
        row = min(rows, key=lambda row: _median(row, f"autograd_to_{index}"))
        ratio = _median(row, f"autograd_to_{index}")
        lines.append(
            f"autograd / ours, Γ {index}: at least {ratio:.2f}, at {_place(row)} "
            f"(target: at least 4): {'met' if ratio >= 4 else 'MISSED'}"
        )
        row = max(small, key=lambda row: _median(row, f"{index}_to_copy"))
        ratio = _median(row, f"{index}_to_copy")
        lines.append(
            f"ours, Γ {index} / copy of its inputs, K up to {COPY_TARGET_GROUPS:,}: at most "
            f"{ratio:.2f}, at {_place(row)} (target: at most 1.5): "
            f"{'met' if ratio <= 1.5 else 'MISSED'}"
        )
    return lines


def columns() -> list[Column]:
    """Returns the columns of the printed table."""

    def ms(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: f"{1000 * row['times_s'][name]:.1f}"

    def ratio(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: f"{_median(row, name):.2f}"

    def spread(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: f"{row['ratios'][name]['low']:.2f}–{row['ratios'][name]['high']:.2f}"

    return [
        Column("groups", lambda row: row["strategy"], is_number=False),
        Column("K", lambda row: f"{row['groups']:,}"),
        Column("autograd\nms", ms("autograd")),
        Column("index_add\nms", ms("index_add"), is_narrow=False),
        Column("stored\nms", ms("stored")),
        Column("computed\nms", ms("computed")),
        Column("copy of\nboth, ms", ms("copy of values and Γ"), is_narrow=False),
        Column("copy of\nvalues, ms", ms("copy of values"), is_narrow=False),
        Column("autograd\n/stored", ratio("autograd_to_stored")),
        Column("autograd\n/computed", ratio("autograd_to_computed"), is_narrow=False),
        Column("stored\n/copy", ratio("stored_to_copy")),
        Column("quartiles", spread("stored_to_copy"), is_narrow=False),
        Column("computed\n/copy", ratio("computed_to_copy")),
        Column("quartiles", spread("computed_to_copy"), is_narrow=False),
    ]


def plot(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Draws time against K, a panel for each way of grouping, as an SVG.

    Args:
        rows: the figures.
        path: of the file.
        title: what it was measured on.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Text as text, and the same file for the same figures.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kernels"}):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        panels = figure.subplots(1, len(STRATEGIES), sharey=True)
        for panel, strategy in zip(panels, STRATEGIES, strict=True):
            chosen = [row for row in rows if row["strategy"] == strategy]
            for name in RIVALS:
                panel.plot(
                    [row["groups"] for row in chosen],
                    [1000 * row["times_s"][name] for row in chosen],
                    "--" if "copy" in name else "-o",
                    label=f"ours, Γ {name}" if name in ("stored", "computed") else name,
                )
            panel.set(xscale="log", yscale="log", xlabel="groups K", title=strategy)
            panel.grid(alpha=0.3)
        panels[0].set_ylabel("ms")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
        figure.suptitle(title, fontsize="small")
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Runs the bench, prints its figures, writes and draws them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three K, three rounds: a smoke run")
    parser.add_argument("--rounds", type=int, help="instead of 15, or 3 with --quick")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 15)
    before = machine()
    torch.manual_seed(SEEDS["values"])
    values = torch.randn(SIDE, SIDE)
    rows = []
    for strategy in STRATEGIES:
        for groups in QUICK_GROUPS if arguments.quick else GROUPS:
            print(f"{strategy}, K = {groups:,}", file=sys.stderr)
            tessellation = Tessellation(
                SIDE, SIDE, groups, strategy=strategy, seed=SEEDS["tessellation"]
            )
            rows.append(measure(values, tessellation, rounds=rounds))
    settings = {"out_features": SIDE, "in_features": SIDE, "dtype": "float32", "rounds": rounds}
    result = document("kernels", rows=rows, seeds=SEEDS, settings=settings, machine=before)
    print(render(columns(), rows, width=terminal_width()))
    print("\n".join(targets(rows)))
    is_whole = not arguments.quick and arguments.rounds is None
    path = write(result, is_whole=is_whole)
    title = (
        f"{SIDE} × {SIDE} float32, {before['cpu']}, {result['threads']} threads, {rounds} rounds"
    )
    plot(rows, path.with_suffix(".svg"), title=title)
    print(f"figures: {path.relative_to(RESULTS.parent.parent)}, and as a plot beside it")


def _median(row: Mapping[str, Any], name: str) -> float:
    return float(row["ratios"][name]["median"])


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['strategy']}, K = {row['groups']:,}"


if __name__ == "__main__":
    main()
