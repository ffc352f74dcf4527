"""What tests let several workers do: each function runs in every process of a group.

The processes are forked from a server that has imported all of this and done nothing else, so each
of them is fresh, and a group costs no import.
"""

import gc
import importlib
import logging
import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import peft  # noqa: F401 - for the fork server
import torch
import torch.distributed as dist

import sweeper_adapters
from sweeper import distributed
from sweeper._third_party import load_deepspeed
from sweeper.estimates import to_metrics
from sweeper.evaluation.adapter import load_base_of
from sweeper.training import TrialOutcome, engine, train
from tests.sweeper import tiny

load_deepspeed()
importlib.import_module("deepspeed.runtime.zero.muon.muon_optimizer")
sweeper_adapters.register()

TIMEOUT_S = 240


def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def run(scenario: Callable[..., Any], workers: int, *args: object) -> list[Any]:
    """Returns what the scenario returns on each worker."""
    context = server()
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for rank in range(workers):
            there, here = context.Pipe(duplex=False)
            place = (rank, workers, f"{folder}/store")
            process = context.Process(target=_enter, args=(scenario, place, here, args))
            process.start()
            here.close()
            started.append((process, there))
        results = [_result(there) for _, there in started]
        for process, _ in started:
            process.kill()
            process.join()
    problems = [str(found) for is_good, found in results if not is_good]
    assert not problems, "\n".join(problems)
    return [found for _, found in results]


def _result(there) -> tuple[bool, Any]:
    try:
        return there.recv() if there.poll(TIMEOUT_S) else (False, "it hangs")
    except EOFError:
        return False, "it died"


def _enter(scenario, place, pipe, args):
    rank, workers, store = place
    torch.set_num_threads(1)
    # As `load_base` does: each trial ends with a collection.
    gc.freeze()
    logging.basicConfig(level=logging.WARNING)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers)
    try:
        pipe.send((True, scenario(*args)))
    except Exception:  # noqa: BLE001 - to be raised by whoever has started this process
        pipe.send((False, f"worker {rank}: {traceback.format_exc()}"))
    # Until it is killed, when all are done: the others may still need its end of a connection.
    time.sleep(TIMEOUT_S)


def trials(specs, folder):
    """Trains trials one after another; returns the losses and reports of each, on rank 0."""
    base = tiny.base(specs[0].engine.precision)
    found = []
    for number, spec in enumerate(specs):
        progress = tiny.Recorded()
        train(spec, base, folder=Path(folder) / str(number), progress=progress)
        found.append((progress.losses, progress.reports))
    return found


def final_losses(specs, folder):
    """Returns the last loss of each trial of a sweep, trained in one go, one after another."""
    first = specs[0]
    base = load_base_of(first, device=torch.device("cpu"))
    outcomes = [
        train(spec, base, folder=Path(folder) / str(number), progress=tiny.Recorded())
        for number, spec in enumerate(specs)
    ]
    return [outcome.metrics["eval_loss"].value for outcome in outcomes]


def train_one(spec):
    """Trains one trial; returns its last metrics."""
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(distributed.broadcast(folder))
        outcome = train(
            spec, tiny.base(spec.engine.precision), folder=shared, progress=tiny.Recorded()
        )
        distributed.gather(None)
    return to_metrics(outcome.metrics)


def logged(spec):
    """Trains one trial; returns what it logs at each step."""
    progress = tiny.Recorded()
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(distributed.broadcast(folder))
        base = tiny.base(spec.engine.precision)
        train(spec, base, folder=shared, progress=progress)
        distributed.gather(None)
    return progress.logged


def attempt(spec, folder, *, base=None, **fate):
    """Trains one trial in a folder; returns its outcome or its error, and what was reported."""
    progress = tiny.Recorded(**fate)
    found: TrialOutcome | str
    try:
        found = train(
            spec, base or tiny.base(spec.engine.precision), folder=folder, progress=progress
        )
    except Exception as error:  # noqa: BLE001 - an error is what some tests are after
        found = f"{type(error).__name__}: {error}"
    return found, progress.steps, progress.losses, progress.reports


def attempts(cases):
    """Makes several attempts one after another, each on a new base."""
    return [attempt(spec, Path(folder), **fate) for spec, folder, fate in cases]


def keep_nothing_whole() -> None:
    """Has ZeRO-3 take all weights away between passes, as it does large ones by itself."""
    module: Any = engine
    original = module.ds_config

    def config(*args: Any, **settings: Any) -> dict[str, Any]:
        made: dict[str, Any] = original(*args, **settings)
        made["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return made

    module.ds_config = config
