"""What must hold after a fault: each trial once, nothing lost, nothing left behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient

from sweeper._files import sqlite_uri
from sweeper.search import TRIAL_ID
from sweeper.search.study import ended_trials
from sweeper.tracking.sweep_folder import SweepFolder
from tests.drills.here import Here
from tests.drills.playground import EVERY, Playground, Said

__all__ = [
    "Outcome",
    "check_ended",
    "check_left_alone",
    "check_message",
    "check_sweep",
    "logged_once",
    "outcome",
    "suggested_once",
    "went_on",
]

Outcome = dict[str, tuple[str, int, float | None]]
"""Of each trial its status, its steps and the objective, in the order of the leaderboard."""

_LEFTOVERS = ("unfinished", "writing", "replaced")


def outcome(document: Any) -> Outcome:
    """Returns what a report says of the trials."""
    return {
        trial["id"]: (trial["status"], trial["steps"], trial["metrics"].get("eval_loss"))
        for trial in document["trials"]
    }


def check_sweep(
    play: Playground,
    sweep: str,
    reference: Outcome,
    *,
    home: Path | None = None,
    store: str | None = None,
    attempts: int = 1,
    spare: int = 0,
    anew: Collection[str] = (),
) -> None:
    """Checks a sweep that has come to its end in spite of faults.

    Args:
        play: where it ran.
        sweep: its name.
        reference: of the undisturbed run.
        home: of the sweep; the playground's where None.
        store: MLflow's; the one in the home where None.
        attempts: times that a trial may have begun.
        spare: checkpoints that were spoilt on purpose.
        anew: trials that a user asked to run again from the start.
    """
    home = home or play.home
    said = Here(home).say("report", sweep, "--json")
    assert said.code == 0, said.text[-2000:]
    document = said.document
    assert document["damaged"] == []
    assert document["status"] == "complete", document["status"]
    found = outcome(document)
    assert found == reference, f"other results than undisturbed: {found} instead of {reference}"
    assert list(found) == list(reference), "another order of the leaderboard than undisturbed"
    folder = SweepFolder(home / sweep)
    suggested_once(folder)
    logged_once(folder, store or f"sqlite:///{home / 'mlflow.db'}")
    for record in folder.trials():
        assert record.attempts <= attempts, f"trial {record.number} began {record.attempts} times"
        if record.id not in anew:
            went_on(folder.trial(record.id).metrics_path, spare=spare)
    left = [path for path in home.rglob("*") if path.suffix[1:] in _LEFTOVERS]
    assert left == [], f"left half-done: {left}"


def suggested_once(folder: SweepFolder) -> None:
    """Checks that each trial ended once in Optuna's study, and that all did."""
    storage = sqlite_uri(folder.path / "optuna.db")
    study = optuna.load_study(study_name=folder.name, storage=storage)
    ended = Counter(str(trial.user_attrs.get(TRIAL_ID, "")) for trial in ended_trials(study))
    assert ended == {record.id: 1 for record in folder.trials()}, f"in Optuna: {ended}"


def logged_once(folder: SweepFolder, store: str) -> None:
    """Checks MLflow: one parent, one child a trial, no step of a metric twice, none missing."""
    client = MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments()]
    own = f"tags.sweep = '{folder.name}'"
    runs = list(client.search_runs(experiments, own, max_results=1000))
    trials = folder.trials()
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1, f"{len(parents)} parents in MLflow"
    children = Counter(run.data.tags["trial"] for run in runs if run not in parents)
    assert children == {trial.id: 1 for trial in trials}, f"in MLflow: {children}"
    for run in runs:
        if run in parents:
            continue
        points = folder.trial(run.data.tags["trial"]).points()
        recorded = sorted(point.step for point in points if "train_loss" in point.metrics)
        history = client.get_metric_history(run.info.run_id, "train_loss")
        sent = sorted(metric.step for metric in history)
        assert sent == recorded, f"MLflow has {len(sent)} of {len(recorded)} losses"
        assert len(set(recorded)) == len(recorded), "a step was recorded twice"


def went_on(log: Path, *, spare: int = 0) -> None:
    """Checks that a trial never went back farther than its newest sound checkpoint.

    Args:
        log: its metrics.
        spare: checkpoints that were spoilt.
    """
    step = evaluated = 0
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "rewind_to" in entry:
            # Where no step came after an evaluation, its checkpoint may not have been written.
            saved = evaluated if step > evaluated else evaluated - EVERY
            need = max(0, saved - spare * EVERY)
            back = entry["rewind_to"]
            assert back >= need, f"went back from step {step} to {back}, not to {need}"
            step = evaluated = back
            evaluated -= evaluated % EVERY
            continue
        step = max(step, entry["step"])
        if "eval_loss" in entry["metrics"]:
            evaluated = max(evaluated, entry["step"])


def check_message(said: Said, *words: str, code: int | None = None) -> None:
    """Checks that a command has said what happened, in sentences."""
    if code is not None:
        assert said.code == code, f"exit code {said.code}, not {code}: {said.text[-1500:]}"
    assert "Traceback" not in said.text, f"a traceback: {said.text[-2500:]}"
    for word in words:
        assert word in said.text, f"{word!r} is not in: {said.text[-1500:]}"


def check_ended(said: Said) -> None:
    """Checks that a sweep has come to its end, with a trial that failed; of ``--json``."""
    check_message(said, code=1)
    assert said.out.strip(), f"it stopped before the end of the sweep: {said.err[-1500:]}"


def check_left_alone(play: Playground) -> None:
    """Checks that no process is left, nor with it any actor or placement group."""
    left = play.wait_until_alone()
    assert left == [], f"processes that stay: {left}"
