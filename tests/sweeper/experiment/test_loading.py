"""The whole way from a file to a sweep: what is accepted, and every problem with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import Sweep
from sweeper.search.draws import draw_all
from tests.places import SPACES
from tests.sweeper.experiment.spaces import problems_of_loading, problems_of_space


def test_a_space_is_read_and_its_points_become_trials(space: Path) -> None:
    sweep = load_sweep(space)
    assert [axis.name for axis in sweep.space.method("masa").axes] == [
        "masa.experts",
        "masa.group_size",
        "train.learning_rate",
    ]
    point: Point = {
        "method": "masa",
        "masa.experts": 3,
        "masa.group_size": 4,
        "train.learning_rate": 1e-3,
    }
    trial = sweep.space.trial(point)
    assert trial.train.learning_rate == 1e-3
    assert trial.train.steps == 8
    assert trial.method.model_dump()["experts"] == 3


def test_the_resolved_document_makes_the_same_sweep(space: Path) -> None:
    sweep = load_sweep(space, overrides=["search.trials=4", "methods.masa.experts=3"])
    document = json.loads(json.dumps(sweep.document))
    again = build_sweep(document, source="sweep.json")
    assert isinstance(again, Sweep)
    assert (again.spec, again.space) == (sweep.spec, sweep.space)


def test_the_resolved_document_makes_the_same_list(list_of):
    sweep = list_of()
    again = build_sweep(json.loads(json.dumps(sweep.document)), source="sweep.json")
    assert (again.spec, again.space) == (sweep.spec, sweep.space)


def test_a_resumed_sweep_has_the_same_trials(sized):
    sweep = sized(budget={"params": "0.3%"})
    again = build_sweep(json.loads(json.dumps(sweep.document)), source="sweep.json")
    assert [t.spec for t in draw_all(again)] == [t.spec for t in draw_all(sweep)]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["methods.masa.experts={grid: [2, 3, 5]}", "search.trials=6"], ""),
        (
            ["methods.masa.experts={grid: [2, 3, 5]}", "search.trials=3", "baselines=[]"],
            "search.trials is 3, but the space has 4 combinations of the grids; only the first 3",
        ),
        (
            [
                "search.trials=1",
                "baselines=[{method: {name: masa, experts: 3}}, {method: {name: lora}}]",
            ],
            "but the space has 2 baselines; .*set search.trials to 2$",
        ),
    ],
)
def test_what_there_are_too_few_trials_for_is_told(
    space: Path, overrides: list[str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_sweep(space, overrides=overrides)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == bool(words)
    assert all(re.search(words, text) for text in told)


def test_all_problems_come_at_once(space: Path) -> None:
    found = problems_of_space(
        space,
        "methods.masa.experts={int: [0, 3]}",
        "methods.lora.rnak=4",
        "train.step=5",
        "search.trails=5",
        "resources.workers=0",
    )
    assert "got 0" in found["methods.masa.experts"]
    assert "did you mean 'rank'?" in found["methods.lora.rnak"]
    assert "did you mean 'steps'?" in found["train.step"]
    assert "did you mean 'trials'?" in found["search.trails"]
    assert "got 0" in found["resources.workers"]


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("methods.0.name=massa", "methods.massa", "did you mean 'masa'"),
        ("methods.masa.experts=0", "methods.masa.experts", "must be at least 1"),
        ("methods.masa.group_size=5", "methods.masa.group_size", "4 layers"),
        ("methods.masa.group_size={choice: [1, 9]}", "methods.masa.group_size", "9"),
        ("train.learning_rate={uniform: [2, 1]}", "train.learning_rate", "low below high"),
        ("train.learning_rate={loguniform: [0, 1]}", "train.learning_rate", "above 0"),
        ("train.learning_rate={loguniform: [0, 1]}", "train.learning_rate", "draw by uniform"),
        ("search.trials=0", "search.trials", "at least 1; give such a number"),
        (
            "search.share.fraction=.nan",
            "search.share.fraction",
            "finite number; give such a number",
        ),
        ("search.from=[a, b, a]", "search.from", "names 'a' twice; it must name sweeps"),
        ("search.from=['']", "search.from", "names '' as a sweep; it must name sweeps"),
        ("search.prefetch=1001", "search.prefetch", "at most 1000; give such a number"),
        (
            "resources.price_per_hour=1e308",
            "resources.price_per_hour",
            "at most 1e+09; give such",
        ),
        ("train.epochs=0", "train.epochs", "got 0: it must be above 0; give such a number"),
        ("train.learning_rate={unifrom: [0, 1]}", "train.learning_rate", "'uniform'"),
        ("train.learning_rate={choice: ['1e-3']}", "train.learning_rate", "without quotes"),
        ("train.max_length={choice: [32, 64]}", "train.max_length", "one value for all"),
        ("methods.masa.experts={choice: [2, 2]}", "methods.masa.experts", "twice"),
        ("train.evaluations=9", "train", "at most one evaluation a step"),
        ("engine.offload=cpu", "engine", "offload needs zero_stage"),
        ("engine.zero_stage=4", "engine.zero_stage", "4"),
        ("model.kind=gufg", "model", "did you mean 'gguf'"),
        ("data.kind=jsonlines", "data", "jsonl"),
        ("baselines=[{method: {name: dora}}]", "baselines.0.method.name", "'lora'"),
        (
            "baselines=[{method: {name: lora, rank: 16}}]",
            "baselines.0.method.rank",
            "widen the space",
        ),
        ("baselines=[{method: {name: lora, experts: 2}}]", "baselines.0.method.experts", "search"),
    ],
)
def test_a_bad_value_is_named_with_its_place(
    space: Path, override: str, path: str, message: str
) -> None:
    found = problems_of_space(space, override)
    assert path in found, found
    assert message in found[path]


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        (
            "train.learning_rate={loguniform: [0.001]}",
            "train.learning_rate.loguniform.1",
            "is missing in [0.001]; a value must stand there; add it",
        ),
        (
            "train.learning_rate={choice: []}",
            "train.learning_rate.choice",
            "got []: it must have 1 or more entries, and has 0; add what is missing",
        ),
        (
            "methods.masa.experts={int: [2, 3], step: 0}",
            "methods.masa.experts.step",
            "got 0: it must be at least 1; give such a number",
        ),
    ],
)
def test_what_a_distribution_lacks_is_told_once(
    space: Path, override: str, path: str, message: str
) -> None:
    assert problems_of_space(space, override) == {path: message}


def test_of_races_that_would_never_be_held_is_warned(
    space: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = ("search.asha=null", "search.stop=racing", "train.evaluations=4")
    load_sweep(space, overrides=(*own, "search.racing.grace=4"))
    assert "search.racing.grace" not in caplog.text
    load_sweep(space, overrides=(*own, "search.racing.grace=5"))
    assert "search.racing.grace is 5, but a trial has 4 evaluations" in caplog.text


def test_how_trials_are_evaluated_reaches_each_of_them(space: Path) -> None:
    overrides = ("evaluation.generates=true", "evaluation.stop=[END]", "final.trials=2")
    sweep = load_sweep(space, overrides=overrides)
    assert sweep.spec.final.trials == 2
    for _, point in sweep.space.corners():
        evaluation = sweep.space.trial(point).evaluation
        assert (evaluation.generates, evaluation.stop) == (True, ("END",))


def test_a_list_has_a_budget_like_any_space(list_of):
    entries = [
        {"name": "lora", "method": {"name": "lora"}},
        {"name": "far", "method": {"name": "lora"}, "architecture": "llama3-8b"},
    ]
    lora, far = draw_all(list_of(entries, budget={"params": "0.5196%"}))
    # Each on its own model.
    assert far.spec.method.sizes() == {"rank": 16}
    assert lora.spec.method.sizes() != {"rank": 16}
    found = problems_of_loading(list_of, budget={"params": "0.5196%"})
    assert set(found) == {
        f"trials.{name}.method.rank" for name in ("small", "large", "here", "again")
    }


def test_problems_come_in_the_order_of_the_steps(space: Path) -> None:
    overrides = (
        "baselines=[{method: {name: dora}}]",
        "methods.lora.rnak=4",
        "methods.masa.experts={int: [3, 2]}",
        "budget=4%",
        "search.trails=5",
    )
    assert list(problems_of_space(space, *overrides)) == [
        "search.trails",
        "budget",
        "methods.masa.experts",
        "methods.lora.rank",
        "methods.lora.rnak",
        "baselines.0.method.name",
    ]


PATIENT = ["train.patience=1", "train.min_improvement=0.01", "objective.metric=accuracy"]


def test_a_trial_with_patience_has_the_objective_of_its_sweep(space: Path) -> None:
    sweep = load_sweep(space, overrides=PATIENT)
    trial = sweep.space.any_trial()
    assert trial.objective == sweep.spec.objective
    assert (trial.train.patience, trial.train.min_improvement) == (1, 0.01)
    assert build_sweep(sweep.document, source="again").space.any_trial() == trial
    assert load_sweep(space).space.any_trial().objective is None


def test_an_objective_that_is_wrong_is_told_once(space: Path) -> None:
    with pytest.raises(SpecError) as error:
        load_sweep(space, overrides=["train.patience=1", "objective.metric=unheard_of"])
    assert [problem.path for problem in error.value.problems] == ["objective.mode"]


@pytest.mark.parametrize(
    ("overrides", "is_told"),
    [(PATIENT, True), ([*PATIENT, "train.schedule=constant"], False), ([], False)],
)
def test_patience_under_a_falling_rate_is_told(
    space: Path, overrides: list[str], is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    load_sweep(space, overrides=overrides)
    told = [x.getMessage() for x in caplog.records if "train.patience" in x.getMessage()]
    assert len(told) == is_told
    assert all("train.schedule is cosine" in text for text in told)


def test_only_a_design_is_compared_by_a_metric_of_the_end(space: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"final\.metric: got 'accuracy'; a search compares its tr"):
        load_sweep(space, overrides=["final.metric=accuracy"])
    path = tmp_path / "design.yaml"
    path.write_text(
        "name: design\nmethods: [{name: lora}, {name: mosa}]\n"
        "design: {kind: paired, tune: null, seeds: 2}\n"
    )
    spec = load_sweep(path, overrides=["final.metric=accuracy"]).spec
    assert (spec.compared_by, spec.objective.metric) == ("accuracy", "eval_loss")
    with pytest.raises(SpecError, match=r"final\.metric: got 'mood'; it must say which values are"):
        load_sweep(path, overrides=["final.metric=mood"])
    with pytest.raises(SpecError, match=r"validation rows are compared by the objective"):
        load_sweep(path, overrides=["final.metric=accuracy", "final.split=validation"])


@pytest.mark.parametrize(
    ("fraction", "said"),
    [
        ("0.25", ""),
        ("0.5", ""),
        (
            "0.01",
            "fraction is 0.01, but trials are compared at the nearest of a trial's 4 "
            "evaluations (train.evaluations), number 1, after 25 % of their steps",
        ),
        (
            "0.99",
            "fraction is 0.99, but the nearest of a trial's 4 evaluations "
            "(train.evaluations) is the last one: every trial is trained to its end",
        ),
    ],
)
def test_of_a_share_that_no_evaluation_is_at_is_warned(
    space: Path, caplog: pytest.LogCaptureFixture, fraction: str, said: str
) -> None:
    own = ("search.asha={}", "search.stop=share", "search.sampler=gp", "train.evaluations=4")
    load_sweep(space, overrides=(*own, f"search.share.fraction={fraction}"))
    assert ("search.share.fraction" in caplog.text) == bool(said)
    assert said in caplog.text


def test_of_races_that_save_no_rows_is_warned(
    space: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = ("search.asha=null", "search.stop=racing", "train.eval_examples=64")
    load_sweep(space, overrides=(*own, "search.racing.rows=32"))
    assert "search.racing.rows" not in caplog.text
    load_sweep(space, overrides=(*own, "search.racing.rows=65"))
    assert "search.racing.rows is 65, but an evaluation has 64 validation rows" in caplog.text


def test_what_is_set_of_a_papers_item_is_noted(tmp_path: Path) -> None:
    path = SPACES / "papers" / "masa_table6.yaml"
    overrides = ("design.seeds=2", "fresh=true")
    sweep = load_sweep(path, profile="embedded", overrides=overrides)
    assert sweep.spec.paper.changed == ("design.seeds=2",)
    assert load_sweep(path, profile="embedded").spec.paper.changed == ()


def test_a_fraction_is_proposed_to_be_searched_where_it_can_be(space: Path) -> None:
    searched = "or search it with {int: [low, high]}"
    assert searched in problems_of_space(space, "train.steps=2.5")["train.steps"]
    for path in ("train.max_length", "search.startup_trials"):
        assert searched not in problems_of_space(space, f"{path}=2.5")[path]
