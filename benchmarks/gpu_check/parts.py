"""The parts, how long each may take, and how one is run: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from benchmarks._bench import RESULTS

__all__ = ["PARTS", "Part", "Piece", "Row", "run_part", "work"]

Row = dict[str, Any]
"""What came of one thing: ``what``, ``status`` (``ok``, ``failed``, ``not run``) and figures."""
# Of a part's time: whatever begins before it must end before all of it is over.
_BEGIN_SHARE = 0.8
# A CPU that interprets, and that others use, too, has that many times as long.
_SMALL_FACTOR = 10


@dataclass(frozen=True)
class Part:
    """One of the parts."""

    name: str
    module: str
    """Which has a function ``pieces``."""
    limit_s: float
    """Seconds that its process has; all together are less than six minutes."""
    is_interpreted: bool = False
    """Whether its small form runs by Triton's interpreter. Of the others each operation would take
    seconds there, of many: they run by the kernels for CPUs."""


PARTS = (
    Part("kernels", "agreement", 110, is_interpreted=True),
    Part("sums", "sums", 90, is_interpreted=True),
    Part("steps", "steps", 90),
    Part("zero", "zero", 60),
)
"""In the order in which they run: a kernel that is wrong needs no time."""


class _Runs(Protocol):
    def __call__(self) -> list[Row]: ...


@dataclass(frozen=True)
class Piece:
    """Something of a part that is tried by itself."""

    what: str
    run: _Runs
    """Returns its rows, without ``what`` where there is one row."""


def run_part(part: Part, *, is_small: bool, limit_s: float | None = None) -> list[Row]:
    """Returns the rows of a part, run in a process of its own, and one more where that broke.

    Args:
        part: which.
        is_small: whether small, on the CPU.
        limit_s: seconds that it may take, instead of its own.
    """
    limit_s = _limit_s(part, is_small=is_small) if limit_s is None else limit_s
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rows"
        command = [sys.executable, "-P", "-m", "benchmarks.gpu_check.worker", part.name]
        command += [str(place), *(["--small"] if is_small else [])]
        broke = _ended(command, _environment(part, is_small=is_small), limit_s)
        rows = _read(place)
    if broke:
        rows.append({"what": "all of it", "status": "failed", "detail": broke})
    return [{"part": part.name, **row} for row in rows]


def work(part: Part, write: Callable[[Row], None], *, is_small: bool) -> None:
    """Runs the pieces of a part here and writes each row at once, until its time is over.

    Args:
        part: which.
        write: takes a row.
        is_small: as in :func:`run_part`.
    """
    started_s = time.monotonic()
    try:
        module = import_module(f"benchmarks.gpu_check.{part.module}")
    except ImportError as error:
        write({"what": "all of it", "status": "not run", "detail": f"it needs more: {error}"})
        return
    pieces: Iterator[Piece] = module.pieces(is_small=is_small)
    for piece in pieces:
        if time.monotonic() - started_s > _BEGIN_SHARE * _limit_s(part, is_small=is_small):
            write({"what": piece.what, "status": "not run", "detail": "the part's time was over"})
            continue
        print(f"{part.name}: {piece.what}", file=sys.stderr, flush=True)
        for row in _rows(piece):
            write({"what": piece.what, **row})


def _limit_s(part: Part, *, is_small: bool) -> float:
    return part.limit_s * (_SMALL_FACTOR if is_small else 1)


def _rows(piece: Piece) -> Iterator[Row]:
    try:
        yield from piece.run()
    except Exception as error:  # noqa: BLE001 - what fails is a result, and the rest is tried
        yield {"status": "failed", "detail": f"{type(error).__name__}: {error}"[:400]}


def _ended(command: Sequence[str], environment: dict[str, str], limit_s: float) -> str:
    """Runs a command and returns what went wrong; empty where nothing did."""
    try:
        done = subprocess.run(
            command, env=environment, timeout=limit_s, check=False, stdout=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {limit_s:g} s; what has no row was not reached"
    if done.returncode:
        return f"its process ended with {done.returncode}; what has no row was not reached"
    return ""


def _environment(part: Part, *, is_small: bool) -> dict[str, str]:
    """Returns the environment of a part: with Triton as interpreter, or as compiler."""
    root = RESULTS.parents[1]
    kept = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", "SWEEPER_KERNELS")}
    paths = [str(root), str(root / "adapters"), str(root / "kernels"), kept.get("PYTHONPATH", "")]
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # Nothing that is run here is anywhere else.
    kept |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    if is_small:
        kept["CUDA_VISIBLE_DEVICES"] = ""
        if part.is_interpreted:
            kept |= {"TRITON_INTERPRET": "1", "SWEEPER_KERNELS": "triton"}
    return kept


def _read(place: Path) -> list[Row]:
    """Returns the rows of a file that may have been broken off in a line."""
    if not place.is_file():
        return []
    lines = place.read_text(encoding="utf-8").split("\n")
    # What follows the last end of a line is not whole.
    return [json.loads(line) for line in lines[:-1]]
