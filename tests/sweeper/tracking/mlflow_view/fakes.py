"""A sweep that reports known values, and a client of MLflow that fails on demand."""

from __future__ import annotations

from collections import Counter

from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.trial_folder import TrialFolder

START_S = 1_700_000_000.0
STEPS = 6


class Clock:
    """Unix time that moves by a second with every look."""

    def __init__(self):
        self.now_s = START_S

    def __call__(self):
        self.now_s += 1
        return self.now_s


class Faulty:
    """A real client that fails on command, before or after the store has done its work."""

    def __init__(self, client):
        self._client = client
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, str] = {}

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **kwargs):
            self.calls[name] += 1
            if self.faults.get(name) == "before":
                raise ConnectionError(f"{name} did not get there")
            result = method(*args, **kwargs)
            if self.faults.get(name) == "after":
                raise ConnectionError(f"{name} got there, its answer did not come back")
            return result

        return call


def through(wrap):
    """A `connect` whose client is wrapped."""
    return lambda uri: wrap(connect(uri))


class Crash(BaseException):
    """The end of the process: nothing catches it."""


def add(sweep, number=0):
    return sweep.add_trial(
        f"{number:012x}",
        spec={
            "method": {"name": "masa", "rank": 8, "targets": ["q", "v"]},
            "train": {"lr": 0.001, "steps": STEPS},
            "data": {"kind": "embedded", "seed": 0},
        },
        number=number,
        method="masa",
        params={"rank": 8, "lr": 1e-3},
        steps_total=STEPS,
    )


def train(trial: TrialFolder, *, start: int = 0, stop: int = STEPS):
    for step in range(start + 1, stop + 1):
        trial.append(step, {"loss": 10.0 / step})
        if step % 3 == 0:
            trial.append(step, {"eval_loss": 5.0 / step, "system/cpu_utilization_percentage": 50.0})


def save_adapter(trial):
    trial.adapter.mkdir()
    (trial.adapter / "adapter_config.json").write_text("{}")


def runs_of(client, sweep):
    """All runs by their tag `trial`; that of the sweep by the empty string. None comes twice."""
    experiment = client.get_experiment_by_name("sweeper")
    runs = client.search_runs([experiment.experiment_id], f"tags.sweep = '{sweep.name}'")
    by_trial = {run.data.tags.get("trial", ""): run for run in runs}
    assert len(by_trial) == len(runs)
    return by_trial


def history(client, run, name):
    metrics = client.get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in metrics)


def assert_complete(client, run, *, steps=STEPS):
    """All points of :func:`train` are there, each once."""
    assert history(client, run, "loss") == [(s, 10.0 / s) for s in range(1, steps + 1)]
    assert history(client, run, "eval_loss") == [(s, 5.0 / s) for s in range(3, steps + 1, 3)]


def artifacts(client, run, folder=None):
    return [item.path for item in client.list_artifacts(run.info.run_id, folder)]
