"""What the processes of the bench do: forecast all trials, or train one of them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeper.data.prepared import PreparedData
from sweeper.distributed import alone
from sweeper.evaluation.adapter import load_base_of
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.preflight.forecast.copies import measure_apart
from sweeper.preflight.forecast.measuring import (
    MeasuredBase,
    MeasuredTrial,
    Request,
    StepLog,
    peak_of,
)
from sweeper.training.trial import train

__all__ = ["forecast", "measured"]


def forecast(specs: Sequence[str], place: str) -> None:
    """Writes what each trial is forecast to take, a row each.

    Args:
        specs: of the trials, as JSON.
        place: where to.
    """
    each = tuple(TrialSpec.model_validate_json(spec) for spec in specs)
    rows: list[dict[str, Any]] = []
    for found in measure_apart(Request(trials=each, threads=1)):
        if isinstance(found, MeasuredBase):
            continue
        rows.append(_row(found))
        Path(f"{place}.part").write_text(json.dumps(rows), encoding="utf-8")
    Path(place).write_text(json.dumps(rows), encoding="utf-8")


def _row(found: MeasuredTrial) -> dict[str, Any]:
    return {
        "error": found.error,
        "forecast_step_cpu_s": found.cpu_s,
        "forecast_step_s": found.micro_batch_s,
        "forecast_memory_bytes": found.peak_bytes,
    }


def measured(spec: str, place: str) -> None:
    """Writes what a trial takes that is trained to its end.

    Args:
        spec: of the trial, as JSON.
        place: where to.
    """
    import torch

    torch.set_num_threads(1)
    trial = TrialSpec.model_validate_json(spec)
    with alone(), tempfile.TemporaryDirectory() as folder:
        base = _base(trial)
        log = StepLog()
        began_s = time.perf_counter()
        try:
            train(trial, base, folder=Path(folder), progress=log)
        except Exception as error:  # noqa: BLE001 - a method that fails is a result
            row: dict[str, Any] = {"error": f"{type(error).__name__}: {error}"[:300]}
        else:
            # As in a forecast the first step's warm-up is not one of its steps.
            step_cpu_s = sum(log.cpus_s[1:]) / (len(log.cpus_s) - 1)
            row = {
                "step_cpu_s": step_cpu_s,
                "step_s": sum(log.steps_s[1:]) / (len(log.steps_s) - 1),
                "trial_s": time.perf_counter() - began_s,
                "memory_bytes": peak_of(on_gpu=False),
            }
    Path(place).write_text(json.dumps(row), encoding="utf-8")


def _base(trial: TrialSpec) -> FrozenBase:
    base = load_base_of(trial, device="cpu")
    data: PreparedData = base.data
    data.questions(max_length=trial.train.max_length, count=trial.train.eval_examples)
    return base
