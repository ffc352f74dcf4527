"""Names of configurations: what differs between them, and nothing else."""

from typing import Any

import pytest

from sweeper.analysis.configurations import configuration_names, configuration_of
from sweeper.tracking.record import TrialRecord


def record(number, method="lora", **params: Any):
    return TrialRecord(id=f"{number:012x}", number=number, method=method, params=params)


def names(*records):
    return list(configuration_names({one.id: one for one in records}).values())


def test_trials_that_differ_in_the_seed_alone_are_one_configuration():
    spec: dict[str, Any] = {
        "method": {"name": "lora", "rank": 8},
        "train": {"steps": 3, "seed": 5},
        "data": {"kind": "embedded", "seed": 1},
    }
    name, seed = configuration_of(spec)
    assert seed == 5
    assert configuration_of({**spec, "train": {"seed": 6, "steps": 3}}) == (name, 6)
    others: list[dict[str, Any]] = [
        {"train": {"steps": 4, "seed": 5}},
        {"data": {"kind": "embedded", "seed": 2}},
    ]
    for other in others:
        assert configuration_of({**spec, **other}) != (name, 5)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(0), record(1, "masa")], ["lora", "masa"]),
        ([record(0, rank=8, alpha=16)], ["lora"]),
        (
            [record(0, rank=8, alpha=16), record(1, rank=16, alpha=16), record(2, "masa", rank=8)],
            ["lora rank=8", "lora rank=16", "masa"],
        ),
        (
            [record(0, learning_rate=0.00123456), record(1, learning_rate=0.003, seed=1)],
            ["lora learning_rate=0.00123", "lora learning_rate=0.003"],
        ),
        (
            [record(0, targets=["q_proj"]), record(1, targets=["q_proj", "v_proj"])],
            ["lora targets=q_proj", "lora targets=q_proj,v_proj"],
        ),
        (
            [record(0, configuration="g=1", rank=8), record(1, configuration="g=2", rank=16)],
            ["g=1", "g=2"],
        ),
        (
            [record(0, trial="paper", learning_rate=0.1), record(1, trial="paper")],
            ["paper learning_rate=0.1", "paper"],
        ),
    ],
)
def test_a_name_has_what_differs(records, expected):
    assert names(*records) == expected


def test_no_two_are_alike():
    found = names(record(1, rate=0.1000001), record(2, rate=0.1000002), record(3, rate=0.2))
    assert found == [
        "lora rate=0.1 (000000000001)",
        "lora rate=0.1 (000000000002)",
        "lora rate=0.2",
    ]


def test_a_long_value_is_cut_in_the_middle():
    (first, _) = names(record(0, targets=["x" * 30, "y" * 30]), record(1, targets=["z"]))
    assert len(first) < 60
    assert "…" in first
