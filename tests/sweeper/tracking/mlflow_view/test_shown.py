"""MLflow shows what the records hold, and its pages are found."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import unquote

import pytest

from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.mlflow_view import (
    MlflowView,
    comparison_url,
    experiment_url,
    is_server,
    public_uri,
    resolve_tracking_uri,
    ui_command,
)
from sweeper.tracking.mlflow_view.content import flatten
from tests.sweeper.tracking.mlflow_view.fakes import (
    STEPS,
    add,
    artifacts,
    assert_complete,
    history,
    runs_of,
    save_adapter,
    train,
)

# What is shown.


def test_a_complete_trial(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial)
    save_adapter(trial)
    record = trial.complete()
    sweep.mark("complete")
    result = MlflowView(sweep).sync()
    assert result.is_complete
    assert result.points == STEPS + 2 * 2

    runs = runs_of(client, sweep)
    parent, run = runs[""], runs[trial.id]
    assert run.info.run_name == f"000-masa-{trial.id}"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == record.started_at.timestamp() * 1000
    assert run.info.end_time == record.ended_at.timestamp() * 1000
    assert run.data.params == {
        "method.name": "masa",
        "rank": "8",
        "method.targets": '["q", "v"]',
        "train.lr": "0.001",
        "searched": "0.001",
    }
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["sweep"], tags["trial"], tags["method"]) == ("masa-1", trial.id, "masa")
    assert (tags["profile"], tags["status"], tags["attempts"]) == ("embedded", "complete", "1")
    assert len(tags["config_hash"]) == 12
    assert_complete(client, run)
    assert history(client, run, "system/cpu_utilization_percentage") == [(3, 50.0), (6, 50.0)]
    assert artifacts(client, run) == ["adapter", "spec.json"]
    assert artifacts(client, run, "adapter") == ["adapter/adapter_config.json"]
    assert run.info.artifact_uri.startswith((sweep.home / "mlartifacts" / "sweeper").as_uri())

    assert parent.info.run_name == "masa-1"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {
        "name": "masa",
        "profile": "embedded",
        "objective.metric": "eval_loss",
        "objective.mode": "min",
    }
    assert artifacts(client, parent) == ["sweep.json"]


def test_the_evaluation_after_the_search_has_names_of_its_own_and_is_sent_once(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    view = MlflowView(sweep)
    view.sync()
    metrics = {"eval_loss": 1.25, "mmlu/stem": 0.5}
    result = FinalResult(split="test", rows=10, rows_in_split=10, metrics=metrics)
    write_final(trial.path, result)
    assert view.sync().points == 2
    assert view.sync().points == MlflowView(sweep).sync().points == 0
    run = runs_of(client, sweep)[trial.id]
    assert history(client, run, "test/eval_loss") == [(STEPS, 1.25)]
    assert history(client, run, "test/mmlu/stem") == [(STEPS, 0.5)]


def test_the_commit_is_a_tag(sweep, client):
    sweep.about()["git"] = {"commit": "c" * 40, "is_dirty": True}
    path = sweep.path / "sweep.json"
    path.write_text(path.read_text().replace('"git": null', '"git": "x"'))
    from sweeper.tracking.mlflow_view.content import sweep_tags

    tags = sweep_tags(sweep)
    assert tags["git_commit"] == "c" * 40 + "-dirty"
    assert tags["mlflow.source.git.commit"] == "c" * 40


def test_every_end_has_its_status(sweep, client):
    ends = {
        0: lambda trial: trial.complete(),
        1: lambda trial: trial.prune(),
        2: lambda trial: trial.fail("DivergedError", "NaN", traceback="Traceback: NaN"),
        3: lambda trial: trial.fail("ReplicaLost", "it died"),
        4: lambda trial: None,
    }
    for number, end in ends.items():
        trial = add(sweep, number)
        trial.begin()
        trial.append(1, {"loss": 1.0})
        end(trial)
    never_begun = add(sweep, 5)
    view = MlflowView(sweep)
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert never_begun.id not in runs
    shown = [runs[f"{n:012x}"] for n in ends]
    assert [run.info.status for run in shown] == [
        "FINISHED",
        "FINISHED",
        "FAILED",
        "FAILED",
        "RUNNING",
    ]
    statuses = [run.data.tags["status"] for run in shown]
    assert statuses == ["complete", "pruned", "failed", "failed", "running"]
    for run, text in [(shown[2], "Traceback: NaN"), (shown[3], "ReplicaLost: it died\n")]:
        path = client.download_artifacts(run.info.run_id, "error.txt")
        assert Path(path).read_text() == text
    assert runs[""].info.status == "RUNNING"

    sweep.mark("stopped")
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert (runs[""].info.status, runs["0" * 11 + "4"].info.status) == ("KILLED", "KILLED")
    assert runs["0" * 12].info.status == "FINISHED"

    sweep.mark("running")
    assert view.sync().is_complete
    runs = runs_of(client, sweep)
    assert (runs[""].info.status, runs["0" * 11 + "4"].info.status) == ("RUNNING", "RUNNING")


def test_not_a_number_is_shown_as_such(sweep, client):
    trial = add(sweep)
    trial.begin()
    trial.append(1, {"loss": 2.0})
    trial.append(2, {"loss": math.nan})
    trial.fail("DivergedError", "NaN")
    assert MlflowView(sweep).sync().is_complete
    values = history(client, runs_of(client, sweep)[trial.id], "loss")
    assert values[0] == (1, 2.0)
    assert math.isnan(values[1][1])


def test_a_name_that_mlflow_refuses_is_changed(sweep, client):
    trial = add(sweep)
    trial.begin()
    trial.append(1, {"accuracy (%)": 50.0})
    assert MlflowView(sweep).sync().is_complete
    assert history(client, runs_of(client, sweep)[trial.id], "accuracy ___") == [(1, 50.0)]


# Pages.


def test_the_pages_are_those_of_the_sweep(sweep, client):
    view = MlflowView(sweep)
    base = "http://127.0.0.1:5000"
    assert view.pages(base) == (f"{base}/#/experiments", f"{base}/#/experiments")
    for number in (1, 0):
        add(sweep, number).begin()
    view.sync()
    runs = runs_of(client, sweep)
    experiment_id = runs[""].info.experiment_id
    experiment, comparison = MlflowView(sweep).pages(base + "/")
    ids = [runs[f"{number:012x}"].info.run_id for number in (0, 1)]
    assert experiment == f"{base}/#/experiments/{experiment_id}"
    assert unquote(comparison) == (
        f'{base}/#/compare-runs?runs=["{ids[0]}","{ids[1]}"]&experiments=["{experiment_id}"]'
    )
    assert '"' not in comparison


def test_a_comparison_has_at_most_a_hundred_runs():
    url = comparison_url("http://h", experiment_id="1", run_ids=[str(n) for n in range(500)])
    assert '"99"' in unquote(url)
    assert '"100"' not in unquote(url)
    assert experiment_url("http://h", "3") == "http://h/#/experiments/3"


def test_where_to_log(tmp_path, monkeypatch):
    assert resolve_tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_tracking_uri(tmp_path) == "http://server:5000"
    assert resolve_tracking_uri(tmp_path, "file:///x") == "file:///x"


@pytest.mark.parametrize(
    ("uri", "public", "server"),
    [
        ("sqlite:////home/user/mlflow.db", "sqlite:////home/user/mlflow.db", False),
        ("http://host:5000", "http://host:5000", True),
        ("https://u:p@host/x", "https://host/x", True),
        ("postgresql+psycopg2://u:p@db/mlflow", "postgresql+psycopg2://db/mlflow", False),
        ("databricks", "databricks", False),
        ("./mlruns", "./mlruns", False),
    ],
)
def test_tracking_uris(uri, public, server):
    assert public_uri(uri) == public
    assert is_server(uri) is server


def test_the_command_of_the_web_pages(tmp_path):
    command = ui_command(tmp_path, 5001)
    assert command[1:4] == ["-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {
        "--backend-store-uri": f"sqlite:///{tmp_path}/mlflow.db",
        "--default-artifact-root": (tmp_path / "mlartifacts").as_uri(),
        "--host": "127.0.0.1",
        "--port": "5001",
        "--workers": "1",
    }
    assert "--default-artifact-root" not in ui_command(tmp_path, tracking_uri="./mlruns")


def test_flatten_keeps_lists_in_one_piece():
    tree = {"a": {"b": 1, "c": [1, "x"]}, "d": None, "e": "text", "f": True}
    assert dict(flatten(tree)) == {
        "a.b": "1",
        "a.c": '[1, "x"]',
        "d": "null",
        "e": "text",
        "f": "true",
    }
