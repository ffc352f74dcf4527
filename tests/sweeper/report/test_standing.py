"""How sweeps stand: what is done, what is running, and by whom."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.analysis.lookup import find_trial
from sweeper.analysis.ranking import rank_sweep, ranking_of
from sweeper.cli import app
from sweeper.experiment.loading import load_sweep
from sweeper.report.standing import all_standings, standing_of, trials_total
from sweeper.report.trial import trial_document
from sweeper.tracking.mlflow_view.content.varied import varied_in
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import _own
from tests.adapters.own_method import forget_methods, write_method
from tests.sweeper.designs import sweep_of

DOCUMENT = {
    "objective": {"metric": "eval_loss", "mode": "min"},
    "search": {"trials": 4},
    "methods": [{"name": "lora"}],
}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "sweeps"


@pytest.fixture
def sweep(home):
    folder = SweepFolder.create(home, "masa-1", document=DOCUMENT)
    folder.mark("running")
    for number in range(3):
        trial = folder.add_trial(
            f"{number:012x}",
            spec={},
            number=number,
            method="lora",
            params={"rank": 2**number},
            steps_total=8,
        )
        trial.begin()
        trial.append(4, {"train_loss": 3.0, "eval_loss": 2.0 - number, "eval_loss_se": 0.1})
        if number < 2:
            trial.complete()
    return folder


def standing(folder):
    return standing_of(folder, ranking_of(folder))


def test_a_trial_that_its_patience_ended_is_complete_and_shown_as_such(sweep):
    trial = sweep.trial(f"{2:012x}")
    trial.complete(ended_by="patience")
    found = standing(sweep)
    assert (found["trials"], found["ended_by_patience"]) == ({"complete": 3}, 1)
    assert found["best"]["number"] == 2
    runner = CliRunner()
    home = ["--home", str(sweep.home)]
    for command, text in [
        (["status", sweep.name, *home], r"patience +ended 1 trial early"),
        (["show", f"{sweep.name}/2", *home], r"complete, ended by its patience\s+steps +4 of 8"),
        (["report", sweep.name, *home], r"complete \(patience\)"),
    ]:
        result = runner.invoke(app, command)
        assert re.search(text, result.output), result.output
    document = trial_document(find_trial(f"{sweep.name}/2", home=sweep.home))
    assert (document["status"], document["ended_by"]) == ("complete", "patience")
    assert document["nodes"] == []
    # One that is run again has not ended.
    assert trial.requeue().ended_by == ""


def test_trials_that_lost_a_race_are_counted_with_the_rows_that_they_were_asked(sweep):
    assert standing(sweep)["races"] is None
    facts = {"racing_rows": 48.0, "racing_rows_in_all": 256.0, "racing_at_least": 0.1}
    trial = sweep.trial(f"{2:012x}")
    trial.append(8, facts)
    trial.prune(ended_by="race with 000000000001")
    found = standing(sweep)
    assert found["trials"] == {"complete": 2, "pruned": 1}
    assert found["races"] == {"lost": 1, "rows": 48, "rows_in_all": 256}
    # Its value of an earlier evaluation is the best, and is none of a whole trial.
    assert found["best"]["number"] == 1
    home = ["--home", str(sweep.home)]
    for command, text in [
        (["status", sweep.name, *home], r"races +ended 1 trial, last asked 48 of 256 rows"),
        (["show", f"{sweep.name}/2", *home], r"pruned, ended by its race with 000000000001"),
        (["report", sweep.name, *home], r"pruned"),
    ]:
        result = CliRunner().invoke(app, command)
        assert re.search(text, result.output), result.output


def test_of_a_cluster_the_machines_of_a_trials_workers_are_shown(sweep):
    trial = sweep.trial_folders()[2]
    trial.begin(nodes=["gpu-3", "10.0.0.4"])
    document = trial_document(find_trial(f"{sweep.name}/2", home=sweep.home))
    assert document["nodes"] == ["gpu-3", "10.0.0.4"]
    shown = ["show", f"{sweep.name}/2", "--home", str(sweep.home)]
    result = CliRunner().invoke(app, shown)
    assert re.search(r"nodes +gpu-3, 10\.0\.0\.4", result.output), result.output


def test_a_sweep_that_is_driven_is_running(sweep):
    with sweep.lock():
        found = standing(sweep)
    assert (found["status"], found["trials_done"], found["trials_total"]) == ("running", 2, 4)
    assert found["trials"] == {"complete": 2, "running": 1}
    assert (found["best"]["number"], found["best"]["value"]) == (1, 1.0)
    assert [(one["number"], one["steps"]) for one in found["running"]] == [(2, 4)]
    assert found["driver"].startswith("process ")


@pytest.mark.parametrize("status", ["interrupted", "stopped"])
def test_a_sweep_that_nobody_drives_has_no_trial_that_runs(sweep, status):
    if status == "stopped":
        # By Ctrl-C, a signal, or its owner: what was trained goes on at the next resume.
        sweep.mark("stopped")
    found = standing(sweep)
    assert (found["status"], found["running"]) == (status, [])
    assert found["trials"] == {"complete": 2, "interrupted": 1}
    assert [(one["number"], one["steps"]) for one in found["interrupted"]] == [(2, 4)]
    shown = CliRunner().invoke(app, ["status", sweep.name, "--home", str(sweep.home)])
    assert "1 interrupted" in shown.output
    assert "running" not in shown.output
    ranking = rank_sweep(sweep)
    assert ranking.counts() == found["trials"]
    assert [ranking.status_text(trial) for trial in ranking.trials][-1] == "interrupted"
    report = CliRunner().invoke(app, ["report", sweep.name, "--home", str(sweep.home)])
    assert "3 trials: 2 complete, 1 interrupted" in report.output
    assert f"resume {sweep.name}" in report.output


@pytest.mark.parametrize(
    ("document", "total"),
    [
        ({}, 8),
        ({"search": {"trials": 3}}, 3),
        ({"trials": [{}, {}]}, 2),
        ({"design": {"kind": "of a later version"}}, None),
    ],
)
def test_how_many_trials_there_will_be(document, total):
    assert trials_total(document) == total


def test_a_design_has_its_configurations_times_its_seeds():
    sweep = sweep_of({"kind": "paired", "tune": None, "seeds": 3})
    assert trials_total(sweep.document) == sweep.spec.search.trials


def test_a_damaged_sweep_is_listed_with_the_others(sweep, home):
    SweepFolder.create(home, "mosa-1", document=DOCUMENT)
    (home / "mosa-1" / "sweep.json").write_text("{")
    found = {one["sweep"]: one for one in all_standings(home)}
    assert found["mosa-1"]["status"] == "damaged"
    assert "sweep.json is damaged" in found["mosa-1"]["note"]
    assert found["masa-1"]["status"] == "interrupted"


def call(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_say_it(sweep, home):
    listed = call("list", "--home", home)
    assert re.search(
        r"masa-1  interrupted  2 of 4  1.00 ± 0.10 .* ago  lora \(1\)  eval_loss", listed
    )
    told = call("status", "masa-1", "--home", home)
    assert "[##########----------] 2 of 4: 2 complete, 1 interrupted" in told
    assert "trial 1 (lora, 000000000001), eval_loss 1.00 ± 0.10" in told
    assert "trial 2 (lora), 4/8 steps, train_loss 3" in told
    assert "interrupted: its driver was killed" in told
    assert f"Continue with: python -m sweeper resume {sweep.path}" in told


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_sweep_is_a_line_with_its_whole_name(sweep, home, width):
    name = "a-sweep-with-a-long-name-1"
    shutil.copytree(sweep.path, home / name)
    result = CliRunner().invoke(app, ["list", "--home", str(home)], env={"COLUMNS": str(width)})
    title, *lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert {line.split()[0] for line in lines} == {"masa-1", name}
    assert all("2 of 4" in line for line in lines)
    assert ("metric" in title) is (width == 120)


def test_an_empty_folder_is_no_error(home):
    assert "holds no sweep." in call("list", "--home", home)


def test_a_trial_is_shown_by_its_number(sweep, home):
    told = call("show", "masa-1/1", "--home", home)
    assert "Trial 1 (lora, 000000000001) of sweep masa-1" in told
    assert "eval_loss  1.00 ± 0.10" in told
    assert "rank  2" in told
    failed = sweep.trial("000000000002")
    failed.fail("DivergedError", "NaN", traceback="Traceback: of [it]")
    told = call("show", "2", "--home", home)
    assert "Traceback: of [it]" in told


def test_documents_are_strict_json(sweep, home):
    sweep.trial("000000000002").append(5, {"eval_loss": float("nan")})
    for document in (
        all_standings(home),
        standing(sweep),
        trial_document(find_trial("masa-1/2", home=home)),
    ):
        assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_method_in_a_file_is_not_run_to_count_trials(tmp_path, monkeypatch, is_gone):
    write_method(tmp_path)
    path = tmp_path / "own.yaml"
    # The rank that is varied is the class's own where the file does not say it, one of the levels.
    path.write_text(
        "name: own\nprofile: embedded\nmethods: [{python: 'mine.py:NarrowSpec'}]\n"
        "design: {kind: one_factor, factors: {method: {rank: [2, 4]}}, seeds: 2, control: none}\n"
    )
    sweep = load_sweep(path)
    assert sweep.design is not None
    document: Any = sweep.document
    assert document["methods"][0]["rank"] == 2
    forget_methods(monkeypatch)
    if is_gone:
        (tmp_path / "mine.py").unlink()
    assert trials_total(sweep.document) == 2 * len(sweep.design.configurations) == 4
    assert varied_in(sweep.document).paths == (("method", "rank"), ("train", "seed"))
    assert not _own._LOADED
