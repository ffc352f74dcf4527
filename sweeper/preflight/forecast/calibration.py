"""Costs from a few real steps, taken in a process of their own, and kept for the next time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sweeper._environment import cache_root, without_terminal
from sweeper._files import read_json, write_json
from sweeper.errors import DamagedFileError
from sweeper.experiment.sweep import ResourcesSpec
from sweeper.experiment.trial import IDENTITY_VERSION, TrialSpec
from sweeper.preflight.forecast.computing import BUSY, busy_text
from sweeper.preflight.forecast.costs import Costs, KnownCost, step_operations
from sweeper.preflight.forecast.measuring import MeasuredBase, MeasuredTrial, Request
from sweeper.preflight.model.memory import memory_of, memory_there

if TYPE_CHECKING:
    import psutil

__all__ = ["calibrated_costs"]

logger = logging.getLogger(__name__)

# Share of the free memory that the process may take before it is stopped.
_SHARE = 0.8
_LOOK_S = 0.2
# Besides what the steps themselves vary by: a machine is not always as fast.
_LOW, _HIGH = 0.9, 1.15
_WIDEST = 2.0


def calibrated_costs(
    trials: Sequence[TrialSpec], resources: ResourcesSpec, *, fingerprint: str, within_s: float
) -> Costs | None:
    """Returns what trials cost by a few real steps on this machine; None where none were taken.

    They are not where time or memory does not suffice, the worker would have a GPU that this
    machine has not, or model or data cannot be read. What was measured before, of the same trials
    on the same machine, is not measured again.

    Args:
        trials: one of each method, the first one first.
        resources: of a replica; of several workers one is measured.
        fingerprint: of the data, and of a model at a path.
        within_s: seconds that it may take, the start of its process included; 0 for none, which
            takes what was measured before.
    """
    if resources.gpus_per_worker and not _has_gpu():
        return None
    request = Request(
        trials=tuple(trials),
        threads=max(1, int(resources.cpus_per_worker)),
        on_gpu=resources.gpus_per_worker > 0,
    )
    place = _place(request, fingerprint)
    lines = _kept(place)
    if not lines and within_s > 0 and _has_room(trials, on_gpu=request.on_gpu):
        lines = _measured(request, within_s=within_s)
        # What was measured beside other processes is good for now alone.
        if len(lines) > 1 and all(_waits(x, request) == 1 for x in _read(lines)):
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_json(place, {"lines": lines}, is_durable=False)
    return _costs(request, lines)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_room(trials: Sequence[TrialSpec], *, on_gpu: bool) -> bool:
    """Returns whether the trials have room by formula."""
    there = memory_there(on_gpu=on_gpu)
    if there is None:
        return True
    if not on_gpu:
        import psutil

        there = min(there, int(psutil.virtual_memory().available))
    needs = (memory_of(trial, trial.model.trainable(trial.method)) for trial in trials)
    most = max(x.weights_bytes + x.trained_state_bytes + x.activations_bytes for x in needs)
    return most <= _SHARE * there


def _place(request: Request, fingerprint: str) -> Path:
    """Returns the file that keeps what was measured for a request on this machine."""
    import torch

    gpu = torch.cuda.get_device_name() if request.on_gpu else ""
    on = [platform.node(), platform.processor(), os.cpu_count(), gpu, torch.__version__]
    content = json.dumps([IDENTITY_VERSION, on, fingerprint, request.model_dump_json()])
    name = hashlib.sha256(content.encode()).hexdigest()[:16]
    return cache_root() / "forecasts" / f"{name}.json"


def _kept(place: Path) -> list[str]:
    try:
        found = read_json(place)
    except DamagedFileError:
        return []
    lines = [] if found is None else found.get("lines")
    return [x for x in lines if isinstance(x, str)] if isinstance(lines, list) else []


def _measured(request: Request, *, within_s: float) -> list[str]:
    """Returns the lines of a process that measures, as far as it comes."""
    environment = without_terminal() | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": str(request.threads),
    }
    command = [sys.executable, "-m", "sweeper.preflight.forecast.copies"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        # A group of its own, with the copies that measure.
        start_new_session=True,
    ) as child:
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(child, within_s, over), daemon=True)
        watch.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError):
                child.stdin.write(request.model_dump_json())
                child.stdin.close()
            return [line for line in child.stdout if line.endswith("\n")]
        finally:
            over.set()
            _end(child)
            watch.join()


def _watch(child: subprocess.Popen[str], within_s: float, over: threading.Event) -> None:
    """Kills the process where it takes too long, or too much memory."""
    import psutil

    deadline = time.monotonic() + within_s
    with suppress(psutil.Error):
        process = psutil.Process(child.pid)
        most = _SHARE * psutil.virtual_memory().available
        while not over.wait(_LOOK_S):
            if time.monotonic() > deadline or _largest(process) > most:
                _end(child)
                return


def _largest(process: psutil.Process) -> int:
    """Returns the resident memory of a process, or of a copy of it that has more."""
    import psutil

    found = [0]
    for one in (process, *process.children()):
        # One may have ended meanwhile.
        with suppress(psutil.NoSuchProcess):
            found.append(int(one.memory_info().rss))
    return max(found)


def _end(child: subprocess.Popen[str]) -> None:
    """Ends a process and its copies."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _costs(request: Request, lines: Sequence[str]) -> Costs | None:
    """Returns what lines say of the trials of a request; None where no trial was measured."""
    base: MeasuredBase | None = None
    known, trials = [], request.trials
    waits = 1.0
    for found in _read(lines):
        if isinstance(found, MeasuredBase):
            base = found
        elif found.error:
            logger.debug("a trial could not be measured: %s", found.error)
        elif found.number < len(trials) and found.micro_batch_s > 0:
            known.append(_known(trials[found.number], found, waits=_waits(found, request)))
            waits = max(waits, _waits(found, request))
    if base is None or not known:
        return None
    return Costs(
        known=tuple(known),
        base_bytes=base.memory_bytes,
        load_s=base.load_s,
        rates="" if waits == 1 else f"a step {busy_text(waits)}: the low ends are for a quiet one",
    )


def _waits(found: MeasuredBase | MeasuredTrial, request: Request) -> float:
    """Returns the factor by which other processes have lengthened a trial's steps; 1 for none.

    A step on a CPU computes on one processor at least for all of its time, if it is let.
    """
    if request.on_gpu or not isinstance(found, MeasuredTrial) or not found.cpu_s:
        return 1.0
    waits = found.micro_batch_s / found.cpu_s
    return waits if waits >= BUSY else 1.0


def _read(lines: Sequence[str]) -> Iterator[MeasuredBase | MeasuredTrial]:
    for line in lines:
        for model in (MeasuredBase, MeasuredTrial):
            with suppress(ValidationError):
                yield model.model_validate_json(line)
                break


def _known(trial: TrialSpec, found: MeasuredTrial, *, waits: float) -> KnownCost:
    memory = memory_of(trial, trial.model.trainable(trial.method))
    varies = min(found.spread, _WIDEST - _HIGH)
    return KnownCost(
        method=trial.method.label,
        source="calibrated",
        operations=step_operations(trial),
        activations_bytes=memory.activations_bytes + memory.trained_state_bytes,
        micro_batch_s=found.micro_batch_s,
        low=max(0.1, _LOW - varies) / waits,
        high=_HIGH + varies,
        evaluation_s=found.evaluation_s,
        evaluation_rows=trial.train.eval_examples,
        checkpoint_s=found.checkpoint_s,
        overhead_s=found.overhead_s,
        peak_bytes=found.peak_bytes,
        disk_bytes=found.disk_bytes,
    )
