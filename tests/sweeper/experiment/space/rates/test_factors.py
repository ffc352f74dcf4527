"""Ranges of learning rates as factors of the profile's rate."""

from __future__ import annotations

import pytest

from sweeper.experiment.documents.tree import Document, get_path
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.rates import number_of, rates_between, require_order, resolve_factors
from tests.places import SPACES
from tests.sweeper.experiment.spaces import SPACE, problems_of_space

RELATIVE = SPACE.replace("{loguniform: [1e-4, 1e-2]}", "{logfactor: [0.1, 10]}").replace(
    ", train: {learning_rate: 1e-3}", ""
)


def range_of(sweep) -> tuple[float, float]:
    (axis,) = {axis for x in sweep.space.methods for axis in x.axes if axis.path[0] == "train"}
    return axis.distribution.loguniform


def with_rate(space, rate: str) -> None:
    profile = space.parent / "profiles" / "tiny.yaml"
    text = profile.read_text().replace("batch_size: 2", f"batch_size: 2, learning_rate: {rate}")
    profile.write_text(text)


@pytest.mark.parametrize(("rate", "ends"), [("3e-3", (3e-4, 3e-2)), ("5e-5", (5e-6, 5e-4))])
def test_factors_are_of_the_profiles_rate(space, rate, ends):
    with_rate(space, rate)
    space.write_text(RELATIVE)
    sweep = load_sweep(space)
    assert range_of(sweep) == ends
    # What is kept has the rates: a sweep that is resumed reads no profile again.
    kept = get_path(sweep.document, ("train", "learning_rate"))
    assert kept == {"loguniform": [*ends]}


def test_factors_may_be_set_from_the_command_line(space):
    with_rate(space, "1e-3")
    override = "train.learning_rate={logfactor: [0.5, 2]}"
    assert range_of(load_sweep(space, overrides=[override])) == (5e-4, 2e-3)


@pytest.mark.parametrize(
    ("space", "profile", "ends"),
    [
        ("masa", "embedded", (1e-4, 3e-2)),
        ("masa", "llama3-8b", (1.7e-6, 5e-4)),
        ("tasks", "embedded", (1e-4, 3e-2)),
        ("mosa", "embedded", (1e-4, 3e-2)),
    ],
)
def test_the_packaged_ranges_suit_the_profiles_model(space, profile, ends):
    assert range_of(load_sweep(SPACES / f"{space}.yaml", profile=profile)) == ends


@pytest.mark.parametrize(
    ("rate", "factors", "message"),
    [
        (None, "[0.1, 10]", "there is none; they need a number above 0"),
        ("fast", "[0.1, 10]", "it is 'fast'"),
        ("1e-3", "[10, 0.1]", "is empty; give [low, high]"),
        ("1e-3", "[0, 1]", "must be above 0"),
        ("1e-3", "0.1", "must be a list"),
    ],
)
def test_factors_that_are_none_are_told(space, rate, factors, message):
    if rate is not None:
        with_rate(space, rate)
    text = RELATIVE.replace("[0.1, 10]", factors)
    found = problems_of_space(space, text=text)
    assert message in str(found), found
    assert all(path.startswith("train.learning_rate") for path in found)


def test_other_fields_have_no_factors(space):
    found = problems_of_space(space, "methods.lora.alpha={logfactor: [1, 2]}")
    assert "give a value or a distribution" in found["methods.lora.alpha"]


def test_a_document_without_factors_stays_as_it_is():
    document: Document = {"train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}}
    assert resolve_factors(document, rate=None) is document
    assert [number_of(x) for x in (2, 1e-3, True, 0, -1, "1", None)] == [2, 1e-3] + [None] * 5
    assert rates_between((0.0333, 10), 3e-3) == (1e-4, 3e-2)
    with pytest.raises(ValueError, match="low below high"):
        require_order((1, 1))
