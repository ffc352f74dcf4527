"""What a confirmation compares: the best trials as they were found, with seeds that none had."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.experiment.confirm import ConfirmSpec, confirmation_document, controlled_methods
from sweeper.experiment.design.base import SEEDS_END
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sweep import SearchSpec, Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search.draws import draw_all
from tests.sweeper.experiment.spaces import SPACE, problems_of_loading, problems_of_space

CONFIRM = ConfirmSpec(top=3, seeds=2)


def best_of(sweep: Sweep, *names: str) -> dict[str, TrialSpec]:
    """The first drawn trial of each method, as the best of a search."""
    drawn: dict[str, TrialSpec] = {
        trial.spec.method.name: trial.spec for trial in reversed(draw_all(sweep))
    }
    return {f"trial-{number}-{name}": drawn[name] for number, name in enumerate(names)}


def confirmed(
    sweep: Sweep, best: dict[str, TrialSpec], confirm: ConfirmSpec = CONFIRM, seeds: Any = (0,)
) -> Sweep:
    document = confirmation_document(sweep.document, best, confirm, used_seeds=seeds)
    assert document is not None
    return build_sweep(document, source="a confirmation")


def trials_of(sweep: Sweep) -> dict[str, list[TrialSpec]]:
    found: dict[str, list[TrialSpec]] = {}
    for method in sweep.space.methods:
        assert method.designed is not None
        trial = sweep.space.trial({"method": method.name})
        found.setdefault(method.designed.configuration, []).append(trial)
    return found


def without_seed(trial: TrialSpec) -> str:
    train = trial.train.model_copy(update={"seed": 0})
    return trial.model_copy(update={"train": train}).identity()


def test_trials_are_as_they_were_found_but_for_seeds_that_none_had(sized) -> None:
    sweep = sized(budget=None, baselines=[])
    best = best_of(sweep, "masa", "lora", "mosa")
    assert len({trial.train.learning_rate for trial in best.values()}) == 3
    found = confirmed(sweep, best, ConfirmSpec(seeds=3, delta=0.02), seeds={0, 7})
    assert found.design is not None
    assert (found.design.kind, found.design.seeds) == ("replicate", (8, 9, 10))
    assert found.design.delta == 0.02
    trials = trials_of(found)
    assert list(trials) == ["trial-0-masa", "trial-0-masa-control", "trial-1-lora", "trial-2-mosa"]
    for name, trial in best.items():
        assert [x.train.seed for x in trials[name]] == [8, 9, 10]
        assert {without_seed(x) for x in trials[name]} == {without_seed(trial)}
    control = trials["trial-0-masa-control"][0]
    assert control.train == trials["trial-0-masa"][0].train
    assert control.method.name == "masa_control"
    assert found.spec.final.trials is None
    assert found.spec.search.asha is None
    assert found.spec.search.confirm is None


@pytest.mark.parametrize("rule", [{}, {"alpha_per_rank": 2}])
def test_with_a_budget_the_control_arm_has_the_budgets_size_too(sized, rule) -> None:
    sweep = sized(budget={"match": "lora", "rank": 8, **rule})
    best = best_of(sweep, "masa", "lora")
    trials = trials_of(confirmed(sweep, best))
    for name, trial in best.items():
        assert without_seed(trials[name][0]) == without_seed(trial)
    sizes = {name: own[0].model.trainable(own[0].method) for name, own in trials.items()}
    assert sizes.keys() == {"trial-0-masa", "trial-0-masa-control", "trial-1-lora"}
    # A rank of MASA is a tenth of this budget.
    assert max(sizes.values()) < 1.1 * min(sizes.values())
    unsized = best["trial-0-masa"].method.model_dump()
    control = trials["trial-0-masa-control"][0].method.model_dump()
    assert control["rank"] > unsized["rank"]


def test_a_control_that_was_searched_stands_for_itself_and_not_for_one_of_this_shape(sized) -> None:
    methods = [
        {"name": "masa", "experts": 4, "rank": 4},
        {"name": "masa_control", "experts": {"choice": [2, 4]}, "rank": 4},
    ]
    train = {"learning_rate": 1e-3}
    sweep = sized(methods=methods, train=train, baselines=[], budget=None, search={"trials": 3})
    specs = [trial.spec for trial in draw_all(sweep)]
    masa, unlike, alike = sorted(specs, key=lambda x: (x.method.name, x.method.experts))
    found = trials_of(confirmed(sweep, {"a": masa, "b": unlike}))
    assert list(found) == ["a", "a-control", "b"]
    assert without_seed(found["a-control"][0]) == without_seed(alike)
    # One that is the control arm is not trained twice.
    assert list(trials_of(confirmed(sweep, {"a": masa, "b": alike}))) == ["a", "b"]


def test_what_the_search_alone_had_is_dropped_and_the_rest_kept(sized) -> None:
    final = {"trials": 3, "rows": 20}
    sweep = sized(budget=None, final=final, objective={"metric": "accuracy"})
    found = confirmed(sweep, best_of(sweep, "lora", "mosa"))
    assert found.spec.name == "parity-confirm"
    assert found.spec.final.model_dump() == {"trials": None, "split": "test", "rows": 20}
    assert found.spec.objective == sweep.spec.objective
    assert found.document["data"] == sweep.document["data"]


@pytest.mark.parametrize(
    ("used", "first"),
    [
        ((0,), 1),
        ((), 0),
        ((0, 41), 42),
        ((0, 2**31 - 1), 1),
        # The seeds after the last that is used would end beyond it.
        ((SEEDS_END - 1, 3), 4),
        ((SEEDS_END - 1, 1, 3), 4),
    ],
)
def test_seeds_are_above_all_that_were_used(sized, used: tuple[int, ...], first: int) -> None:
    sweep = sized(budget=None)
    found = confirmed(sweep, best_of(sweep, "lora", "mosa"), seeds=used)
    assert found.design is not None
    assert found.design.seeds == (first, first + 1)


@pytest.mark.parametrize(
    ("names", "control", "is_one"),
    [
        ((), "added", False),
        (("lora",), "added", False),
        (("masa",), "none", False),
        (("masa",), "added", True),
        (("lora", "mosa"), "none", True),
    ],
)
def test_two_things_at_least_are_compared(sized, names, control, is_one: bool) -> None:
    sweep = sized(budget=None)
    confirm = ConfirmSpec(control=control)
    best = best_of(sweep, *names)
    found = confirmation_document(sweep.document, best, confirm, used_seeds=[0])
    assert (found is not None) == is_one
    assert found is None or build_sweep(found, source="it").design is not None


def test_methods_that_owe_a_control_are_known_before_the_search(sized) -> None:
    assert controlled_methods(sized().space) == ("masa",)
    assert controlled_methods(sized(methods=[{"name": "lora"}], baselines=[]).space) == ()


@pytest.mark.parametrize(
    ("confirm", "path", "message"),
    [
        ({"top": 0}, "search.confirm.top", "must be at least 1"),
        ({"seeds": 1}, "search.confirm.seeds", "must be at least 2"),
        ({"delta": 0}, "search.confirm.delta", "must be above 0"),
        ({"tops": 3}, "search.confirm.tops", "did you mean 'top'"),
        ({"top": 1, "control": "none"}, "search.confirm.top", "no control arm stands beside it"),
    ],
)
def test_what_is_no_confirmation_is_told(space, confirm, path: str, message: str) -> None:
    text = SPACE.replace("search: {trials: 6}", f"search: {{trials: 6, confirm: {confirm}}}")
    found = problems_of_space(space, text=text)
    assert path in found, found
    assert message in found[path]


def test_one_configuration_is_enough_beside_its_control_arm(sized) -> None:
    search = {"trials": 2, "confirm": {"top": 1}}
    assert sized(search=search).spec.search.confirm == ConfirmSpec(top=1)
    found = problems_of_loading(sized, methods=[{"name": "lora"}], baselines=[], search=search)
    assert "no control arm" in found["search.confirm.top"]


def test_a_design_has_none(design_of) -> None:
    design, factors = {"kind": "grid", "seeds": 2}, {"method": {"experts": [2, 4]}}
    search = {"confirm": {"top": 2}}
    found = problems_of_loading(design_of, design | {"factors": factors}, search=search)
    assert "stands beside design" in found["search"]


def test_a_search_without_one_is_what_it_was() -> None:
    assert SearchSpec().confirm is None
    assert SearchSpec.model_validate({"confirm": {}}).confirm == ConfirmSpec(top=4, seeds=5)
