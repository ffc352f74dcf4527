"""The plan of a sweep in the terminal."""

from __future__ import annotations

import re

import pytest

from sweeper.report.terminal import plan_view
from tests.sweeper.report.terminal.test_leaderboard import printed

PLAN = {
    "space": "masa",
    "profile": "embedded",
    "objective": {"metric": "eval_loss", "mode": "min"},
    "search": {"trials": 3},
    "resources": {"workers": 1, "cpus_per_worker": 1.0, "gpus_per_worker": 0.0},
    "memory": {"weights_bytes": 4_000_000, "activations_bytes": 12, "total_bytes": 2e15},
    "missing": None,
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
    assert "Missing: x" in printed(plan_view({**PLAN, "missing": "x"}), width=width)


def test_a_space_with_fewer_trials_than_asked_for_is_told() -> None:
    text = printed(plan_view({**PLAN, "search": {"trials": 5}}), width=160)
    assert "Plan of masa on embedded  5 trials" in text
    assert "3 trials are all that the space has; none is run twice." in text


@pytest.mark.parametrize("width", [80, 160])
def test_what_a_budget_chose(width):
    assert "Budget" not in printed(plan_view(PLAN), width=width)
    budget = {"match": "lora", "rank": 32, "targets": None}
    text = printed(plan_view({**PLAN, "budget": budget}), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "Budget: match lora, rank 32\n" in text
    assert re.search(r"^ +0 +masa +12,345 +0 +0 +groups=q_proj:7,v_proj:0", text, re.MULTILINE)
    missed = r"^ +2 +masa +12,347 +-2 +-0\.0162 +groups=q_proj:7,v_proj:2"
    assert re.search(missed, text, re.MULTILINE)
