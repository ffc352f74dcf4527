"""Measures a few steps of trials, each of them in a process of its own.

``python -m sweeper.preflight.forecast.copies`` reads a :class:`Request` as JSON from standard input
and writes a line of JSON for the base, and one for each trial as soon as it is measured, so that
whoever stops it keeps what there is.

On a CPU each trial has a process, a copy of one that has imported everything. What trials leave in
a heap are pieces between which the blocks of the next one find no room: measured by one process,
the last of 24 methods had peaks that were up to 28 % too high.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn, TextIO

from sweeper.distributed import alone
from sweeper.preflight.forecast.measuring import (
    MeasuredBase,
    MeasuredTrial,
    Request,
    measure,
    process_start_s,
)

__all__ = ["measure_apart"]


def measure_apart(request: Request) -> Iterator[MeasuredBase | MeasuredTrial]:
    """Yields what the base takes, and then what each trial costs, on a CPU by itself.

    Args:
        request: what to measure.
    """
    began_s = process_start_s()
    if request.on_gpu:
        with alone():
            yield from measure(request, began_s=began_s)
        return
    # Before any thread of torch begins: a copy would wait for it for ever.
    _import_all()
    for number, trial in enumerate(request.trials):
        own = request.model_copy(update={"trials": (trial,)})
        told = None
        for told in _copy_measures(own, began_s=began_s):
            if isinstance(told, MeasuredTrial):
                yield told.model_copy(update={"number": number})
            elif not number:
                yield told
        if told is None:
            # Model or data cannot be read.
            return
        if not isinstance(told, MeasuredTrial):
            yield MeasuredTrial(number=number, error="its process ended before it was measured")


def _import_all() -> None:
    from sweeper._third_party import load_deepspeed

    for name in ("peft", "sweeper.evaluation.adapter", "sweeper.training.trial"):
        importlib.import_module(name)
    load_deepspeed()


def _copy_measures(request: Request, *, began_s: float) -> Iterator[MeasuredBase | MeasuredTrial]:
    """Yields what a copy of this process measures, as far as it comes."""
    reading, writing = os.pipe()
    copy = os.fork()
    if not copy:
        os.close(reading)
        _answer(request, writing, began_s=began_s)
    os.close(writing)
    try:
        with os.fdopen(reading, encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    # It ended in the middle.
                    return
                kind = MeasuredTrial if '"kind":"trial"' in line else MeasuredBase
                yield kind.model_validate_json(line)
    finally:
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)


def _answer(request: Request, writing: int, *, began_s: float) -> NoReturn:
    """Writes what is measured, and ends this copy without what its original would do at its end."""
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as answer:
            _measure_into(answer, request, began_s=began_s)
    finally:
        os._exit(0)


def _measure_into(answer: TextIO, request: Request, *, began_s: float) -> None:
    try:
        with alone():
            for found in measure(request, began_s=began_s):
                answer.write(found.model_dump_json() + "\n")
                answer.flush()
    except BaseException:  # noqa: BLE001 - whatever it was, a copy must not go on as its original
        traceback.print_exc()
        sys.stderr.flush()


def _main() -> None:
    """Measures what standard input asks for."""
    request = Request.model_validate_json(sys.stdin.buffer.read())
    # What libraries print is none of the answer.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for found in measure_apart(request):
        answer.write(found.model_dump_json() + "\n")
        answer.flush()


if __name__ == "__main__":
    _main()
