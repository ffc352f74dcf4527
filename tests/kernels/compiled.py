"""Compiles kernels, and two bad ones, and prints what the report says of each, as JSON.

`make test` takes one case of each kernel and those with stored groups, `make test-whole` takes all.
"""

import json
import sys

import torch
import triton
import triton.language as tl

from benchmarks import kernels_report
from benchmarks._ahead import compile_launches, require_compiler
from benchmarks._cases import Case, cases
from benchmarks._gpus import GPUS
from tests.whole import IS_WHOLE


@triton.jit
def strided(x_ptr, out_ptr, N, BLOCK: tl.constexpr):
    """Reads 4 bytes at a time in its loop."""
    n = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, N, BLOCK):
        total += tl.load(x_ptr + (start + n) * 3)
    tl.store(out_ptr + n, total)


@triton.jit
def greedy(x_ptr, out_ptr, BLOCK: tl.constexpr):
    """Keeps more numbers than a thread has registers."""
    n = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + n)
    tl.store(out_ptr + n, tl.cumsum(x, 0) + x)


def launch(kernel, *sizes, **options):
    """Launches a kernel on two vectors."""
    kernel[(1,)](torch.empty(1 << 16), torch.empty(1 << 16), *sizes, **options)


BAD = (
    Case(
        "strided", "bad", lambda: launch(strided, 1 << 14, BLOCK=1024, num_warps=4), 1, 0, "float32"
    ),
    Case("greedy", "bad", lambda: launch(greedy, BLOCK=16384, num_warps=1), 1, 0, "float32"),
)


def chosen():
    """Returns the cases."""
    if IS_WHOLE:
        return cases()
    # Stored groups have kernels of their own, and the report compares the two.
    first = {case.name: case for case in reversed(cases()) if case.name.endswith(" stored")}
    return [*cases(is_quick=True), *(case for name, case in first.items() if "W0" not in name)]


def main():
    """Prints the report's rows with their problems, its page, and its tables by their width."""
    require_compiler()
    found = []
    for case in [*chosen(), *BAD]:
        for gpu in GPUS:
            [compiled] = compile_launches(case.call, target=gpu.target)
            row = kernels_report.row(case, gpu, compiled)
            found.append({**row, "problems": kernels_report.problems(case, compiled)})
    ours = [row for row in found if row["shape"] != "bad"]
    layers = kernels_report.compare(ours)
    printed = {
        "rows": found,
        "page": kernels_report.markdown(ours, layers),
        "tables": {width: kernels_report.tables(ours, layers, width=width) for width in (80, 160)},
    }
    json.dump(printed, sys.stdout)


if __name__ == "__main__":
    main()
