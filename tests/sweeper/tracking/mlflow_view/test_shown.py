"""MLflow shows what the records hold, and its pages are found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from urllib.parse import unquote

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from sweeper._files import sqlite_uri
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.mlflow_view import (
    MlflowView,
    comparison_url,
    experiment_url,
    resolve_tracking_uri,
    ui_command,
    ui_environment,
)
from sweeper.tracking.mlflow_view.content import flatten
from sweeper.tracking.mlflow_view.links import sqlite_file
from sweeper.tracking.mlflow_view.names import shown_name
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.tracking.mlflow_view.fakes import (
    STEPS,
    Faulty,
    add,
    artifacts,
    assert_complete,
    history,
    runs_of,
    save_adapter,
    through,
    train,
)

# What is shown.


def test_a_complete_trial(sweep, client):
    trial = add(sweep)
    trial.begin(nodes=["10.0.0.4", "10.0.0.5"])
    train(trial)
    save_adapter(trial)
    record = trial.complete()
    sweep.mark("complete")
    result = MlflowView(sweep).sync()
    assert result.is_complete
    # Losses, evaluations, and at the end what the trial is judged by.
    assert result.points == STEPS + 2 * 2 + 2

    runs = runs_of(client, sweep)
    parent, run = runs[""], runs[trial.id]
    assert run.info.run_name == f"000-masa-{trial.id}"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == record.started_at.timestamp() * 1000
    assert run.info.end_time == record.ended_at.timestamp() * 1000
    # What varies, also what is searched of the other method alone; the rest is tags.
    assert run.data.params == {"method": "masa", "rank": "8", "alpha": "16", "lr": "0.001"}
    tags = run.data.tags
    assert (tags["method.targets"], tags["train.steps"]) == ('["q", "v"]', "6")
    assert "method.rank" not in tags
    assert (tags["mlflow.user"], tags["mlflow.source.type"]) == (sweep.path.owner(), "LOCAL")
    assert tags["mlflow.source.name"] == "sweeper run masa"
    # What was sent first comes first on MLflow's pages, and a comparison opens on it.
    assert next(iter(run.data.metrics)) == "eval_loss"
    # Of step 0: of later ones MLflow draws lines, with one point each.
    assert history(client, run, "1_result/eval_loss") == [(0, 5.0 / STEPS)]
    assert history(client, run, "1_result/wall_time_s") == [(0, record.wall_time_s)]
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["sweep"], tags["trial"], tags["method"]) == ("masa-1", trial.id, "masa")
    assert (tags["profile"], tags["status"], tags["attempts"]) == ("embedded", "complete", "1")
    assert tags["nodes"] == "10.0.0.4, 10.0.0.5"
    assert len(tags["config_hash"]) == 12
    assert_complete(client, run)
    assert history(client, run, "system/cpu_utilization_percentage") == [(3, 50.0), (6, 50.0)]
    assert artifacts(client, run) == ["adapter", "spec.json"]
    assert artifacts(client, run, "adapter") == ["adapter/adapter_config.json"]
    assert run.info.artifact_uri.startswith((sweep.home / "mlartifacts" / "sweeper").as_uri())

    assert parent.info.run_name == "masa-1"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {}
    tags = parent.data.tags
    assert (tags["objective.metric"], tags["data.kind"]) == ("eval_loss", "embedded")
    for shown in (parent, run):
        (data,) = shown.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.source_type) == ("embedded", "embedded")
        assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    assert artifacts(client, parent) == ["sweep.json"]


def test_the_evaluation_after_the_search_has_names_of_its_own_and_is_sent_once(sweep, client):
    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    view = MlflowView(sweep)
    view.sync()
    metrics = {"eval_loss": 1.25, "mmlu/stem": 0.5, "mmlu/stem_se": 0.1}
    result = FinalResult(split="test", rows=10, rows_in_split=10, metrics=metrics)
    write_final(trial.path, result)
    assert view.sync().points == 4
    assert view.sync().points == MlflowView(sweep).sync().points == 0
    run = runs_of(client, sweep)[trial.id]
    assert history(client, run, "test/eval_loss") == [(0, 1.25)]
    assert history(client, run, "test/mmlu.stem") == [(0, 0.5)]
    assert history(client, run, "standard_error/test.mmlu.stem") == [(0, 0.1)]
    assert history(client, run, "1_result/test_eval_loss") == [(0, 1.25)]


def test_the_commit_is_a_tag(sweep, client):
    path = sweep.path / "sweep.json"
    git = {"commit": "c" * 40, "is_dirty": True}
    path.write_text(json.dumps({**json.loads(path.read_text()), "git": git}))
    sweep = SweepFolder(sweep.path)
    from sweeper.tracking.mlflow_view.content import sweep_tags

    tags = sweep_tags(sweep)
    assert tags["git_commit"] == "c" * 40 + "-dirty"
    assert tags["mlflow.source.git.commit"] == "c" * 40


def test_every_end_has_its_status(sweep, client):
    ends = {
        0: lambda trial: trial.complete(ended_by="patience"),
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
    assert [run.data.tags.get("ended_by") for run in shown] == ["patience", *[None] * 4]
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


def test_names_that_mlflow_refuses_are_changed_and_kept_in_tags(sweep, client):
    names = ["", "//", "..", "accuracy/", "x" * 251, "e (mc)", "e _mc_", "accuracy (%)", "loss"]
    trial = sweep.add_trial(
        "0" * 12,
        spec={"data": {"weights": {"a//b": 0.5, "": 1.0}}, "note": "long" * 3000},
        number=0,
        method="masa",
        params={"rank": 8},
    )
    trial.begin()
    view = MlflowView(sweep)
    for step in (1, 2):
        for number, name in enumerate(names):
            trial.append(step, {name: float(number)})
        assert view.sync().is_complete
    trial.complete()
    assert view.sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert run.info.status == "FINISHED"
    for number, name in enumerate(names):
        shown = shown_name(name)
        assert history(client, run, shown) == [(1, number), (2, number)]
        assert run.data.tags.get(f"name_of.{shown}", shown) == name
    assert len(run.data.metrics) == len(names) + 1
    assert len(run.data.tags["note"]) == 6000
    weights = {key: value for key, value in run.data.tags.items() if "weights" in key}
    assert sorted(weights.values()) == ["0.5", "1.0"]


def test_what_a_server_refuses_by_a_rule_of_its_own_keeps_nothing_else_back(sweep, client, caplog):
    class Strict(Faulty):
        def log_batch(self, run_id, metrics=(), params=(), tags=()):
            self.calls["log_batch"] += 1
            if any(entity.key in {"loss", "rank", "origin"} for entity in (*metrics, *params)):
                raise MlflowException("not here", error_code=INVALID_PARAMETER_VALUE)
            self._client.log_batch(run_id, metrics=metrics, params=params, tags=tags)

    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    assert MlflowView(sweep, connect=through(Strict)).sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert history(client, run, "loss") == []
    assert history(client, run, "eval_loss") == [(3, 5.0 / 3), (6, 5.0 / 6)]
    assert "rank" not in run.data.params
    assert run.data.params["lr"] == "0.001"
    assert run.info.status == "FINISHED"
    told = [record.message for record in caplog.records]
    assert [text for text in told if "'loss'" in text] == ["MLflow does not take 'loss': not here"]


def test_the_experiment_opens_on_its_runs(sweep, client):
    # Versions of MLflow's pages whose kind is an experiment's, and not a reader's choice, read it.
    add(sweep).begin()
    MlflowView(sweep).sync()
    experiment = client.get_experiment_by_name("sweeper")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_link_opens_on_the_trials_by_their_result(sweep, client):
    add(sweep).begin()
    MlflowView(sweep).sync()
    tags = client.get_experiment_by_name("sweeper").tags
    view = json.loads(tags["mlflow.sharedViewState.sweep-masa-1"])
    assert view["orderByKey"] == "metrics.`1_result/eval_loss`"
    assert view["orderByAsc"] is True
    assert view["selectedColumns"][:3] == ["params.`method`", "params.`rank`", "params.`lr`"]
    # What the page asks for is what the store understands, and has the trials alone.
    found = client.search_runs(
        [client.get_experiment_by_name("sweeper").experiment_id], view["searchFilter"]
    )
    assert [run.data.tags["trial"] for run in found] == ["0" * 12]


def test_an_experiment_that_is_there_keeps_the_kind_that_its_user_chose(sweep, client):
    kind = "mlflow.experimentKind"
    mine = client.create_experiment("mine", tags={kind: "genai_development"})
    old = client.create_experiment("old")
    for name in ("mine", "old"):
        assert MlflowView(sweep, experiment=name).sync().is_complete
    assert client.get_experiment(mine).tags[kind] == "genai_development"
    assert client.get_experiment(old).tags[kind] == "custom_model_development"


def test_an_experiment_that_may_not_be_changed_still_gets_runs(sweep, client):
    class Guarded(Faulty):
        def set_experiment_tag(self, *args):
            raise MlflowException("not yours", error_code=INVALID_PARAMETER_VALUE)

    trial = add(sweep)
    trial.begin()
    train(trial)
    trial.complete()
    assert MlflowView(sweep, connect=through(Guarded)).sync().is_complete
    assert_complete(client, runs_of(client, sweep)[trial.id])


def test_a_sweep_stays_in_the_experiment_that_it_was_sent_to(sweep, monkeypatch):
    assert MlflowView(sweep).experiment == "sweeper"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the shell")
    assert MlflowView(sweep).experiment == "of the shell"
    assert MlflowView(sweep, experiment="asked/for").sync().is_complete
    # Also for whoever resumes it elsewhere.
    assert MlflowView(sweep).experiment == "asked/for"
    assert MlflowView(sweep, tracking_uri="http://other").experiment == "asked/for"
    MlflowView(sweep, experiment="another").sync()
    assert MlflowView(sweep).experiment == "another"


def test_a_sweep_of_an_earlier_form_goes_on(sweep, client):
    """Its runs have the rest of the spec as parameters, costs and errors under their old names."""
    trial = add(sweep)
    trial.begin()
    train(trial, stop=3)
    view = MlflowView(sweep)
    view.sync()
    run = runs_of(client, sweep)[trial.id]
    for key, value in {"train.steps": "6", "method.targets": "old", "searched": "1"}.items():
        client.log_param(run.info.run_id, key, value)
    client.log_metric(run.info.run_id, "eval_loss_se", 0.5, step=3)
    sweep.mark("stopped")
    view.sync()

    sweep.mark("running")
    (sweep.path / "mlflow.json").unlink()
    (trial.path / "mlflow.json").unlink()
    train(trial, start=3)
    trial.complete()
    sweep.mark("complete")
    assert MlflowView(sweep).sync().is_complete
    run = runs_of(client, sweep)[trial.id]
    assert_complete(client, run)
    assert run.info.status == "FINISHED"
    assert run.data.params["method.targets"] == "old"
    assert run.data.metrics["1_result/eval_loss"] == 5.0 / STEPS


# Pages.


def test_the_pages_are_those_of_the_sweep(sweep, client):
    view = MlflowView(sweep)
    base = "http://127.0.0.1:5000"
    # MLflow's pages open for training, not for GenAI, where the address says so.
    training = "workflowType=machine_learning"
    assert view.pages(base) == {"Experiment": f"{base}/#/experiments?{training}"}
    for number in (1, 0):
        add(sweep, number).begin()
    view.sync()
    runs = runs_of(client, sweep)
    experiment_id = runs[""].info.experiment_id
    pages = MlflowView(sweep).pages(base + "/")
    ids = [runs[f"{number:012x}"].info.run_id for number in (0, 1)]
    experiment = f"{base}/#/experiments/{experiment_id}"
    assert pages["Trials"] == f"{experiment}/runs?viewStateShareKey=sweep-masa-1&{training}"
    charts = f"{experiment}/runs?viewStateShareKey=sweep-masa-1&compareRunsMode=CHART&{training}"
    assert pages["Charts"] == charts
    assert pages["Sweep"] == f"{experiment}/runs/{runs[''].info.run_id}?{training}"
    comparison = pages["Comparison"]
    assert unquote(comparison) == (
        f'{base}/#/compare-runs?runs=["{ids[0]}","{ids[1]}"]&experiments=["{experiment_id}"]&{training}'
    )
    assert '"' not in comparison


def test_the_comparison_leaves_out_what_has_no_result(sweep, client):
    for number in range(3):
        trial = add(sweep, number)
        trial.begin()
        train(trial)
        if number:
            trial.complete()
    view = MlflowView(sweep)
    view.sync()
    runs = runs_of(client, sweep)
    comparison = view.pages("http://h")["Comparison"]
    compared = [
        f"{number:012x}" for number in range(3) if runs[f"{number:012x}"].info.run_id in comparison
    ]
    assert compared == ["000000000001", "000000000002"]


def test_a_comparison_has_at_most_a_hundred_runs():
    url = comparison_url("http://h", experiment_id="1", run_ids=[str(n) for n in range(500)])
    assert '"99"' in unquote(url)
    assert '"100"' not in unquote(url)
    assert experiment_url("http://h", "3").startswith("http://h/#/experiments/3?")


def test_where_to_log(tmp_path, monkeypatch):
    assert resolve_tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_tracking_uri(tmp_path) == "http://server:5000"
    assert resolve_tracking_uri(tmp_path, "file:///x") == "file:///x"


@pytest.mark.parametrize("name", ["a", "a b", "a?b", "a#b", "50%", "%20", "é", "me@work", "a:b"])
def test_any_path_can_be_a_store(tmp_path, name):
    path = tmp_path / name / "mlflow.db"
    assert sqlite_file(sqlite_uri(path)) == path
    assert resolve_tracking_uri(tmp_path / name) == sqlite_uri(path)


def test_the_command_of_the_web_pages(tmp_path):
    command = ui_command(tmp_path, 5001)
    assert command[1:4] == ["-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {
        "--default-artifact-root": (tmp_path / "mlartifacts").as_uri(),
        "--host": "127.0.0.1",
        "--port": "5001",
        "--workers": "1",
    }
    assert "--default-artifact-root" not in ui_command(tmp_path, tracking_uri="./mlruns")
    # The server reads the store from its environment, which other users cannot.
    uri = "postgresql://u:secret@db/mlflow"
    assert "secret" not in " ".join(ui_command(tmp_path, tracking_uri=uri))
    assert ui_environment(tmp_path, tracking_uri=uri) == {"MLFLOW_BACKEND_STORE_URI": uri}


def test_flatten_keeps_lists_in_one_piece():
    tree = {"a": {"b": 1, "c": [1, "x"]}, "d": None, "e": "text", "f": True}
    assert dict(flatten(tree)) == {
        "a.b": "1",
        "a.c": '[1, "x"]',
        "d": "null",
        "e": "text",
        "f": "true",
    }
