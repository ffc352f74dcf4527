"""Trials that another sweep has finished: what is taken over, what is not, and who is told."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from safetensors.numpy import save_file
from typer.testing import CliRunner

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.finished import find_finished
from sweeper.analysis.ranking import rank_sweep
from sweeper.cli import app
from sweeper.execution.after.final_jobs import final_jobs
from sweeper.execution.driver import SweepDriver
from sweeper.execution.take_over import take_over
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import FinalSpec, Sweep
from sweeper.preflight.plan import finished_trials, plan_of
from sweeper.report.document import sweep_result
from sweeper.search import Suggestion
from sweeper.tracking.final_result import FinalResult, read_final, write_final
from sweeper.tracking.mlflow_view.content import trial_tags
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.places import SPACES
from tests.sweeper.rows import row_scores

EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")
SPACE = """
name: pair
methods: [{name: lora, rank: 4}, {name: mosa, rank: 4}]
design: {kind: paired, tune: null, seeds: 2}
final: {rows: 10}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "pair.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def sweep(space: Path) -> Sweep:
    return load_sweep(space, profile=EMBEDDED)


@pytest.fixture
def fingerprint(sweep: Sweep) -> str:
    return sweep.spec.data.fingerprint()


def result(loss: float, rows: int = 10) -> FinalResult:
    return FinalResult(
        split="test",
        rows=rows,
        rows_in_split=256,
        metrics={"eval_loss": loss},
        chosen_by={"place": 3},
    )


def finish(trial: TrialFolder, loss: float, *, rows: int = 10) -> None:
    trial.begin(trainable=5, total=10)
    for step in (30, 60, 90, 120):
        trial.append(step, {"eval_loss": loss, "eval_loss_se": 0.1})
    trial.complete()
    trial.adapter.mkdir()
    save_file({"a": np.zeros(9, np.float32)}, trial.adapter / "adapter_model.safetensors")
    (trial.adapter / "adapter_config.json").write_text("{}")
    kept = row_scores({"eval_loss": [loss] * 4}, split="validation", step=120)
    write_row_scores(trial.path / VALIDATION_ROWS, kept)
    (trial.path / "checkpoint").mkdir()
    (trial.path / "mlflow.json").write_text("{}")
    write_final(trial.path, result(loss, rows), row_scores({"eval_loss": [loss] * rows}))


def sweep_in(home: Path, name: str, sweep: Sweep) -> SweepFolder:
    return SweepFolder.create(home, name, document=sweep.document)


@pytest.fixture
def first(tmp_path: Path, sweep: Sweep, fingerprint: str) -> SweepFolder:
    """A sweep whose four trials are finished."""
    folder = sweep_in(tmp_path / "home", "first", sweep)
    trials = TrialFactory(folder, sweep, fingerprint)
    for number, method in enumerate(sweep.space.methods):
        point: Point = {"method": method.name}
        job = trials.job(Suggestion(number, point, trials.identify(point)))
        finish(folder.trial(job.trial_id), float(number))
    folder.note_base({"eval_loss": 9.0})
    folder.note_protocol({"rows": 64})
    write_final(folder.path, result(9.0), row_scores({"eval_loss": [9.0] * 10}))
    return folder


def described(folder: SweepFolder, like: TrialFolder, number: int) -> TrialFolder:
    found = like.description()
    return folder.add_trial(
        like.id,
        spec=found.spec,
        number=number,
        method=found.method,
        origin="design",
        params={"configuration": "x"},
    )


def test_a_second_sweep_has_all_its_results_and_starts_nothing(first, sweep, fingerprint):
    folder = sweep_in(first.home, "second", sweep)
    driver = SweepDriver(folder, sweep, fingerprint)
    assert not driver._prepare()
    states = [trial.state for trial in driver._study.get_trials()]
    assert states == [TrialState.COMPLETE] * 4
    old, new = rank_sweep(first), rank_sweep(folder)
    assert [trial.id for trial in new.ranked] == [trial.id for trial in old.ranked]
    assert new.finals.keys() == old.finals.keys()
    assert (new.base_scores, new.base_final) == (old.base_scores, read_final(folder.path))
    document = sweep_result(folder, new, conclusions_of(folder, new), tracking_uri="")
    assert {trial["taken_from"] for trial in document["trials"]} == {"first"}
    assert {trial["origin"] for trial in document["trials"]} == {"design"}
    document = sweep_result(first, old, conclusions_of(first, old), tracking_uri="")
    assert {trial["taken_from"] for trial in document["trials"]} == {None}


def test_some_are_taken_over_in_their_places_and_the_others_are_run(first, sweep, fingerprint):
    gone = first.trials()[1]
    shutil.rmtree(first.trial(gone.id).path)
    folder = sweep_in(first.home, "second", sweep)
    driver = SweepDriver(folder, sweep, fingerprint)
    assert driver._prepare()
    states = [trial.state.name for trial in driver._study.get_trials()]
    assert states == ["COMPLETE", "WAITING", "COMPLETE", "COMPLETE"]
    assert [record.number for record in folder.trials()] == [0, 2, 3]
    # Opened again, it tells nobody twice.
    again = SweepDriver(folder, sweep, fingerprint)._study.get_trials()
    assert [trial.state.name for trial in again] == states


