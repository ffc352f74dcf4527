"""The sweep's run has the report page, its figures and its verdicts; its children their groups."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.mlflow_view.store import connect
from tests.sweeper.tracking.mlflow_view.fakes import Faulty, add, artifacts, runs_of, through, train


def write_page(sweep, *verdicts):
    (sweep.path / "figures").mkdir(exist_ok=True)
    (sweep.path / "figures" / "comparison.svg").write_text("<svg/>")
    summary = {"objective": "eval_loss", "best": 0.5, "trials": {"complete": 3, "failed": 1}}
    said = {
        "parity": ["Trials: 5 of each"],
        "verdicts": verdicts,
        "remarks": [],
        "summary": {**summary, "best_final": 0.75, "base": 2.0, "wall_time_s": 12.5},
    }
    (sweep.path / "verdicts.json").write_text(json.dumps(said))
    (sweep.path / "leaderboard.json").write_text('{"columns": ["place"], "data": [[1]]}')
    (sweep.path / "report.html").write_text(f"<p>{len(verdicts)}</p>")


def test_page_figures_and_verdicts_are_on_the_parent_run(sweep, client):
    write_page(sweep, "A is better than B.", "Not distinguishable yet: C and D.")
    assert MlflowView(sweep).sync(page_only=True).is_complete
    run = runs_of(client, sweep)[""]
    assert {"report.html", "figures"} <= set(artifacts(client, run))
    assert artifacts(client, run, "figures") == ["figures/comparison.svg"]
    tags = run.data.tags
    assert tags["verdict.01"] == "A is better than B."
    assert tags["verdict.02"] == "Not distinguishable yet: C and D."
    assert tags["parity"] == "Trials: 5 of each"
    assert tags["mlflow.note.content"].startswith("**Verdicts**\n\n- A is better than B.\n- Not")
    assert run.data.metrics == {
        "1_result/eval_loss": 0.5,
        "1_result/test_eval_loss": 0.75,
        "sweep/base_eval_loss": 2.0,
        "sweep/trials_complete": 3.0,
        "sweep/trials_failed": 1.0,
        "sweep/wall_time_s": 12.5,
    }


def test_the_leaderboard_is_a_table_as_mlflow_logs_one(sweep, client):
    write_page(sweep, "One.")
    MlflowView(sweep).sync()
    run = runs_of(client, sweep)[""]
    path = client.download_artifacts(run.info.run_id, "leaderboard.json")
    # As `mlflow.log_table` writes it, and the tag by which MLflow's pages know it for a table.
    assert json.loads(Path(path).read_text()) == {"columns": ["place"], "data": [[1]]}
    logged = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert logged == [{"path": "leaderboard.json", "type": "table"}]


def test_a_description_that_a_user_wrote_stays(sweep, client):
    write_page(sweep, "One.")
    view = MlflowView(sweep)
    view.sync()
    run_id = runs_of(client, sweep)[""].info.run_id
    write_page(sweep, "One.", "Two.")
    view.sync()
    assert "- Two." in client.get_run(run_id).data.tags["mlflow.note.content"]
    client.set_tag(run_id, "mlflow.note.content", "My best sweep.")
    write_page(sweep, "Three.")
    view.sync()
    assert client.get_run(run_id).data.tags["mlflow.note.content"] == "My best sweep."


def test_a_figure_that_the_page_no_longer_has_is_removed(sweep, client):
    write_page(sweep, "One.")
    (sweep.path / "figures" / "importances.svg").write_text("<svg/>")
    view = MlflowView(sweep)
    view.sync()
    run = runs_of(client, sweep)[""]
    assert artifacts(client, run, "figures") == [
        "figures/comparison.svg",
        "figures/importances.svg",
    ]
    (sweep.path / "figures" / "importances.svg").unlink()
    write_page(sweep, "One.", "Two.")
    view.sync()
    assert artifacts(client, run, "figures") == ["figures/comparison.svg"]


def test_where_a_store_removes_nothing_a_figure_says_that_it_is_gone(sweep, client, monkeypatch):
    def refuse(self, artifact_path=None):
        raise NotImplementedError("not here")

    monkeypatch.setattr(LocalArtifactRepository, "delete_artifacts", refuse)
    write_page(sweep, "One.")
    (sweep.path / "figures" / "importances.svg").write_text("<svg/>")
    view = MlflowView(sweep)
    view.sync()
    (sweep.path / "figures" / "importances.svg").unlink()
    write_page(sweep, "One.", "Two.")
    assert view.sync().is_complete
    run = runs_of(client, sweep)[""]
    path = client.download_artifacts(run.info.run_id, "figures/importances.svg")
    assert "no longer has this figure" in Path(path).read_text()


def test_a_page_is_sent_once_and_again_when_it_is_new(sweep, client):
    clients = []

    def wrap(inner):
        clients.append(Faulty(inner))
        return clients[-1]

    write_page(sweep, "One.", "Two.")
    view = MlflowView(sweep, connect=through(wrap))
    view.sync()
    clients[0].calls.clear()
    view.sync()
    assert not clients[0].calls
    write_page(sweep, "Other.")
    view.sync()
    tags = runs_of(client, sweep)[""].data.tags
    # What is no longer said does not stay.
    assert (tags["verdict.01"], tags.get("verdict.02", "")) == ("Other.", "")


def test_a_store_that_takes_no_artifacts_still_gets_the_trials(sweep, client):
    def broken(inner):
        faulty = Faulty(inner)
        faulty.faults["log_artifacts"] = "before"
        return faulty

    write_page(sweep, "One.")
    trial = add(sweep)
    trial.begin()
    train(trial)
    result = MlflowView(sweep, connect=through(broken)).sync()
    assert "log_artifacts" in result.errors[0]
    assert "loss" in runs_of(client, sweep)[trial.id].data.metrics
    # The next process brings what is missing.
    assert MlflowView(sweep, connect=connect).sync().is_complete
    assert "figures" in artifacts(client, runs_of(client, sweep)[""])


def test_trials_of_a_design_can_be_grouped_by_configuration(sweep, client):
    trial = sweep.add_trial(
        f"{0:012x}",
        spec={"method": {"name": "masa"}, "train": {"seed": 3}},
        number=0,
        method="masa",
        params={"configuration": "group_size=2", "seed": 3},
    )
    trial.begin()
    MlflowView(sweep).sync()
    tags = runs_of(client, sweep)[trial.id].data.tags
    assert (tags["configuration"], tags["train.seed"]) == ("group_size=2", "3")
