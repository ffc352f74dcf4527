"""The sweep's run has the report page, its figures and its verdicts; its children their groups."""

from __future__ import annotations

import json

from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.mlflow_view.store import connect
from tests.sweeper.tracking.mlflow_view.fakes import Faulty, add, artifacts, runs_of, through, train


def write_page(sweep, *verdicts):
    (sweep.path / "figures").mkdir(exist_ok=True)
    (sweep.path / "figures" / "comparison.svg").write_text("<svg/>")
    said = {"parity": ["Trials: 5 of each"], "verdicts": verdicts, "remarks": []}
    (sweep.path / "verdicts.json").write_text(json.dumps(said))
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
    params = runs_of(client, sweep)[trial.id].data.params
    assert (params["configuration"], params["seed"]) == ("group_size=2", "3")
