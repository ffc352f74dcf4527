"""What a sweep costs besides its steps: warm replicas against a fresh TorchTrainer a trial.

The same trials run twice in one process on the same machine, as many at once: first through the
pool, then each in a TorchTrainer of its own, which is what nesting Ray Train in Ray Tune comes to
(without Tune's own time, which makes it look better than it is). Ray is up before both.

Prediction, written before the first run: warm at least 4 times faster on the embedded model; a
trial costs under 1.5 s besides its steps; a replica is ready to serve within 20 s of its start.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.estimates import Estimate, to_metrics
from sweeper.execution import SweepDriver, TrialFactory, connect, disconnect
from sweeper.execution.pool import Job, trainer_of
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.room import Cluster
from sweeper.tracking.provenance import package_versions
from sweeper.tracking.record import Course, TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "sweep.json"


class Records:
    """Progress that goes to the trial's record alone."""

    def __init__(self, folder: TrialFolder) -> None:
        self._folder = folder

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a step's metrics."""
        self._folder.append(step, metrics)

    def course(self) -> Course:
        """Lets the trial go on."""
        return "on"

    def report_evaluation(
        self, step: int, metrics: Mapping[str, Estimate], *, final: bool
    ) -> Course:
        """Writes an evaluation's metrics; the trial goes on."""
        del final
        self._folder.append(step, to_metrics(metrics))
        return "on"


def fresh_loop(config: dict[str, Any]) -> None:
    """Trains one trial in a worker group of its own, which loads everything for it alone."""
    from sweeper.evaluation.adapter import load_base_of
    from sweeper.training.trial import train

    job: Job = config["job"]
    folder = TrialFolder(job.folder)
    folder.begin()
    trial = TrialSpec.model_validate_json(job.spec_json)
    base = load_base_of(trial, device="cpu")
    outcome = train(trial, base, folder=job.folder, progress=Records(folder))
    folder.complete(train_time_s=outcome.train_time_s)


def run_warm(driver: SweepDriver, cluster: Cluster) -> dict[str, Any]:
    """Returns the figures of the trials through the pool, MLflow's view included."""
    started_s = time.perf_counter()
    # As `run` does; but Ray must go on for the other way.
    with driver._watch:
        status = driver.run_on(cluster)
    wall_time_s = time.perf_counter() - started_s
    figures = figures_of(driver.folder.trials(), wall_time_s=wall_time_s)
    return {**figures, "replica_ready_after_s": status["ready_after_s"]}


def run_fresh(driver: SweepDriver, jobs: list[Job], *, at_once: int) -> dict[str, Any]:
    """Returns the figures of the trials, each in a TorchTrainer of its own."""
    trials = TrialFactory(driver.folder, driver.sweep, driver.data_fingerprint)
    config = trials.replica_config()

    def fit(job: Job) -> None:
        loop_config = {"config": config, "job": job}
        storage = str(job.folder / "ray")
        trainer_of(fresh_loop, loop_config, config.resources, name="fresh", storage=storage).fit()

    started_s = time.perf_counter()
    with ThreadPoolExecutor(at_once) as executor:
        list(executor.map(fit, jobs))
    return figures_of(driver.folder.trials(), wall_time_s=time.perf_counter() - started_s)


def figures_of(records: list[TrialRecord], *, wall_time_s: float) -> dict[str, Any]:
    """Returns wall time, time in steps, time besides them, and final losses, in the trials' order.

    Raises:
        RuntimeError: a trial did not complete; its figures would flatter.
    """
    unfinished = [record for record in records if record.status != "complete"]
    if unfinished:
        raise RuntimeError(f"{len(unfinished)} trials did not complete: {unfinished[0].error}")
    return {
        "wall_time_s": wall_time_s,
        "train_time_s": sum(record.train_time_s for record in records),
        "trial_wall_time_s": [record.wall_time_s for record in records],
        "trial_besides_steps_s": [record.overhead_s for record in records],
        "trial_evaluation_s": [record.metrics.get("evaluation_time_s", 0.0) for record in records],
        "eval_loss": [record.metrics["eval_loss"] for record in records],
    }