def test_a_fresh_sweep_trains_all(first, space, fingerprint):
    sweep = load_sweep(space, profile=EMBEDDED, overrides=["fresh=true"])
    assert finished_trials(sweep, first.home, data_fingerprint=fingerprint) == {}
    folder = sweep_in(first.home, "second", sweep)
    driver = SweepDriver(folder, sweep, fingerprint)
    assert driver._prepare()
    assert {trial.state.name for trial in driver._study.get_trials()} == {"WAITING"}
    assert folder.trials() == []


def test_a_plan_says_what_exists_and_from_where(first, sweep, space):
    plan = plan_of(sweep, home=first.home)
    assert {trial.taken_from for trial in plan.trials} == {"first"}
    assert {trial.taken_from for trial in plan_of(sweep).trials} == {None}
    said = CliRunner().invoke(
        app, ["plan", str(space), "--profile", EMBEDDED, "--home", str(first.home)]
    )
    assert said.exit_code == 0, said.output
    assert "4 trials are finished already and are taken over: 4 from first." in said.output
    fresh = CliRunner().invoke(
        app, ["plan", str(space), "--profile", EMBEDDED, "--home", str(first.home), "--fresh"]
    )
    assert "taken over" not in fresh.output


def test_what_is_taken_over_keeps_its_files_and_says_its_source(first, sweep):
    other = first.trial(first.trials()[2].id)
    folder = sweep_in(first.home, "second", sweep)
    trial = described(folder, other, 7)
    assert take_over(folder, trial, final=sweep.spec.final)
    record = trial.read()
    assert (record.number, record.status, record.params) == (7, "complete", {"configuration": "x"})
    assert (record.trainable, record.metrics) == (5, other.read().metrics)
    assert trial.evaluations("eval_loss") == other.evaluations("eval_loss")
    source = trial.taken_from()
    assert source is not None
    assert (source.sweep, source.number) == ("first", 2)
    assert source.sweep_id == first.about().sweep_id
    names = {path.name for path in trial.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("spec.json", "record.json", "metrics.jsonl", "adapter", "taken_from.json"),
        *("final.json", FINAL_ROWS, VALIDATION_ROWS),
    }
    final = read_final(trial.path)
    assert final is not None
    # Its place was one among the other sweep's trials.
    assert final.chosen_by == {}
    assert (trial.path / FINAL_ROWS).read_bytes() == (other.path / FINAL_ROWS).read_bytes()
    # An adapter is not kept twice; a log that grows is.
    weights = "adapter_model.safetensors"
    assert (trial.adapter / weights).samefile(other.adapter / weights)
    assert not trial.metrics_path.samefile(other.metrics_path)
    assert trial.damage() == []
    # MLflow shows both, so that its table can be grouped.
    tags = trial_tags(folder, trial, record, parent_run_id="parent")
    assert (tags["taken_from"], tags["origin"]) == ("first", "design")
    assert tags["configuration"] == "x"


def test_a_third_sweep_names_the_one_that_trained(first, sweep):
    other = first.trial(first.trials()[0].id)
    second = sweep_in(first.home, "second", sweep)
    take_over(second, described(second, other, 0), final=sweep.spec.final)
    shutil.rmtree(first.path)
    third = sweep_in(first.home, "third", sweep)
    trial = described(third, second.trial(other.id), 1)
    assert take_over(third, trial, final=sweep.spec.final)
    source = trial.taken_from()
    assert source is not None
    assert source.sweep == "first"


@pytest.mark.parametrize("end", ["fail", "prune", "supersede", "begin"])
def test_what_did_not_come_to_its_end_is_never_taken_over(tmp_path, sweep, end):
    folder = sweep_in(tmp_path / "home", "first", sweep)
    trial = folder.add_trial("1" * 12, spec={}, number=0, method="lora")
    trial.begin()
    trial.append(30, {"eval_loss": 1.0})
    trial.adapter.mkdir()
    if end == "fail":
        trial.fail("DivergedError", "NaN")
    elif end == "prune":
        trial.prune()
    elif end == "supersede":
        trial.supersede("0" * 12)
    assert find_finished(folder.home, [trial.id]) == {}


WEIGHTS = "adapter/adapter_model.safetensors"


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("name", ["record.json", "metrics.jsonl", VALIDATION_ROWS, WEIGHTS])
def test_a_trial_of_which_a_copy_is_not_whole_is_trained(first, name, is_cut):
    trial = first.trial(first.trials()[0].id)
    assert list(find_finished(first.home, [trial.id])) == [trial.id]
    content = (trial.path / name).read_bytes()
    (trial.path / name).unlink()
    if is_cut:
        # Of the reports the last line goes, which holds the last evaluation.
        keep = content.rindex(b"\n", 0, -1) + 1 if name == "metrics.jsonl" else len(content) // 2
        (trial.path / name).write_bytes(content[:keep])
    assert find_finished(first.home, [trial.id]) == {}


