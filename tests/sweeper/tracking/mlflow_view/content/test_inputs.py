"""The data of a sweep as MLflow's dataset inputs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sweeper.tracking.mlflow_view.content import data_inputs


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"kind": "embedded", "train_rows": 5}, "embedded"),
        ({"kind": "jsonl", "path": "data/mine"}, "mine"),
        ({"kind": "hub", "name": "owner/rows", "subset": "a"}, "owner/rows"),
        ({"kind": "tasks", "train": ["arc_easy", "boolq"]}, "arc_easy, boolq"),
        ({"kind": "tasks", "train": {"mmlu": 0.5, "gsm8k": 1.0}}, "mmlu, gsm8k"),
    ],
)
def test_a_reader_knows_the_data_by_name(data, name):
    (found,) = data_inputs(data, fingerprint="f" * 64)
    assert (found.name, found.source_type) == (name, data["kind"])
    assert json.loads(found.source) == data


def test_the_digest_names_the_rows():
    data: dict[str, Any] = {"kind": "embedded"}
    # Of the rows alone, without a model's; MLflow takes 36 characters.
    (found,) = data_inputs(data, fingerprint=f"{'a' * 64} {'b' * 64}")
    assert found.digest == "a" * 32
    (unknown,), (other,) = (
        data_inputs(each, fingerprint="") for each in (data, {**data, "seed": 1})
    )
    assert len(unknown.digest) == 32
    assert unknown.digest != other.digest


def test_without_data_there_is_no_input():
    assert data_inputs({}, fingerprint="") == ()
