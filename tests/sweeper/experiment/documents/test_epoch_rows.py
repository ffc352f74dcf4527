"""Epochs of a file: rows counted once, kept with the sweep, and shown as steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.space.space import Point
from sweeper.search.draws import draw_all
from tests.sweeper.experiment.spaces import problems_of_space


def rows_of(sweep) -> int:
    return len(sweep.spec.data.load().train)


def test_epochs_take_the_place_of_the_profiles_steps(space: Path) -> None:
    sweep = load_sweep(space, overrides=["train.epochs=0.1"])
    rows = rows_of(sweep)
    assert get_path(sweep.document, ("train", "epoch_rows")) == rows
    steps = {trial.spec.train.steps for trial in draw_all(sweep)}
    # The profile has batches of 2.
    assert steps == {-(-rows // 20)}


def test_the_document_of_a_sweep_keeps_the_rows(space: Path) -> None:
    document = json.loads(json.dumps(load_sweep(space, overrides=["train.epochs=0.1"]).document))
    # Not as many as the data has.
    document["train"]["epoch_rows"] = 240
    document["train"]["batch_size"] = 3
    again = build_sweep(document, source="sweep.json")
    assert {trial.spec.train.steps for trial in draw_all(again)} == {8}
    # And it makes no other trial than one that says its steps.
    train = {key: x for key, x in document["train"].items() if not key.startswith("epoch")}
    said = build_sweep({**document, "train": {**train, "steps": 8}}, source="sweep.json")
    ids = [[trial.spec.identity() for trial in draw_all(sweep)] for sweep in (again, said)]
    assert ids[0] == ids[1]


def test_epochs_and_batches_may_be_searched(space: Path) -> None:
    sweep = load_sweep(
        space,
        overrides=["train.epochs={choice: [0.1, 0.2]}", "train.batch_size={choice: [2, 4]}"],
    )
    rows = rows_of(sweep)
    point: Point = {
        "method": "lora",
        "lora.rank": 4,
        "train.learning_rate": 1e-3,
        "train.epochs": 0.2,
        "train.batch_size": 4,
    }
    assert sweep.space.trial(point).train.steps == -(-rows // 20)


def test_the_last_one_that_is_set_counts(space: Path) -> None:
    both = load_sweep(space, overrides=["train.epochs=0.1", "train.steps=5"])
    assert {trial.spec.train.steps for trial in draw_all(both)} == {5}


def test_epochs_of_plain_text_are_of_sequences_that_are_given(space: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"Once upon {n} times. " * 9}) for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    data = f"data={{kind: rows, path: {tmp_path}/rows.jsonl, format: {{name: text}}}}"
    with pytest.raises(SpecError, match=r"train\.epochs: .*plain text.*train\.epoch_rows with the"):
        load_sweep(space, overrides=[data, "train.epochs=1"])
    sweep = load_sweep(space, overrides=[data, "train.epochs=1", "train.epoch_rows=30"])
    assert {trial.spec.train.steps for trial in draw_all(sweep)} == {15}


def test_a_saved_search_space_takes_other_data_and_other_lengths(
    space: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.yaml"
    found = load_sweep(space, overrides=["train.epochs=2"])
    own = {key: found.document[key] for key in ("name", "model", "data", "methods", "search")}
    document = {**own, "train": found.document["train"]}
    saved.write_text(json.dumps(document))
    assert get_path(document, ("train", "epoch_rows")) == rows_of(found)
    fewer = load_sweep(saved, overrides=["data.train_rows=8"])
    assert get_path(fewer.document, ("train", "epoch_rows")) == 8
    kept = load_sweep(saved, overrides=["train.epoch_rows=6", "data.train_rows=8"])
    assert get_path(kept.document, ("train", "epoch_rows")) == 6
    steps = load_sweep(saved, overrides=["train.steps=7"])
    assert {trial.spec.train.steps for trial in draw_all(steps)} == {7}
    assert get_path(steps.document, ("train", "epoch_rows")) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=-1", r"got -1: it must be above 0; give such a number"),
        ("train.epochs={choice: [1, 0]}", r"got 0: it must be above 0; give such a number"),
        ("train.epoch_rows=7", r"is 7, but nothing has epochs; .*leave it out"),
    ],
)
def test_what_cannot_be_is_told(space: Path, override: str, message: str) -> None:
    [(path, text)] = problems_of_space(space, override).items()
    assert path == override.partition("=")[0]
    assert re.search(message, text)
