"""A length in epochs becomes the steps of each trial; what is no length is told where it stands."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.epochs import EpochsSpec, with_steps


@pytest.mark.parametrize(
    ("epochs", "rows", "examples", "steps"),
    [(1, 100, 8, 13), (2, 100, 8, 25), (0.5, 100, 8, 7), (3, 8, 8, 3), (0.01, 10, 8, 1)],
)
def test_steps_are_the_examples_of_all_epochs_rounded_up(epochs, rows, examples, steps):
    assert EpochsSpec(epochs=epochs, epoch_rows=rows).steps(examples) == steps


def test_a_product_of_decimals_is_not_rounded_up_past_a_whole_number():
    # 1.1 * 10 is 11.000000000000002 in floating point.
    assert EpochsSpec(epochs=1.1, epoch_rows=10).steps(1) == 11


def test_workers_and_accumulation_make_a_step_larger():
    train: Document = {"epochs": 2, "epoch_rows": 96, "batch_size": 4, "learning_rate": 1e-3}
    engine: Document = {"gradient_accumulation": 3}
    found = with_steps({"train": train, "engine": engine, "workers": 2})
    assert found["train"] == {"batch_size": 4, "learning_rate": 1e-3, "steps": 8}
    assert with_steps({"train": {"epochs": 1, "epoch_rows": 80}})["train"] == {"steps": 10}


def test_without_epochs_nothing_changes():
    tree: Document = {"train": {"steps": 3}, "workers": 2}
    assert with_steps(tree) is tree
    beside: Document = {"train": {"steps": 3, "epoch_rows": 10}}
    assert with_steps(beside) == {"train": {"steps": 3}}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"epochs": 0, "epoch_rows": 5}, "greater than 0"),
        ({"epochs": "two", "epoch_rows": 5}, "valid number"),
        ({"epochs": True, "epoch_rows": 5}, "a number is needed"),
        ({"epochs": 1, "epoch_rows": 5, "steps": 3}, "stands beside steps; .*leave one out"),
    ],
)
def test_what_is_no_length_is_refused_at_its_place(train, message):
    with pytest.raises(ValidationError, match=message) as caught:
        with_steps({"train": train})
    assert caught.value.errors()[0]["loc"] == ("train", "epochs")
