"""The comparison that is made of a search space: one size, one scale, the rates of the file."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.comparing import Comparison, comparison_of, dropped_fields, require_used
from sweeper.experiment.documents.yaml_files import read_yaml
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.own_code import locate_methods
from sweeper.experiment.sweep import Sweep
from tests.adapters.own_method import write_method
from tests.places import SPACES

THREE = "masa,masa_control,lora"


def asked(methods: str | None = THREE, **options: Any) -> Comparison:
    given = {"seeds": "3", "delta": None, "rates": None, **options}
    return Comparison.read(methods=methods, **given)


def made_of(document: Any, comparison: Comparison) -> Any:
    return comparison_of(document, comparison)


def compared(space: str, comparison: Comparison, **options: Any) -> Sweep:
    path = SPACES / f"{space}.yaml"
    return load_sweep(path, make=lambda x: comparison_of(x, comparison), **options)


@pytest.mark.parametrize("space", ["masa", "mosa", "compare", "variance", "tasks", "shootout"])
def test_any_search_space_becomes_a_comparison_of_one_size_and_one_scale(space):
    sweep = compared(space, asked("masa,masa_control,lora,mosa"))
    design = sweep.design
    assert design is not None
    assert design.question == "tuned"
    assert design.tuned is not None
    assert {x.method: x.controls for x in design.configurations} == {
        "masa": "",
        "masa_control": "masa",
        "lora": "",
        "mosa": "",
    }
    trials = [sweep.space.trial({"method": x.name}) for x in sweep.space.methods]
    assert len(trials) == 4 * len(design.tuned.values) * 3
    methods = {trial.method.name: trial.method for trial in trials}
    scales = {x.alpha_per_rank() for name, x in methods.items() if name != "mosa"}
    assert scales == {2}
    sizes = [sweep.spec.model.trainable(method) for method in methods.values()]
    # A rank of MASA is a tenth of the budget of this small model.
    assert max(sizes) < 1.1 * min(sizes)
    assert sweep.spec.final.trials is None
    assert sweep.spec.objective.metric == "eval_loss"


def test_the_rates_are_those_that_the_file_searches():
    for space, first, count in (("masa", 1e-4, 8), ("mosa", 1e-4, 8), ("compare", 1e-3, 6)):
        design = compared(space, asked()).design
        assert design is not None
        assert design.tuned is not None
        values = design.tuned.values
        assert (values[0], values[-1], len(values)) == (first, 3e-2, count)
    large = compared("masa", asked(), profile="llama3-8b").design
    assert large is not None
    assert large.tuned is not None
    assert (large.tuned.values[0], large.tuned.values[-1]) == (1.7e-6, 5e-4)


@pytest.mark.parametrize(
    ("rates", "ends"),
    [
        ({"loguniform": [1e-4, 1e-2]}, {"low": 1e-4, "high": 1e-2, "count": 7}),
        ({"uniform": [1e-4, 2e-4]}, {"low": 1e-4, "high": 2e-4, "count": 4}),
        ({"grid": [3e-3, 1e-3, 1e-2]}, {"low": 1e-3, "high": 1e-2, "count": 4}),
        ({"choice": [1e-3]}, None),
        (1e-3, None),
    ],
)
def test_any_range_of_rates_becomes_a_grid(rates, ends):
    made = made_of({"train": {"learning_rate": rates, "steps": 8}}, asked())
    assert made["design"].get("rates") == ends
    assert made["train"]["steps"] == 8
    assert ("learning_rate" in made["train"]) == (rates == 1e-3)


def test_what_is_fixed_of_a_method_stays_and_what_is_searched_or_sized_goes():
    targets = ["q_proj", "v_proj"]
    document: dict[str, Any] = {
        "name": "mine",
        "methods": [
            {"name": "masa", "rank": 4, "alpha": 8, "experts": {"int": [2, 6]}, "router": "none"},
            {"name": "lora", "rank": 4, "alpha": 8, "targets": targets},
        ],
        "train": {"weight_decay": {"uniform": [0, 1]}, "learning_rate": {"logfactor": [0.1, 10]}},
        "search": {"trials": 9},
        "baselines": [],
        "final": {"trials": 3, "rows": 100},
    }
    made = made_of(document, asked("masa,mosa", delta=0.05, seeds="3/5/10"))
    assert made["methods"] == [
        {"name": "masa", "router": "none", "targets": targets},
        {"name": "mosa", "targets": targets},
    ]
    # The size and the scale of the file's LoRA, on the layers that the file adapts.
    assert made["budget"] == {"match": "lora", "rank": 4, "targets": targets, "alpha_per_rank": 2}
    assert made["design"] == {
        "kind": "paired",
        "seeds": "3/5/10",
        "delta": 0.05,
        "rates": {"logfactor": [0.1, 10], "count": 7},
    }
    assert (made["name"], made["train"], made["final"]) == ("mine-compare", {}, {"rows": 100})
    assert not {"search", "baselines"} & made.keys()
    assert dropped_fields(document, made) == ("masa.experts", "train.weight_decay")


def test_a_budget_of_the_file_stays_and_gets_a_rule():
    document = {"budget": {"params": "0.5%"}, "methods": [{"name": "lora"}]}
    budget = made_of(document, asked())["budget"]
    assert budget == {"params": "0.5%", "alpha_per_rank": 2}
    document = {"budget": {"match": "lora", "rank": 8, "alpha_per_rank": 1}}
    assert made_of(document, asked())["budget"]["alpha_per_rank"] == 1
    # What is none is told where budgets are read.
    assert made_of({"budget": 0.5}, asked())["budget"] == 0.5


def test_without_names_the_methods_of_the_file_are_compared():
    document = read_yaml(SPACES / "masa.yaml")
    made = made_of(document, asked(None))
    assert [x["name"] for x in made["methods"]] == ["masa", "lora"]
    # The file is a design already: its name stays, and so does what it declares.
    made = made_of(read_yaml(SPACES / "compare.yaml"), asked(None))
    assert (made["name"], made["design"]["delta"]) == ("compare", 0.1)


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        (asked("masa,lroa"), r"--methods: unknown method 'lroa'; known: .*did you mean 'lora'"),
        (asked(""), r"--methods: got none, and the file has none; give two or more"),
        (asked(rates="1e-4"), r"--rates: got '1e-4'; --rates is LOW,HIGH or LOW,HIGH,COUNT"),
        (asked(rates="1e-2,1e-4"), r"low is above 0, below high"),
        (asked(rates="1e-4,1e-2,many"), r"--rates: got '1e-4,1e-2,many'"),
        (asked(rates="1e-4,1e-2," + "9" * 5000), "it is a whole number below a billion"),
        (asked(rates="1e-4,1e-2,7.5"), r"got '7\.5' rates; it is a whole number"),
    ],
)
def test_what_cannot_be_compared_is_told(comparison, message):
    with pytest.raises(SpecError, match=message):
        made_of({"name": "mine"}, comparison)


def test_rates_may_be_given():
    for text, rates in {"1e-4,1e-2": (1e-4, 1e-2, 7), "1e-3,1e-2,5": (1e-3, 1e-2, 5)}.items():
        made = made_of({}, asked(rates=text))["design"]["rates"]
        assert tuple(made.values()) == rates
    # A grid with gaps is refused where designs are read, with the count that it needs.
    with pytest.raises(SpecError, match="give a count of 7"):
        compared("masa", asked(rates="1e-4,1e-2,5"))


def test_what_listed_trials_set_is_named_where_it_is_dropped():
    document = read_yaml(SPACES / "variance.yaml")
    made = made_of(document, asked(None))
    # Rank and alpha are the budget's, and the rate is tuned.
    wanted = ("trials.masa.method.experts", "trials.masa.method.group_size")
    assert dropped_fields(document, made) == wanted


def test_listed_methods_are_those_that_the_file_lists(tmp_path):
    loha = {"name": "peft", "type": "loha"}
    methods = [{"python": write_method(tmp_path), "rank": 2}, {**loha, "r": 2}]
    trials = [{"name": f"t{n}", "method": method} for n, method in enumerate(methods)]
    file: dict[str, Any] = {"name": "listed", "profile": "embedded", "trials": trials}
    located = locate_methods(file, path=tmp_path / "listed.yaml")
    made = made_of(located, asked(None))
    assert [x["name"] for x in made["methods"]] == ["narrow", "peft"]
    narrow, peft = made["methods"]
    assert (narrow["python"], peft["type"]) == (methods[0]["python"], "loha")
    assert dropped_fields(located, made) == ()


def test_how_trials_are_run_stays():
    search = {"trials": 9, "max_failures": 5, "prefetch": 0}
    overrides = ["search.max_failures=4"]
    made = made_of({"search": search}, asked())
    assert made["search"] == {"max_failures": 5, "prefetch": 0}
    sweep = compared("masa", asked(), overrides=overrides)
    assert (sweep.spec.search.max_failures, sweep.spec.search.asha) == (4, None)
    with pytest.raises(SpecError, match="only max_failures and prefetch of search may stay"):
        compared("masa", asked(), overrides=["search.trials=4"])


def test_a_rate_that_would_change_nothing_is_refused():
    override = ["train.learning_rate=0.02"]
    made = made_of({"train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}}, asked())
    with pytest.raises(SpecError, match=r"train\.learning_rate: is set.*0\.0001 to 0\.01.*--rates"):
        require_used(made, override)
    # Factors are of it.
    require_used(made_of({"train": {"learning_rate": {"logfactor": [0.1, 10]}}}, asked()), override)
    require_used(made, ["train.steps=8"])


def test_overrides_are_of_the_comparison():
    overrides = ["design.seeds=5", "methods.masa.experts=3", "train.steps=8"]
    sweep = compared("masa", asked(), overrides=overrides)
    assert sweep.design is not None
    assert len(sweep.design.seeds) == 5
    trial = sweep.space.any_trial()
    assert (trial.method.parameters()["experts"], trial.train.steps) == (3, 8)
