"""Checks on one card what no machine without one can: kernels, Figure 2, Table 11, ZeRO-2.

In less than six minutes, in four parts of which each is a process of its own: what breaks in one is
a row of the table, and the others go on. With --small the same code runs on a CPU and on small
matrices, kernels and sums by Triton's interpreter; that measures nothing, and shows that the script
is whole.

Exit code: 0 if all is well, 1 if something failed or its time was over, 2 without a card.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch

from benchmarks import kernels
from benchmarks._bench import RESULTS, document, machine, terminal_width, write
from benchmarks.gpu_check.page import text
from benchmarks.gpu_check.parts import PARTS, Row, run_part

__all__ = ["card", "main"]

NO_CARD = (
    "There is no CUDA card here that torch can use, so nothing is checked and nothing is measured. "
    "Run it on a machine with one card and a CUDA build of torch; with --small the same code runs "
    "on this CPU, small, and measures nothing."
)
BENCH = "gpu_check"


def main() -> int:
    """Runs the parts, prints their table and, if they were measured, writes their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="on a CPU; measures nothing")
    names = [part.name for part in PARTS]
    parser.add_argument("--only", choices=names, help="one part")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        print(NO_CARD, file=sys.stderr)
        return 2
    before, started_s = machine(), time.monotonic()
    chosen = [part for part in PARTS if arguments.only in (None, part.name)]
    rows: list[Row] = []
    for part in chosen:
        rows += run_part(part, is_small=arguments.small)
    print(text(rows, width=terminal_width(), is_small=arguments.small))
    if not arguments.small:
        settings = {"card": card(), "took_s": time.monotonic() - started_s}
        result = document(BENCH, rows=rows, seeds=_seeds(), settings=settings, machine=before)
        path = write(result, is_whole=arguments.only is None)
        print(f"{settings['card']['name']}; figures: {path.relative_to(RESULTS.parent.parent)}")
    return int(any(row["status"] != "ok" for row in rows))


def _seeds() -> dict[str, int]:
    """Returns the seeds of what was drawn; where a package of ``steps`` is missing, without its."""
    try:
        from benchmarks import step
    except ImportError:
        return dict(kernels.SEEDS)
    return {**kernels.SEEDS, **step.SEEDS}


def card() -> dict[str, Any]:
    """Returns what the first card is, and what torch was built for."""
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "memory_bytes": found.total_memory,
        "multiprocessors": found.multi_processor_count,
        "cuda": torch.version.cuda,
    }


if __name__ == "__main__":
    sys.exit(main())
