"""A clone is made of a trial that has ended; what cannot be one is refused, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.analysis.lookup import FoundTrial, find_trial
from sweeper.analysis.ranking import rank_sweep
from sweeper.errors import BadInputError
from sweeper.execution.after.final_jobs import clone_final_jobs, final_jobs
from sweeper.execution.after.trainings import run_trainings
from sweeper.execution.owner import clone_jobs, keep_limits, require_clones_fit
from sweeper.execution.pool import Message
from sweeper.execution.reconcile import requeue_failed
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import FinalSpec
from sweeper.preflight.forecast import Costs
from sweeper.preflight.model.cloning import clone
from sweeper.report.clones import clone_rows
from sweeper.search import open_study
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.owner import Limits
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper_adapters.methods import Method
from tests.adapters.specs import SPECS
from tests.places import SPACES
from tests.sweeper import exported
from tests.sweeper.preflight.forecast.test_costs import known

RATE = "train.learning_rate=0.01"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.make_world(tmp_path_factory.mktemp("world"))


def found_in(world: Path, home: Path, method: Method = SPECS["lora"]) -> FoundTrial:
    sweep = SweepFolder.create(home, "night", document=exported.DOCUMENT)
    folder = exported.made(sweep, exported.trial(method, world))
    sweep.mark("complete")
    return FoundTrial(sweep, folder)


def test_a_clone_waits_beside_the_trials_and_says_where_it_began(
    world: Path, tmp_path: Path
) -> None:
    found = found_in(world, tmp_path)
    made = clone(found, [RATE, "train.steps=5"])
    assert [record.id for record in found.sweep.trials()] == [found.trial.id]
    ((folder, one),) = clones_of(found.sweep)
    assert folder.path == tmp_path / "night" / "clones" / one.record.id
    assert (one.record.status, one.record.origin) == ("queued", "clone")
    assert one.record.steps_total == 5
    assert (one.parent.trial, one.parent.steps) == (found.trial.id, exported.STEPS)
    assert one.parent.asked == (RATE, "train.steps=5")
    assert one.parent.left == {}
    assert folder.trial_spec().train.learning_rate == 0.01
    assert "begins with" in made.lines[0]
    assert f"after {exported.STEPS} steps, and trains 5 more" in made.lines[0]
    assert made.lines[-1].startswith("resume night trains it; report shows it by itself")
    assert found.sweep.status == "stopped"
    with pytest.raises(BadInputError, match="has this clone already"):
        clone(found, [RATE, "train.steps=5"])


def test_a_driver_trains_it_once_and_a_report_has_it_apart(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    clone(found, [RATE])
    (job,) = clone_jobs(found.sweep)
    assert job.final is None
    assert job.evaluation_steps[-1] == exported.STEPS
    ((folder, one),) = clones_of(found.sweep)
    folder.begin()
    # Far better than its parent.
    folder.append(exported.STEPS, {"eval_loss": 0.1, "eval_loss_se": 0.01})
    folder.complete()
    assert clone_jobs(found.sweep) == []
    ranking = rank_sweep(found.sweep)
    assert [record.id for record in ranking.trials] == [found.trial.id]
    rows = clone_rows(found.sweep, ranking.objective)
    assert rows is not None
    (row,) = rows[1]
    assert row[:2] == ("0", one.record.id)
    assert row[3:] == (RATE, "0.100 ± 0.010", "complete", "2/2", "4")


def test_a_clone_can_be_cloned_and_counts_the_steps_of_all(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    first = clone(found, [RATE])
    first.folder.begin()
    first.folder.append(exported.STEPS, {"eval_loss": 0.5, "eval_loss_se": 0.1})
    first.folder.complete()
    (adapter,) = tmp_path.glob("night/trials/*/adapter")
    (first.folder.path / "adapter").symlink_to(adapter)
    again = find_trial(str(first.folder.path), home=tmp_path)
    assert again.title.startswith("clone 0 (lora, ")
    second = clone(again, ["train.learning_rate=0.02"])
    assert second.parent.steps == 2 * exported.STEPS
    assert second.parent.folder == f"clones/{first.folder.id}"


def test_each_tensor_that_does_not_agree_is_named(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path, SPECS["masa"])
    experts = found.trial.trial_spec().method.model_dump()["experts"]
    made = clone(found, [f"method.experts={experts + 1}"])
    assert made.parent.taken
    assert made.parent.left
    named = [line for line in made.lines if line.startswith("Begins anew: ")]
    assert named
    for key, why in list(made.parent.left.items())[: len(named)]:
        assert f"Begins anew: {key} ({why})." in named


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("train.max_length=64", "fields of train and method may change"),
        ("train.eval_examples=2", "fields of train and method may change"),
        ("method.name=dora", "begin a new sweep"),
        ("model.path=elsewhere", "begin a new sweep"),
        ("data.path=elsewhere", "begin a new sweep"),
        ("engine.zero_stage=1", "begin a new sweep"),
        ("train.learning_rate=-1", "it must be above 0"),
        ("train.learning_rat=1", "learning_rat"),
        ("method.rank=16", "none of the .* tensors that it would have agrees"),
        ("nothing", "write path=value"),
    ],
)
def test_what_would_be_no_clone_is_refused(
    world: Path, tmp_path: Path, override: str, reason: str
) -> None:
    found = found_in(world, tmp_path)
    with pytest.raises(BadInputError, match=reason):
        clone(found, [override])
    assert not (tmp_path / "night" / "clones").exists()
    assert found.sweep.status == "complete"


@pytest.mark.parametrize("name", ["pissa", "adalora"])
def test_an_adapter_that_does_not_stand_for_itself_is_not_cloned(
    world: Path, tmp_path: Path, name: str
) -> None:
    found = found_in(world, tmp_path, SPECS[name])
    with pytest.raises(BadInputError, match="cannot be cloned, for "):
        clone(found, [RATE])


def test_a_trial_without_an_adapter_is_not_cloned(world: Path, tmp_path: Path) -> None:
    sweep = SweepFolder.create(tmp_path, "night", document=exported.DOCUMENT)
    folder = exported.add(sweep, exported.trial(SPECS["lora"], world), number=0)
    with pytest.raises(BadInputError, match="has no adapter"):
        clone(FoundTrial(sweep, folder), [RATE])


def test_a_clone_that_was_stopped_while_it_waited_is_not_trained_for_ever(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = found_in(world, tmp_path)
    clone(found, [RATE])
    end = Message("end", status="stopped", is_recorded=False)
    monkeypatch.setattr("sweeper.execution.after.trainings.run_jobs", lambda *_: [end])
    no_pool: Any = None
    run_trainings(no_pool, clone_jobs(found.sweep))
    ((_, one),) = clones_of(found.sweep)
    assert one.record.status == "stopped"
    assert clone_jobs(found.sweep) == []


def completed(found: FoundTrial, rate: float, *, loss: float) -> TrialFolder:
    """A clone that was trained to its end."""
    made = clone(found, [f"train.learning_rate={rate}"])
    made.folder.begin()
    made.folder.append(exported.STEPS, {"eval_loss": loss, "eval_loss_se": 0.01})
    made.folder.complete()
    return made.folder


def test_each_complete_clone_is_evaluated_once_and_a_report_shows_it(
    world: Path, tmp_path: Path
) -> None:
    found, final = found_in(world, tmp_path), FinalSpec(trials=1)
    best, worse = completed(found, 0.01, loss=0.5), completed(found, 0.02, loss=0.9)
    clone(found, ["train.learning_rate=0.03"])
    jobs = clone_final_jobs(found.sweep, final)
    assert [job.folder for job in jobs] == [best.path, worse.path]
    assert {job.final for job in jobs} == {final}
    assert [dict(job.chosen_by) for job in jobs] == [{}, {}]
    # The trials' own evaluations are what they were.
    own = [job.folder for job in final_jobs(found.sweep, final)]
    assert own == [found.trial.path, found.sweep.path]
    objective = rank_sweep(found.sweep).objective
    rows = clone_rows(found.sweep, objective)
    assert rows is not None
    assert "eval_loss (test)" not in rows[0]
    metrics = {"eval_loss": 0.6, "eval_loss_se": 0.02}
    write_final(best.path, FinalResult(split="test", rows=9, rows_in_split=9, metrics=metrics))
    write_final(worse.path, FinalResult.failed(final, "no room"))
    # What failed is tried again, what has a result is not.
    assert [job.folder for job in clone_final_jobs(found.sweep, final)] == [worse.path]
    rows = clone_rows(found.sweep, objective)
    assert rows is not None
    column = rows[0].index("eval_loss (test)")
    assert [row[column] for row in rows[1]] == ["0.600 ± 0.020", "failed", "none"]
    assert rows[0][column + 1] == "status"


def test_no_clone_is_evaluated_where_no_trial_is(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    completed(found, 0.01, loss=0.5)
    assert clone_final_jobs(found.sweep, FinalSpec(trials=0)) == []


def test_a_failed_clone_is_trained_again_where_failed_trials_are(
    world: Path, tmp_path: Path
) -> None:
    found = found_in(world, tmp_path)
    made = clone(found, [RATE])
    made.folder.begin()
    made.folder.fail("ReplicaLost", "its node is gone")
    stopped = clone(found, ["train.learning_rate=0.02"])
    stopped.folder.stop()
    assert clone_jobs(found.sweep) == []
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded")
    study = open_study(
        StudyPlace("night", found.sweep.path / "optuna.db"),
        objective=sweep.spec.objective,
        space=sweep.space,
        search=sweep.spec.search,
    )
    requeue_failed(found.sweep, study)
    assert [job.trial_id for job in clone_jobs(found.sweep)] == [made.folder.id]


def costs_of(found: FoundTrial) -> Costs:
    """A trial like the parent takes 2 GB, of which 1 GB grows with its batch."""
    trial = found.trial.trial_spec()
    return Costs(known=(known(trial, peak_bytes=2e9),), base_bytes=1e9, load_s=5)


def test_a_clone_is_held_against_the_memory_of_its_sweep(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    keep_limits(found.sweep.path, Limits(max_memory_bytes=2_100_000_000), costs_of(found))
    with pytest.raises(BadInputError) as caught:
        clone(found, ["train.batch_size=64"])
    said = str(caught.value)
    assert said.startswith("--max-memory: a trial of lora needs about ")
    assert "of memory a worker (calibrated), but 2.1 GB are allowed; nothing was started" in said
    assert "what would fit: --set train.batch_size=2 --set engine.gradient_accumulation=32" in said
    assert not (found.sweep.path / "clones").exists()
    assert found.sweep.status == "complete"
    # What it proposes can be given.
    made = clone(found, ["train.batch_size=2", "engine.gradient_accumulation=32"])
    assert made.folder.trial_spec().engine.gradient_accumulation == 32


def test_a_clone_is_not_told_to_change_what_it_may_not(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    keep_limits(found.sweep.path, Limits(max_memory_bytes=1_000_000), costs_of(found))
    with pytest.raises(BadInputError, match="makes it fit: take more memory") as caught:
        clone(found, ["train.batch_size=64"])
    assert "zero_stage" not in str(caught.value)
    assert "precision" not in str(caught.value)


def test_clones_that_wait_are_held_against_a_new_limit(world: Path, tmp_path: Path) -> None:
    found = found_in(world, tmp_path)
    made = clone(found, ["train.batch_size=64"])
    require_clones_fit(found.sweep, costs_of(found), room=10**12)
    with pytest.raises(BadInputError, match=r"clone 0 .* waits to be trained, and needs") as caught:
        require_clones_fit(found.sweep, costs_of(found), room=2_100_000_000)
    assert f"remove {made.folder.path} and make a smaller clone" in str(caught.value)
