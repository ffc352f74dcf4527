"""Budgets: every method takes the size nearest to one number of parameters."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.budget import (
    BudgetFit,
    MatchBudget,
    ParamsBudget,
    fields_set_by,
    fit_to_budget,
)
from sweeper.experiment.sweep import Sweep
from sweeper.models.shapes import architecture, shape_of
from sweeper.preflight.plan import plan_of
from sweeper.search import Suggestion, preview
from sweeper.search.draws import draw_all, params_of
from sweeper_adapters.methods import (
    Linear,
    LoraSpec,
    MasaSpec,
    Method,
    ModelShape,
    MosaSpec,
)
from tests.adapters.specs import SPECS
from tests.sweeper.experiment.spaces import problems_of_loading

LLAMA3 = shape_of(architecture("llama3-8b"))
SEVEN = MasaSpec().targets


def tiny(*, layers: int = 4) -> ModelShape:
    sizes = {
        "q_proj": (32, 32),
        "k_proj": (32, 16),
        "v_proj": (32, 16),
        "o_proj": (32, 32),
        "gate_proj": (32, 48),
        "up_proj": (32, 48),
        "down_proj": (48, 32),
    }
    linears = tuple(Linear(name, *size) for name, size in sizes.items())
    return ModelShape(layers, linears, 50_000)


TINY = tiny()


def by_trying(method: Method, shape: ModelShape, parameters: int, *, highest: int = 700) -> Method:
    """The nearest of all sizes that the model allows, the smallest of equally near ones."""
    sized = [method.at_size(size) for size in range(1, highest)]
    allowed = [spec for spec in sized if spec is not None and not spec.problems(shape)]
    assert allowed
    return min(allowed, key=lambda spec: abs(spec.count(shape) - parameters))


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.name != "mosa"])
@pytest.mark.parametrize("parameters", [1, 3_000, 9_001, 20_000, 10**7])
def test_a_method_takes_the_nearest_size_that_the_model_allows(name, parameters):
    method = SPECS[name]
    if parameters == 10**7 and not method.adapts_layers:
        pytest.skip("virtual tokens have no limit to try out")
    assert method.resized(TINY, parameters) == by_trying(method, TINY, parameters)


@given(st.integers(1, 400_000))
def test_no_other_rank_is_nearer(parameters):
    spec = LoraSpec(alpha=7).resized(TINY, parameters)
    assert spec == by_trying(LoraSpec(alpha=7), TINY, parameters)
    assert spec.alpha == 7


def test_of_equally_near_sizes_the_smaller_is_taken():
    one = LoraSpec(rank=1).count(TINY)
    assert LoraSpec().resized(TINY, 3 * one + one // 2).rank == 3
    assert LoraSpec().resized(TINY, 3 * one + one // 2 + 1).rank == 4


def test_a_size_is_capped_by_what_the_model_allows():
    assert LoraSpec().resized(TINY, 10**9).rank == 16
    assert LoraSpec(targets=("q_proj",)).resized(TINY, 10**9).rank == 32


def test_targets_that_are_not_there_stay_a_problem():
    wrong = LoraSpec(targets=("q_porj",))
    assert wrong.resized(TINY, 1_000).problems(TINY) == wrong.problems(TINY)
    assert MosaSpec(targets=("q_porj",)).resized(TINY, 1_000).problems(TINY)


# MoSA.


@pytest.mark.parametrize("rank", [1, 8, 32])
@pytest.mark.parametrize("targets", [MosaSpec().targets, SEVEN, ("k_proj",)])
def test_mosa_meets_loras_budget_exactly_by_its_rank(rank, targets):
    budget = LoraSpec(rank=rank, targets=targets).count(LLAMA3)
    spec = MosaSpec(targets=targets).resized(LLAMA3, budget)
    assert spec.sizes() == {"rank": rank}
    assert spec.count(LLAMA3) == budget


def test_mosa_meets_the_budget_of_lora_on_other_layers():
    budget = LoraSpec(rank=8, targets=SEVEN).count(LLAMA3)
    spec = MosaSpec().resized(LLAMA3, budget)
    assert spec.rank is None
    assert spec.count(LLAMA3) == budget


@given(st.integers(1, 2_000), st.sampled_from([MosaSpec().targets, SEVEN, ("up_proj", "k_proj")]))
def test_mosa_meets_every_multiple_of_the_layers(per_layer, targets):
    spec = MosaSpec(targets=targets).resized(TINY, 4 * per_layer)
    assert not spec.problems(TINY)
    assert spec.count(TINY) == 4 * max(per_layer, len(targets))
    assert spec.resized(TINY, 4 * per_layer) == spec
    ks = {x.name: spec.size(x) for x in spec.adapted(TINY)}
    assert set(ks) == set(targets)
    if {"k_proj", "v_proj"} <= set(targets):
        assert ks["k_proj"] == ks["v_proj"]
    widths = {x.name: x.in_features + x.out_features for x in spec.adapted(TINY)}
    share = per_layer / sum(widths.values())
    for linear in spec.adapted(TINY):
        k = ks[linear.name]
        # The remainder of the division, at most one for each target, is on one of them.
        assert k >= min(linear.weights, int(share * widths[linear.name]) - 1)
        # What is more is what narrower ones could not take.
        is_full = any(spec.size(x) == x.weights for x in spec.adapted(TINY))
        assert is_full or k <= share * widths[linear.name] + len(targets)


@given(st.integers(1, 100_000))
def test_mosa_is_nearer_than_half_the_layers(parameters):
    shape = tiny(layers=5)
    spec = MosaSpec().resized(shape, parameters)
    everything = 5 * sum(x.weights for x in spec.adapted(shape))
    if 5 * len(spec.targets) <= parameters <= everything:
        assert abs(spec.count(shape) - parameters) * 2 <= 5


def test_mosa_where_every_shape_occurs_twice_misses_what_does_not_divide():
    spec = MosaSpec(targets=("q_proj", "o_proj", "k_proj", "v_proj")).resized(TINY, 4 * 101)
    counts = Counter(spec.size(x) for x in spec.adapted(TINY))
    assert set(counts.values()) == {2}
    assert spec.count(TINY) == 4 * 100


def test_mosa_is_full_at_most():
    spec = MosaSpec().resized(TINY, 10**9)
    assert all(spec.size(x) == x.weights for x in spec.adapted(TINY))
    assert not spec.problems(TINY)
    # What the narrow matrices cannot take, the others do.
    nearly = MosaSpec().resized(TINY, 4 * (sum(x.weights for x in spec.adapted(TINY)) - 3))
    assert nearly.count(TINY) == spec.count(TINY) - 12


def test_mosa_keeps_its_other_fields():
    spec = MosaSpec(grouping="row", tessellation_seed=3).resized(TINY, 4 * 333)
    assert (spec.grouping, spec.tessellation_seed) == ("row", 3)


# Budgets.


def test_a_budget_of_lora_is_on_the_methods_own_layers():
    budget = MatchBudget(match="lora", rank=32)
    assert fit_to_budget(budget, LoraSpec(), LLAMA3) == LoraSpec(rank=32)
    assert fit_to_budget(budget, MosaSpec(rank=1), LLAMA3) == MosaSpec(rank=32)
    wider = MatchBudget(match="lora", rank=32, targets=SEVEN)
    assert wider.parameters(MosaSpec(), LLAMA3) == LoraSpec(rank=32).count(LLAMA3)
    masa = fit_to_budget(budget, MasaSpec(), LLAMA3)
    assert isinstance(masa, MasaSpec)
    # Sizes to both sides of it are further away.
    misses = [
        abs(MasaSpec(rank=r).count(LLAMA3) - LoraSpec(rank=32).count(LLAMA3))
        for r in (masa.rank - 1, masa.rank, masa.rank + 1)
    ]
    assert min(misses) == misses[1]


def test_a_budget_in_percent_is_of_all_parameters():
    budget = ParamsBudget.model_validate({"params": "0.5220%"})
    trained = budget.parameters(LoraSpec(), LLAMA3)
    assert 100 * trained / (trained + LLAMA3.total_parameters) == pytest.approx(0.522, abs=1e-8)
    # Table 1 of the MASA paper has this percentage.
    assert fit_to_budget(budget, MasaSpec(router="softmax", rank=1), LLAMA3) == MasaSpec(
        router="softmax"
    )


def test_a_budget_may_be_a_number():
    for number in (42_000_000, 4.2e7):
        assert ParamsBudget.model_validate({"params": number}).params == 42_000_000


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (0.52, r"less than one parameter; .* write 0\.52% if percent is meant"),
        (0, "less than one parameter"),
        (-5, "less than one parameter"),
        (42.5, "whole number"),
        (True, "whole number"),
        ("42000000", "without quotes"),
        ("0%", "above 0% and below 100%"),
        ("100 %", "above 0% and below 100%"),
        ("half", "such as 0.52%"),
        ([1], "whole number"),
    ],
)
def test_what_is_no_budget_is_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        ParamsBudget.model_validate({"params": params})


def test_a_fit_tells_the_miss_with_its_sign():
    budget = ParamsBudget(params=1_000)
    over = BudgetFit.of(budget, LoraSpec(rank=1), TINY)
    assert over.sizes == {"rank": 1}
    assert over.miss == LoraSpec(rank=1).count(TINY) - 1_000 > 0
    assert over.miss_percent == pytest.approx(over.miss / 10)
    assert BudgetFit.of(ParamsBudget(params=10**6), LoraSpec(rank=1), TINY).miss < 0


def test_which_fields_a_budget_sets():
    plain = {"match": "lora", "rank": 8}
    assert fields_set_by(plain, {"name": "lora"}) == ("rank",)
    assert fields_set_by(plain, {"name": "mosa"}) == ("rank", "groups")
    assert fields_set_by(plain, {"name": "nonesuch"}) == fields_set_by(None, {"name": "lora"}) == ()
    ruled = {**plain, "alpha_per_rank": 2}
    assert fields_set_by(ruled, {"name": "lora"}) == ("rank", "alpha", "alpha_pattern")
    assert fields_set_by(ruled, {"name": "masa"}) == ("rank", "alpha")
    assert fields_set_by(ruled, {"name": "adalora"}) == ("initial_rank", "alpha")
    assert fields_set_by(ruled, {"name": "mosa"}) == ("rank", "groups")


def scale_of(method: Method) -> float | None:
    alpha = getattr(method, "alpha", None)
    return None if alpha is None else alpha / getattr(method, method.size_field)


@pytest.mark.parametrize("name", SPECS)
def test_with_a_rule_the_scale_stays_where_the_rank_changes(name):
    budget = MatchBudget(match="lora", rank=3, targets=SEVEN, alpha_per_rank=2)
    sized = fit_to_budget(budget, SPECS[name], TINY)
    assert scale_of(sized) in (2, None)
    # It is the size that the budget chooses without the rule.
    plain = fit_to_budget(budget.model_copy(update={"alpha_per_rank": None}), SPECS[name], TINY)
    assert sized.sizes() == plain.sizes()


def test_without_a_rule_alpha_stays_and_the_scale_does_not():
    budget = MatchBudget(match="lora", rank=8)
    sized = [fit_to_budget(budget, method, LLAMA3) for method in (MasaSpec(), LoraSpec())]
    assert len({scale_of(method) for method in sized}) == 2
    assert [method.alpha for method in sized] == [16, 16]


# In a search space.


RANKS: list[Document] = [{}, {"q_proj": 32}, {r"layers\.[0-3]\..*attn\..*": 2, "down_proj": 5}]


def test_patterns_of_ranks_are_drawn_and_sized(sized):
    budget = {"match": "lora", "rank": 8, "alpha_per_rank": 2}
    method = {"name": "lora", "rank_pattern": {"choice": RANKS}}
    sweep = sized(methods=[method], baselines=[], budget=budget)
    drawn = {
        json.dumps(t.spec.method.parameters()["rank_pattern"]): t.spec for t in draw_all(sweep)
    }
    assert len(drawn) == 3
    for spec in drawn.values():
        shape, lora = spec.model.shape(), spec.method
        assert isinstance(lora, LoraSpec)
        assert lora == by_trying(lora, shape, LoraSpec(rank=8).count(shape), highest=40).scaled(2)
        assert lora.alpha_pattern == {key: 2 * rank for key, rank in lora.rank_pattern.items()}
        assert spec.model.trainable(lora) == lora.count(shape)
    assert {json.dumps(spec.method.sizes()) for spec in drawn.values()} == {
        f'{{"rank": {rank}}}' for rank in (5, 8, 9)
    }
    assert len({spec.identity() for spec in drawn.values()}) == 3
    shown = plan_of(sweep).document()["trials"]
    assert {json.dumps(trial["params"]["rank_pattern"]) for trial in shown} == set(drawn)


def test_a_pattern_that_no_layer_escapes_has_no_budget(sized):
    method = {"name": "lora", "rank_pattern": {"choice": [{"q_proj": 4}, {".*_proj": 4}]}}
    changes = {"methods": [method], "baselines": []}
    assert problems_of_loading(sized, **changes)["budget"].startswith(
        "cannot size lora: its rank_p"
    )
    sized(**changes, budget=None)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({"q_pro": 4}, "rank_pattern has 'q_pro', which matches no layer that gets an adapter; "),
        (
            {"q_proj": 4, "[qk]_proj": 8},
            "rank_pattern has '[qk]_proj' (8) and 'q_proj' (4) for the",
        ),
        ({"q_proj": 577}, "rank of 'q_proj' is 577 but q_proj is 576 -> 576; its rank is at most"),
    ],
    ids=["unknown", "two-values", "too-high"],
)
def test_a_pattern_that_does_not_fit_the_model_is_told_before_the_start(sized, pattern, message):
    method = {"name": "lora", "rank_pattern": {"choice": [{}, pattern]}}
    found = problems_of_loading(sized, methods=[method], baselines=[], budget=None)
    assert found["methods.lora.rank_pattern"].startswith(message)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "masa", "rank_pattern": {"q_proj": 4}}, "unknown field 'rank_pattern'; known: "),
        ({"name": "lora", "rank_pattern": {"q_(": 4}}, "is no regular expression"),
        (
            {"name": "lora", "rank_pattern": 4},
            "got 4; it must be fields with their values; write {field: value}",
        ),
    ],
    ids=["masa", "expression", "number"],
)
def test_what_is_no_pattern_of_a_method_is_told(sized, method, message):
    found = problems_of_loading(sized, methods=[method], baselines=[], budget=None)
    assert message in found[f"methods.{method['name']}.rank_pattern"]


def test_every_trial_of_a_sweep_is_sized(sized):
    sweep = sized()
    drawn = draw_all(sweep)
    assert {trial.spec.method.name for trial in drawn} == {"masa", "lora", "mosa"}
    for trial in drawn:
        method = trial.spec.method
        assert sweep.space.budget is not None
        assert method == fit_to_budget(sweep.space.budget, method, trial.spec.model.shape())
        # What is known of a trial has the size that it is trained in.
        assert params_of(trial.spec, trial.space)["rank"] == method.sizes()["rank"]
    # The size depends on what was drawn.
    masas = [t.spec.method for t in drawn if isinstance(t.spec.method, MasaSpec)]
    ranks = {masa.experts: masa.rank for masa in masas}
    assert len(set(ranks.values())) > 1


def test_the_sampler_knows_nothing_of_the_size(sized):
    sweep = sized()
    for point, _ in islice(preview(sweep.space, sweep.spec.search), sweep.spec.search.trials):
        assert not [name for name in point if name.endswith(("rank", "groups"))]


def test_the_size_is_part_of_the_identity(sized):
    ids = [
        [t.spec.identity() for t in draw_all(sized(budget={"match": "lora", "rank": rank}))]
        for rank in (4, 16)
    ]
    assert not set(ids[0]) & set(ids[1])


def test_a_plan_shows_what_was_chosen(sized):
    document = plan_of(sized()).document()
    wanted = {"match": "lora", "rank": 8, "targets": None, "alpha_per_rank": None}
    assert document["budget"] == wanted
    for trial in document["trials"]:
        fit = trial["budget"]
        assert fit["miss"] == trial["trainable"] - fit["parameters"]
        assert fit["size"] == {"rank": trial["params"]["rank"]}
        if trial["method"] in {"lora", "mosa"}:
            assert fit == {**fit, "miss": 0, "miss_percent": 0}
    assert plan_of(sized(budget=None)).document()["trials"][0]["budget"] is None


def test_a_record_has_the_size(sized, tmp_path):
    from sweeper.execution import TrialFactory
    from sweeper.tracking.sweep_folder import SweepFolder

    sweep = sized(budget={"params": 1_000_003})
    folder = SweepFolder.create(tmp_path / "sweeps", "parity-1", document=sweep.document)
    trials, point = TrialFactory(folder, sweep, "fingerprint"), draw_point(sweep, "mosa")
    job = trials.job(Suggestion(0, point, trials.identify(point)))
    record = folder.trial(job.trial_id).read()
    assert record.params["groups"] == json.loads(job.spec_json)["method"]["groups"]
    assert isinstance(record.params["groups"], dict)


def draw_point(sweep: Sweep, method: str):
    return next(p for p, _ in preview(sweep.space, sweep.spec.search) if p["method"] == method)
