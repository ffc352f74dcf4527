"""Forecast against measured: seconds of a step and peak memory of a worker, of every method.

A trial of each method on one model is forecast as ``plan`` does, all of them in one process and by
a few real steps each. Then each is trained in a process of its own, by the code of a replica and
without Ray, on its own data in its own order. Compared are the mean step and the peak of the
resident memory. Seconds are of CPU, of one thread: a machine that others use, too, delays a process
but does not make it compute more.

``--write`` puts the figures of all results there are into ``docs/measurements/forecast.md``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._bench import RESULTS, document, machine, write
from benchmarks.forecast.page import PAGE, page
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrialSpec
from sweeper_adapters.methods import PromptTuningSpec, PTuningSpec, QloraSpec

SPACE = Path(__file__).parent.parent / "curves" / "space.yaml"
MODELS = ("embedded", "smollm2")
# Some methods tell tasks apart: two of them, where a profile's own data has one.
DATA = {"smollm2": ("data={kind: tasks, train: [arc_easy, piqa], validation_fraction: 0.1}",)}
OF_DATA = {
    "smollm2": {"mtl_lora": {"tasks": 2}, "loramoe": {"knowledge_domains": ("arc_easy",)}},
}
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PRELOADED = [
    "peft",
    "sweeper.training.trial",
    "sweeper.models.frozen",
    "benchmarks.forecast.worker",
]


def trials(profile: str, *, steps: int) -> dict[str, TrialSpec]:
    """Returns a trial of each of the 24 methods, of about one size, by the methods' labels."""
    # An evaluation of a real model takes longer than all of a short trial's steps.
    rows = 64 if profile == "embedded" else 16
    overrides = (
        *DATA.get(profile, ()),
        f"train.steps={steps}",
        "train.evaluations=1",
        f"train.eval_examples={rows}",
        "design.factors.train={learning_rate: [1.0e-4, 2.0e-4]}",
    )
    sweep = load_sweep(SPACE, profile=profile, overrides=overrides)
    found: dict[str, TrialSpec] = {}
    for _, point in sweep.space.corners():
        trial = sweep.space.trial(point)
        train = trial.train.model_copy(update={"learning_rate": 1e-4})
        found.setdefault(trial.method.label, trial.model_copy(update={"train": train}))
    for name, fields in OF_DATA.get(profile, {}).items():
        method = found[name].method.model_copy(update=fields)
        found[name] = found[name].model_copy(update={"method": method})
    usual = found["lora"]
    for method in (
        PromptTuningSpec(virtual_tokens=16),
        PTuningSpec(virtual_tokens=16),
        QloraSpec(targets=TARGETS),
    ):
        found[method.label] = usual.model_copy(update={"method": method})
    return found


def main() -> int:
    """Runs the bench; returns 1 if a method failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="embedded")
    parser.add_argument("--methods", help="labels of some of them, by commas")
    parser.add_argument("--steps", type=int, default=40, help="of a measured trial")
    parser.add_argument("--write", action="store_true", help="write the page of all results")
    given = parser.parse_args()
    if given.write:
        results = [
            json.loads(x.read_text(encoding="utf-8"))
            for x in sorted(RESULTS.glob("forecast-*.json"))
            if not x.stem.endswith("-partial")
        ]
        PAGE.write_text(page(results), encoding="utf-8")
        print(PAGE)
        return 0
    each = trials(given.model, steps=given.steps)
    if given.methods:
        each = {name: each[name] for name in given.methods.split(",")}
    before = machine()
    # A process of its own is a copy of one that has imported everything.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    from benchmarks.forecast import worker

    began_s = time.monotonic()
    forecasts = run(context, worker.forecast, [x.model_dump_json() for x in each.values()])
    forecast_s = time.monotonic() - began_s
    if isinstance(forecasts, dict):
        parser.error(f"nothing was forecast: {forecasts['error']}")
    rows: list[dict[str, Any]] = []
    for (name, trial), forecast in zip(each.items(), forecasts, strict=True):
        row = {"method": name, **forecast}
        if not row["error"]:
            row |= run(context, worker.measured, trial.model_dump_json())
            if "memory_bytes" in row:
                row["step_error"] = row["forecast_step_cpu_s"] / row["step_cpu_s"] - 1
                row["memory_error"] = row["forecast_memory_bytes"] / row["memory_bytes"] - 1
        rows.append(row)
        print(json.dumps(row), flush=True)
    result = document(
        f"forecast-{given.model}",
        rows=rows,
        seeds={"train": 0},
        settings={"steps": given.steps, "forecast_s": forecast_s, "model": given.model},
        machine=before,
    )
    print(write(result, is_whole=not given.methods))
    for name in ("step_error", "memory_error"):
        errors = [abs(row[name]) for row in rows if row.get(name) is not None]
        if errors:
            print(f"{name}: median {statistics.median(errors):.3f}, most {max(errors):.3f}")
    return int(any(row["error"] for row in rows))


def run(context: Any, work: Any, argument: object) -> Any:  # noqa: ANN401 - of any worker
    """Returns what a function writes that is called in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "answer.json"
        process = context.Process(target=work, args=(argument, str(place)))
        process.start()
        process.join()
        if not place.exists():
            failed: Mapping[str, Any] = {"error": f"it ended with {process.exitcode}"}
            return failed
        return json.loads(place.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
