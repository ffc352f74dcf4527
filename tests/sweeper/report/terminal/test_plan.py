"""The plan of a sweep in the terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sweeper.report.terminal import earlier_text, plan_view
from tests.sweeper.report.terminal.sweep.test_leaderboard import printed

PLAN: dict[str, Any] = {
    "space": "masa",
    "profile": "embedded",
    "objective": {"metric": "eval_loss", "mode": "min"},
    "search": {"trials": 3},
    "resources": {"workers": 1, "cpus_per_worker": 1.0, "gpus_per_worker": 0.0},
    "memory": {"weights_bytes": 4_000_000, "activations_bytes": 12, "total_bytes": 2e15},
    "detection": None,
    "forecast": None,
    "missing": [],
    "trials": [
        {
            "id": f"{n:012x}",
            "number": n,
            "origin": "baseline" if n == 0 else "search",
            "is_example": n == 2,
            "method": "masa",
            "params": {"rank": 8, "experts": n, "targets": ["q"]},
            "trainable": 12_345,
            "percent": 1.2345,
            "budget": {
                "parameters": 12_345 + n,
                "size": {"groups": {"q_proj": 7, "v_proj": n}},
                "miss": -n,
                "miss_percent": -n / 123.45,
                "alpha_per_rank": 3.2 if n else None,
            },
        }
        for n in range(3)
    ],
}


@pytest.mark.parametrize("width", [80, 160])
def test_a_plan(width):
    text = printed(plan_view(PLAN), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "Plan of masa on embedded  3 trials, lowest eval_loss" in text
    assert "experts=2" in text
    assert "12,345   1.2345" in text
    assert "weights 4 MB, activations 12 B, total 2e+03 TB" in text
    assert "cpus per worker 1," in text
    assert "From trial 2 on, the draws depend on results; these rows are examples." in text
    assert "Nothing was started." in text
    lines = printed(plan_view({**PLAN, "missing": ["x", "y"]}), width=width).splitlines()
    # What keeps a plan from being run is not to be looked for.
    assert lines[:2] == ["Missing: x", "Missing: y"]


DESIGN: dict[str, Any] = {
    "kind": "one_factor",
    "question": "one_factor",
    "seeds": [0, 1],
    "looks": [2],
    "delta": 0.02,
    "control": "none",
    "baseline": "rank=8",
    "factors": {"method.rank": [8, 4]},
    "tuned": None,
    "configurations": [
        {"name": f"rank={rank}", "method": "masa", "levels": {"rank": rank}, "answers": f"r{rank}"}
        for rank in (8, 4)
    ],
    "warnings": [],
}


def of_design(*names: str) -> list[dict[str, object]]:
    trial = PLAN["trials"][0]
    found = [{**trial, "number": n, "configuration": name} for n, name in enumerate(names)]
    return [{**x, "taken_from": "old-1" if n == 1 else None} for n, x in enumerate(found)]


@pytest.mark.parametrize("width", [80, 160])
def test_a_plan_of_a_design(width):
    trials = of_design("rank=8", "rank=4", "rank=8", "rank=4")
    plan = {**PLAN, "search": {"trials": 4}, "design": DESIGN, "trials": trials}
    text = printed(plan_view(plan), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"^rank=8 +2 +0 +12,345 +1\.2345 +r8 *$", text, re.MULTILINE)
    assert re.search(r"^rank=4 +2 +1 +12,345 +1\.2345 +r4 *$", text, re.MULTILINE)
    assert "Question: what each change does to the baseline" in text
    assert "Trials: 2 configurations × 2 seeds = 4;" in text
    assert "Baseline: rank=8" in text
    assert "Smallest difference of interest: 0.02 eval_loss" in text
    assert "Control arms: none are added" in text
    assert "1 trial is finished already and is taken over: 1 from old-1." in text
    assert "Looks" not in text


def test_a_tuned_method_is_one_row() -> None:
    configurations: list[dict[str, Any]] = [
        {
            "name": f"{method}, learning_rate={rate}",
            "method": method,
            "levels": {"name": method, "learning_rate": rate},
            "answers": "",
        }
        for method in ("lora", "mosa")
        for rate in (1, 2)
    ]
    tuned = {"field": "train.learning_rate", "values": [1.0, 2.0]}
    design = {**DESIGN, "tuned": tuned, "configurations": configurations, "looks": [3, 5, 10]}
    trials = of_design(*(x["name"] for x in configurations))
    plan = {**PLAN, "search": {"trials": 4}, "design": design, "trials": trials}
    text = printed(plan_view(plan), width=160)
    assert re.search(r"^lora +2 +1 .*the peak of lora over 2 learning rates", text, re.MULTILINE)
    assert re.search(r"^mosa +2 +0 .*the peak of mosa over 2 learning rates", text, re.MULTILINE)
    assert "Tuned: 2 learning rates from 1 to 2, the same for each method" in text
    assert "Looks: conclusions may be drawn after 3, 5, 10 seeds" in text


@pytest.mark.parametrize(
    ("question", "winner", "said"),
    [
        (
            "one_factor",
            0.42,
            "Found in 80 %: 0.031 with 2 seeds and 200 rows, by the assumed spread\n"
            "Floor of these rows: 0.010, which no number of seeds beats\n"
            "To find 0.02: 4 seeds or 900 rows with these seeds\n"
            "Named the best alone: in about 42 %, where the best is 0.02 ahead of all\n",
        ),
        (
            "effects",
            None,
            "Found in 80 %: a main effect of 0.031, or twice as much of two factors together, with "
            "2 seeds and 200 rows, by the assumed spread\n",
        ),
    ],
)
def test_what_a_design_finds_is_said(question: str, winner: float | None, said: str) -> None:
    found = {"source": "", "rows": 200, "difference": 0.031, "floor": 0.01, "delta": 0.02}
    detection = {**found, "seeds": 4, "needed_rows": 900, "winner": winner}
    detection |= {"is_fraction": False}
    design = {**DESIGN, "question": question}
    trials = of_design("rank=8", "rank=4")
    plan = {**PLAN, "design": design, "trials": trials, "detection": detection}
    text = printed(plan_view(plan), width=160)
    assert said in "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    assert ("Named the best alone" in text) is (winner is not None)
    plan["detection"] = {**detection, "is_fraction": True}
    assert "3.1 points" in printed(plan_view(plan), width=160)


def test_a_space_with_fewer_trials_than_asked_for_is_told() -> None:
    text = printed(plan_view({**PLAN, "search": {"trials": 5}}), width=160)
    assert "Plan of masa on embedded  5 trials" in text
    assert "3 trials are all that the space has; none is run twice." in text
    one = {**PLAN, "search": {"trials": 5}, "trials": PLAN["trials"][:1]}
    assert "1 trial is all that the space has" in printed(plan_view(one), width=160)


@pytest.mark.parametrize("width", [80, 160])
def test_what_a_budget_chose(width):
    assert "Budget" not in printed(plan_view(PLAN), width=width)
    budget = {"match": "lora", "rank": 32, "targets": None}
    text = printed(plan_view({**PLAN, "budget": budget}), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "Budget: match lora, rank 32\n" in text
    assert re.search(r"^ +0 +masa +12,345 +0 +0 +groups=q_proj:7,v_proj:0", text, re.MULTILINE)
    missed = r"^ +2 +masa +12,347 +-2 +-0\.0162 +3\.2 +groups=q_proj:7,v_proj:2"
    assert re.search(missed, text, re.MULTILINE)


def test_a_confirmation_is_told_with_what_it_adds():
    found = {"top": 4, "seeds": 5, "trials": 15, "controlled": []}
    text = printed(plan_view({**PLAN, "confirmation": found}), width=160)
    assert "the best 3 configurations × 5 fresh seeds = 15 trials more, after the search." in text
    found["controlled"] = ["masa"]
    text = printed(plan_view({**PLAN, "confirmation": found}), width=160)
    assert "after the search; a control arm of masa adds 5 trials." in text
    one = {"top": 1, "seeds": 2, "trials": 2, "controlled": ["masa"]}
    text = printed(plan_view({**PLAN, "confirmation": one}), width=160)
    assert "the best configuration × 2 fresh seeds = 2 trials more" in text
    assert "Confirmation" not in printed(plan_view(PLAN), width=160)


def test_epochs_are_shown_as_steps():
    epochs = {"rows": 221, "fewest_steps": 83, "most_steps": 83}
    text = printed(plan_view({**PLAN, "epochs": epochs}), width=160)
    assert "Length: 83 steps a trial, made of epochs of 221 rows" in text
    text = printed(plan_view({**PLAN, "epochs": {**epochs, "fewest_steps": 28}}), width=160)
    assert "Length: 28 to 83 steps a trial" in text
    assert "Length" not in printed(plan_view(PLAN), width=160)


def test_when_patience_may_end_trials_is_shown():
    patience = {"trials": 3, "earliest_step": 15, "most_steps": 40}
    text = printed(plan_view({**PLAN, "patience": patience}), width=160)
    assert "Patience: a trial may end after step 15 of 40 at the earliest, by eval_loss; " in text
    text = printed(plan_view({**PLAN, "patience": {**patience, "trials": 1}}), width=160)
    assert "Patience: 1 trial shown may end after" in text
    assert "Patience" not in printed(plan_view(PLAN), width=160)


def test_when_races_end_trials_is_shown():
    racing = {"alpha": 0.05, "rows": 32, "grace": 2}
    plan = {**PLAN, "search": {"trials": 3, "stop": "racing", "racing": racing}}
    text = " ".join(printed(plan_view(plan), width=200).split())
    assert "Racing: from evaluation 2 on a trial ends once its loss is worse than the best" in text
    assert "with 95% certainty for all trials together; 32 validation rows first" in text
    plan = {**PLAN, "search": {"trials": 3, "stop": "asha", "racing": racing}}
    assert "Racing" not in printed(plan_view(plan), width=160)


def test_whether_methods_share_a_scale_is_shown_where_there_are_several():
    scale = {"text": "alpha / rank 2 for all", "holds": True, "names": []}
    assert "Scale" not in printed(plan_view({**PLAN, "scale": scale}), width=160)
    trials = [{**trial, "method": f"m{n}"} for n, trial in enumerate(PLAN["trials"])]
    text = printed(plan_view({**PLAN, "trials": trials, "scale": scale}), width=160)
    assert "Scale: alpha / rank 2 for all" in text


def test_a_line_for_each_rate_that_is_expected():
    start = {"method": "masa", "low": 2e-3, "high": 2e-3, "is_start": True}
    start |= {"between": (1e-3, 4e-3), "why": "0.002, the best of its curves"}
    own = {**start, "method": "lora", "high": 3e-3, "is_start": False}
    text = printed(plan_view({**PLAN, "rates": [start, own]}), width=200)
    assert (
        "Rate to start with, masa: 0.002; the best lies within 0.001 and 0.004 in two of three "
        "cases; made of 0.002, the best of its curves"
    ) in text
    assert "Rate (auto), lora: 0.002 to 0.003, by its size; the best lies" in text


def test_what_a_search_takes_of_earlier_sweeps():
    earlier = {
        "taken": [{"sweep": "old"}, {"sweep": "old"}, {"sweep": "older"}],
        "left_out": [{"sweep": "old", "trials": 3, "why": "is pruned, not complete"}],
    }
    said = (
        "The search learns from 2 of 5 trials of old, 1 of 1 trial of older; none counts as a "
        "trial of this sweep. Not taken: 3 of old: each is pruned, not complete."
    )
    assert earlier_text(earlier) == said
    assert said in printed(plan_view({**PLAN, "earlier": earlier}), width=200)
    assert earlier_text({"taken": [], "left_out": []}) == ""
