"""Trials listed one by one: how they are read, and how they go the way of any sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.errors import MissingError, SpecError
from sweeper.experiment.loading import build_sweep, load_sweep, only_runnable
from sweeper.experiment.sweep import Sweep
from sweeper.models import ArchitectureModelSpec
from sweeper.preflight.plan import plan_of
from sweeper.search.draws import draw_all
from sweeper.search.study import draw, open_study

PROFILE = {
    "model": {"kind": "hub", "name": "any/one", "architecture": "smollm2-135m"},
    "data": {"kind": "embedded"},
    "train": {"steps": 8, "learning_rate": 1e-3, "evaluations": 2},
}

TRIALS: list[dict[str, Any]] = [
    {"name": "small", "method": {"name": "lora", "rank": 2}},
    {"name": "large", "method": {"name": "lora", "rank": 9}, "train": {"learning_rate": 1e-4}},
    {
        "name": "elsewhere",
        "method": {"name": "masa"},
        "architecture": "llama3-8b",
        "published": {"params": "0.52", "source": "somewhere"},
        "note": "without its router",
    },
    {"name": "here", "method": {"name": "mosa", "rank": 1}, "architecture": "smollm2-135m"},
    {"name": "again", "method": {"name": "lora", "rank": 2}},
]


@pytest.fixture
def write(tmp_path: Path):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(yaml.safe_dump(PROFILE))

    def load(trials: Any = TRIALS, *overrides: str, **changes: Any) -> Sweep:
        path = tmp_path / "list.yaml"
        path.write_text(
            yaml.safe_dump({"name": "list", "profile": "tiny", "trials": trials, **changes})
        )
        return load_sweep(path, overrides=overrides)

    return load


def problems(write, *args: Any, **changes: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        write(*args, **changes)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_every_trial_is_drawn_once_in_its_order(write):
    sweep = write()
    drawn = draw_all(sweep)
    assert [trial.space.name for trial in drawn] == [entry["name"] for entry in TRIALS]
    assert {trial.origin for trial in drawn} == {"baseline"}
    assert [trial.spec.method.name for trial in drawn] == ["lora", "lora", "masa", "mosa", "lora"]
    assert sweep.spec.search.trials == 5
    # A list compares: nothing of it is stopped early.
    assert sweep.spec.search.asha is None


def test_what_a_trial_sets_of_training_is_its_own(write):
    small, large, *_ = draw_all(write(TRIALS, "train.warmup_ratio=0.5"))
    assert (small.spec.train.learning_rate, large.spec.train.learning_rate) == (1e-3, 1e-4)
    assert (small.spec.train.warmup_ratio, large.spec.train.warmup_ratio) == (0.5, 0.5)


def test_a_trial_is_counted_on_the_architecture_that_it_names(write):
    sweep = write()
    small, _, elsewhere, here, _ = draw_all(sweep)
    assert small.spec.model == here.spec.model == sweep.spec.model
    assert elsewhere.spec.model == ArchitectureModelSpec(name="llama3-8b")
    assert elsewhere.spec.model.shape().total_parameters == 8_030_261_248
    planned = plan_of(sweep).trials
    assert [trial.params["trial"] for trial in planned] == [entry["name"] for entry in TRIALS]
    assert f"{planned[2].percent:.4f}" == "0.4452"


def test_an_architecture_has_no_weights():
    model = ArchitectureModelSpec(name="llama3-8b")
    for call in (model.require_available, model.source, lambda: model.load("fp32")):
        with pytest.raises(MissingError, match="take a profile whose model has weights"):
            call()


def test_the_resolved_document_makes_the_same_list(write):
    sweep = write()
    again = build_sweep(json.loads(json.dumps(sweep.document)), source="sweep.json")
    assert (again.spec, again.space) == (sweep.spec, sweep.space)


def test_a_trial_is_set_by_its_name(write):
    sweep = write(TRIALS, "trials.large.method.rank=11", "trials.0.method.rank=3")
    small, large, *_ = draw_all(sweep)
    assert (small.spec.method.sizes(), large.spec.method.sizes()) == ({"rank": 3}, {"rank": 11})
    with pytest.raises(SpecError, match=r"no trial 'larg' in this space; .* mean 'large'"):
        write(TRIALS, "trials.larg.method.rank=11")


def test_a_list_has_a_budget_like_any_space(write):
    entries = [
        {"name": "lora", "method": {"name": "lora"}},
        {"name": "far", "method": {"name": "lora"}, "architecture": "llama3-8b"},
    ]
    lora, far = draw_all(write(entries, budget={"params": "0.5196%"}))
    # Each on its own model.
    assert far.spec.method.sizes() == {"rank": 16}
    assert lora.spec.method.sizes() != {"rank": 16}
    found = problems(write, budget={"params": "0.5196%"})
    assert set(found) == {
        f"trials.{name}.method.rank" for name in ("small", "large", "here", "again")
    }


@pytest.mark.parametrize(
    ("trials", "path", "message"),
    [
        ([], "trials", "give a list of trials"),
        ({"name": "x"}, "trials", "give a list of trials"),
        ([{"method": {"name": "lora"}}], "trials.0.name", "is missing"),
        ([{"name": "x"}], "trials.x.method", "is missing"),
        ([TRIALS[0], TRIALS[0]], "trials.small.name", "stands twice"),
        ([{"name": "a b", "method": {"name": "lora"}}], "trials.a b.name", "pattern"),
        ([{"name": "x", "method": {"name": "loar"}}], "trials.x.method", "did you mean 'lora'"),
        ([{"name": "x", "method": {"name": "lora", "rnak": 1}}], "trials.x.method.rnak", "'rank'"),
        ([{"name": "x", "method": {"name": "lora", "rank": 0}}], "trials.x.method.rank", "got 0"),
        (
            [{"name": "x", "method": {"name": "lora", "rank": {"int": [1, 2]}}}],
            "trials.x.method.rank",
            "nothing of a listed trial is",
        ),
        (
            [{"name": "x", "method": {"name": "masa", "group_size": 99}}],
            "trials.x.method.group_size",
            "30 layers",
        ),
        ([{**TRIALS[0], "train": {"stpes": 3}}], "trials.small.train.stpes", "'steps'"),
        ([{**TRIALS[0], "train": {"steps": 0}}], "trials.small.train.steps", "got 0"),
        ([{**TRIALS[0], "train": {"max_length": 9}}], "trials.small.train.max_length", "compared"),
        ([{**TRIALS[0], "architecture": "llama3"}], "trials.small.architecture", "llama3-8b"),
        (
            [{**TRIALS[0], "published": {"params": 0.52, "source": "x"}}],
            "trials.small.published.params",
            "string",
        ),
        ([{**TRIALS[0], "published": {"params": "1"}}], "trials.small.published.source", "missing"),
        ([{**TRIALS[0], "nots": "x"}], "trials.small.nots", "did you mean 'note'"),
    ],
)
def test_what_is_no_list_of_trials_is_told(write, trials, path, message):
    found = problems(write, trials)
    assert path in found, found
    assert message in found[path]


def test_a_file_lists_or_searches(write):
    found = problems(write, methods=[{"name": "lora"}])
    assert "lists trials or searches methods" in found["methods"]


# What can be run.


def test_trials_on_other_models_and_repeated_ones_are_not_run(write):
    sweep, left_out = only_runnable(write())
    assert left_out == ("elsewhere", "again")
    assert [trial.space.name for trial in draw_all(sweep)] == ["small", "large", "here"]
    assert sweep.spec.search.trials == 3
    # What is written down of the sweep is what is run.
    again = build_sweep(sweep.document, source="sweep.json")
    assert again.space == sweep.space
    assert only_runnable(again) == (again, ())


def test_where_nothing_can_be_run_the_profile_is_wrong(write):
    elsewhere = [TRIALS[2], {**TRIALS[3], "architecture": "llama2-7b"}]
    with pytest.raises(SpecError, match=r"none of the 2 trials .* on llama2-7b, llama3-8b; take"):
        only_runnable(write(elsewhere))


def test_a_search_is_run_as_it_is(write):
    document = {**write().document, "methods": [{"name": "lora"}]}
    del document["trials"]
    sweep = build_sweep(document, source="a search")
    assert only_runnable(sweep) == (sweep, ())


def test_each_trial_of_a_list_gets_its_folder_and_its_job(write, tmp_path):
    """All that a driver does before a replica has the trial, resumed in the middle."""
    from sweeper.execution import TrialFactory
    from sweeper.execution.pool import Job
    from sweeper.tracking.sweep_folder import SweepFolder

    sweep, _ = only_runnable(write())
    folder = SweepFolder.create(tmp_path / "sweeps", "list-1", document=sweep.document)
    jobs: list[Job] = []
    for number in range(3):
        # A driver that starts anew goes on where the one before was.
        again = build_sweep(folder.document, source="sweep.json")
        trials = TrialFactory(folder, again, "fingerprint")
        study = open_study(
            f"sqlite:///{folder.path / 'optuna.db'}",
            name="list-1",
            objective=again.spec.objective,
            space=again.space,
            search=again.spec.search,
        )
        trial, point = draw(study, again.space, again.spec.search)
        jobs.append(trials.job(point, trial.number))
        study.tell(trial, 1.0 + number)
    records = folder.trials()
    assert [record.id for record in records] == [job.trial_id for job in jobs]
    assert [record.params["trial"] for record in records] == ["small", "large", "here"]
    assert [record.params["learning_rate"] for record in records] == [1e-3, 1e-4, 1e-3]
    assert {record.origin for record in records} == {"baseline"}
    assert json.loads(jobs[1].spec_json)["method"]["rank"] == 9