def bench(sweep: Sweep, home: Path) -> dict[str, Any]:
    """Returns the figures of one run of both ways."""
    fingerprint = require_runnable(sweep)
    folders = [SweepFolder.create(home, way, document=sweep.document) for way in ("warm", "fresh")]
    warm, fresh = (SweepDriver(folder, sweep, fingerprint) for folder in folders)
    cluster = connect(None)
    try:
        at_once = cluster.replicas(sweep.spec.resources, trials=sweep.spec.search.trials)
        warm_figures = run_warm(warm, cluster)
        # What TPE draws depends on results, so the trials to repeat are those of the first way.
        jobs = [job_of(warm.folder.trial(record.id), fresh) for record in warm.folder.trials()]
        figures = {"warm": warm_figures, "fresh": run_fresh(fresh, jobs, at_once=at_once)}
    finally:
        disconnect()
    return {"at_once": at_once, "trials": len(jobs), **figures}


def job_of(done: TrialFolder, driver: SweepDriver) -> Job:
    """Returns the job of a trial that was run, to be run again by another driver."""
    trial = TrialSpec.model_validate(done.spec())
    record = done.read()
    folder = driver.folder.add_trial(
        done.id, spec=done.spec(), number=record.number, method=record.method
    )
    return Job(done.id, record.number, folder.path, (), trial.model_dump_json())


def report(result: dict[str, Any]) -> str:
    """Returns the bench's result in words."""
    warm, fresh = result["warm"], result["fresh"]
    # The first trial of each replica pays for what torch and DeepSpeed set up once.
    besides = sorted(warm["trial_besides_steps_s"])
    swaps = [
        total - evaluation
        for total, evaluation in zip(
            warm["trial_besides_steps_s"], warm["trial_evaluation_s"], strict=True
        )
    ]
    are_same = np.allclose(warm["eval_loss"], fresh["eval_loss"], rtol=1e-6, atol=0)
    idle_s = result["at_once"] * warm["wall_time_s"] - sum(warm["trial_wall_time_s"])
    return "\n".join(
        [
            f"{result['trials']} trials, {result['at_once']} at once",
            f"warm pool          {warm['wall_time_s']:7.1f} s",
            f"fresh TorchTrainer {fresh['wall_time_s']:7.1f} s",
            f"ratio              {result['ratio']:7.2f}   (target: at least 4)",
            "a trial besides its steps, evaluations included: median "
            f"{statistics.median(besides):.2f} s, worst {besides[-1]:.2f} s (target: under 1.5 s)",
            f"  without evaluations: median {statistics.median(swaps):.2f} s, "
            f"worst {max(swaps):.2f} s",
            f"replica ready after {', '.join(f'{s:.1f}' for s in warm['replica_ready_after_s'])} s "
            "(target: within 20 s)",
            f"replicas without a trial: {idle_s:.1f} worker-seconds, starting and ending included",
            f"same losses both ways, to six digits: {'yes' if are_same else 'NO'}",
        ]
    )


def main() -> None:
    """Runs the bench, prints its result and writes it to ``benchmarks/results/sweep.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 trials of 4 steps: a smoke run")
    arguments = parser.parse_args()
    size = (2, 4) if arguments.quick else (8, 60)
    sweep = load_sweep(
        ROOT / "search_spaces" / "masa.yaml",
        overrides=[
            f"search.trials={size[0]}",
            f"train.steps={size[1]}",
            "search.asha=null",
            # Fresh workers do not do it.
            "final.trials=0",
        ],
    )
    with tempfile.TemporaryDirectory() as home:
        result = bench(sweep, Path(home))
    result["ratio"] = result["fresh"]["wall_time_s"] / result["warm"]["wall_time_s"]
    result["machine"] = {"cpus": os.cpu_count(), "platform": platform.platform()}
    result["versions"] = package_versions()
    result["steps"] = size[1]
    print(report(result))
    if not arguments.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
