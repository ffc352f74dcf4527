"""The section `trials`: how a list of trials is read, and what is none."""

from __future__ import annotations

import pytest

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.sections import read_trials
from sweeper.models import ArchitectureModelSpec
from sweeper.preflight.plan import plan_of
from sweeper.search.draws import draw_all
from tests.sweeper.experiment.spaces import TRIALS, problems_of_loading


def test_what_a_trial_sets_of_training_is_its_own(list_of):
    small, large, *_ = draw_all(list_of(TRIALS, "train.warmup_ratio=0.5"))
    assert (small.spec.train.learning_rate, large.spec.train.learning_rate) == (1e-3, 1e-4)
    assert (small.spec.train.warmup_ratio, large.spec.train.warmup_ratio) == (0.5, 0.5)


def test_a_trial_is_counted_on_the_architecture_that_it_names(list_of):
    sweep = list_of()
    small, _, elsewhere, here, _ = draw_all(sweep)
    assert small.spec.model == here.spec.model == sweep.spec.model
    assert elsewhere.spec.model == ArchitectureModelSpec(name="llama3-8b")
    assert elsewhere.spec.model.shape().total_parameters == 8_030_261_248
    planned = plan_of(sweep).trials
    assert [trial.params["trial"] for trial in planned] == [entry["name"] for entry in TRIALS]
    assert f"{planned[2].percent:.4f}" == "0.4452"


@pytest.mark.parametrize(
    ("trials", "path", "message"),
    [
        ([], "trials", "give a list of trials"),
        ({"name": "x"}, "trials", "give a list of trials"),
        ([{"method": {"name": "lora"}}], "trials.0.name", "is missing"),
        ([{"name": "x"}], "trials.x.method", "is missing"),
        ([TRIALS[0], TRIALS[0]], "trials.small.name", "stands twice"),
        ([{"name": "a b", "method": {"name": "lora"}}], "trials.a b.name", "must have the form"),
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
        ([{**TRIALS[0], "train": {"steps": [1]}}], "trials.small.train.steps", "got [1]"),
        (
            [{**TRIALS[0], "train": {"callbacks": ["a.py:A"]}}],
            "trials.small.train.callbacks",
            "put it into the file's train",
        ),
        ([{**TRIALS[0], "architecture": "llama3"}], "trials.small.architecture", "llama3-8b"),
        (
            [{**TRIALS[0], "published": {"params": 0.52, "source": "x"}}],
            "trials.small.published.params",
            "must be text; put it in quotes",
        ),
        ([{**TRIALS[0], "published": {"params": "1"}}], "trials.small.published.source", "missing"),
        ([{**TRIALS[0], "nots": "x"}], "trials.small.nots", "did you mean 'note'"),
    ],
)
def test_what_is_no_list_of_trials_is_told(list_of, trials, path, message):
    found = problems_of_loading(list_of, trials)
    assert path in found, found
    assert message in found[path]
    # One value is one problem.
    assert sum(x.startswith(path) for x in found) == 1


def test_a_file_lists_or_searches(list_of):
    found = problems_of_loading(list_of, methods=[{"name": "lora"}])
    assert "lists trials or searches methods" in found["methods"]


def test_a_trial_has_nothing_to_search() -> None:
    entry: Json = {"name": "x", "method": {"name": "lora", "rank": 2}, "train": {"seed": 3}}
    (space,), problems = read_trials({"trials": [entry], "train": {"steps": 8, "seed": 1}})
    assert problems == []
    assert (space.name, space.axes) == ("x", ())
    assert space.tree == {
        "method": {"name": "lora", "rank": 2},
        "train": {"steps": 8, "seed": 3},
        "objective": {},
        "workers": 1,
    }


def test_bad_trials_do_not_hide_good_ones() -> None:
    good: Json = {"name": "x", "method": {"name": "lora"}}
    spaces, problems = read_trials({"trials": [{"name": "y"}, good, good]})
    assert [space.name for space in spaces] == ["x"]
    assert [problem.path for problem in problems] == ["trials.y.method", "trials.x.name"]