def test_a_config_that_is_missing_makes_an_adapter_none(first):
    trial = first.trial(first.trials()[0].id)
    (trial.adapter / "adapter_config.json").unlink()
    assert find_finished(first.home, [trial.id]) == {}


@pytest.mark.parametrize("is_cut", [False, True])
def test_an_evaluation_without_its_rows_is_done_again(first, sweep, is_cut):
    other = first.trial(first.trials()[0].id)
    rows = other.path / FINAL_ROWS
    rows.write_bytes(rows.read_bytes()[:40]) if is_cut else rows.unlink()
    folder = sweep_in(first.home, "second", sweep)
    trial = described(folder, other, 0)
    assert take_over(folder, trial, final=sweep.spec.final)
    assert trial.read().status == "complete"
    assert read_final(trial.path) is None
    assert not (trial.path / FINAL_ROWS).exists()


def test_of_two_sweeps_the_one_that_evaluated_the_rows_is_taken(first, sweep):
    other = first.trial(first.trials()[0].id)
    for name in (FINAL_ROWS, "final.json"):
        (other.path / name).unlink()
    second = sweep_in(first.home, "second", sweep)
    trial = described(second, other, 0)
    assert take_over(second, trial, final=sweep.spec.final)
    write_final(trial.path, result(1.0), row_scores({"eval_loss": [1.0] * 10}))
    third = sweep_in(first.home, "third", sweep)
    trial = described(third, other, 0)
    assert take_over(third, trial, final=sweep.spec.final)
    assert read_final(trial.path) is not None
    source = trial.taken_from()
    # It is the sweep that trained it, wherever its results were read.
    assert source is not None
    assert source.sweep == "first"


def test_a_sweep_that_is_deleted_meanwhile_costs_a_training(first, sweep, monkeypatch, caplog):
    other = first.trial(first.trials()[0].id)
    folder = sweep_in(first.home, "second", sweep)
    trial = described(folder, other, 0)
    real = shutil.copyfile

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        shutil.rmtree(first.path, ignore_errors=True)

    monkeypatch.setattr(shutil, "copyfile", copy)
    with caplog.at_level(logging.WARNING):
        assert not take_over(folder, trial, final=sweep.spec.final)
    assert "is trained, though first had finished it" in caplog.text
    assert trial.read().status == "queued"
    assert [path.name for path in trial.path.iterdir()] == ["spec.json"]


def test_what_does_not_touch_the_training_makes_no_other_trial(first, space, fingerprint):
    """Names, the number of seeds, replicas and the evaluation after it are none of it."""
    overrides = ("name=other", "design.seeds=1", "resources.max_replicas=1", "final.rows=20")
    described = ("description=another", "design.delta=0.5", "resources.cpus_per_worker=2")
    sweep = load_sweep(space, profile=EMBEDDED, overrides=[*overrides, *described])
    known = finished_trials(sweep, first.home, data_fingerprint=fingerprint)
    assert len(known) == 2
    for other in ("engine.precision=bf16", "train.weight_decay=0.1", "data.train_rows=1999"):
        sweep = load_sweep(space, profile=EMBEDDED, overrides=[other])
        assert finished_trials(sweep, first.home, data_fingerprint=fingerprint) == {}
    sweep = load_sweep(space, profile=EMBEDDED)
    assert finished_trials(sweep, first.home, data_fingerprint="changed rows") == {}


def test_a_trial_that_has_begun_goes_on_itself(first, sweep):
    other = first.trial(first.trials()[0].id)
    folder = sweep_in(first.home, "second", sweep)
    trial = described(folder, other, 0)
    trial.begin()
    assert not take_over(folder, trial, final=sweep.spec.final)
    assert trial.read().status == "running"


@pytest.mark.parametrize(
    "final", [FinalSpec(rows=20), FinalSpec(), FinalSpec(rows=10, split="validation")]
)
def test_an_evaluation_on_other_rows_is_done_again(first, sweep, final):
    other = first.trial(first.trials()[0].id)
    folder = sweep_in(first.home, "second", sweep)
    trial = described(folder, other, 0)
    assert take_over(folder, trial, final=final)
    assert read_final(trial.path) is None
    assert not (trial.path / "final_rows.json").exists()
    jobs = final_jobs(folder, final.model_copy(update={"trials": None}))
    assert [job.is_base for job in jobs] == [False, True]


def test_a_search_takes_over_what_it_comes_upon(first, sweep, fingerprint):
    """A trial that is drawn, and not known before the start."""
    folder = sweep_in(first.home, "second", sweep)
    trials = TrialFactory(folder, sweep, fingerprint)
    point: Point = {"method": sweep.space.methods[0].name}
    job = trials.job(Suggestion(0, point, trials.identify(point)))
    assert folder.trial(job.trial_id).read().status == "complete"
    other = TrialFactory(folder, sweep, "other rows")
    job = other.job(Suggestion(1, point, other.identify(point)))
    assert folder.trial(job.trial_id).read().status == "queued"
