"""What the reference says of a sweep's files is what the code that writes them makes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, rows_at, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_docs.files import HOME, SWEEP, TRIAL
from tests.docs.documents import ROOT
from tests.sweeper.rows import row_scores

PACKAGES = ("sweeper", "adapters/sweeper_adapters")


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    """A sweep with a trial, written by all that writes a record."""
    sweep = SweepFolder.create(tmp_path, "listed", document={"name": "listed"})
    sweep.mark("running")
    sweep.note_base({"eval_loss": 2.0})
    sweep.note_protocol({"rows": 1})
    with sweep.lock():
        trial = sweep.add_trial("0123456789ab", spec={}, number=0, method="lora")
        trial.begin()
        trial.append(1, {"train_loss": 1.0})
        trial.checkpoint.mkdir()
        trial.adapter.mkdir()
        trial.complete()
    rows = row_scores({"a": (0.0, 1.0)})
    result = FinalResult(split="test", rows=2, rows_in_split=2)
    for folder in (trial.path, sweep.path):
        write_row_scores(folder / VALIDATION_ROWS, rows)
        write_final(folder, result, rows)
    write_row_scores(trial.path / rows_at(1), rows)
    return sweep


def test_what_is_written_is_listed(sweep: SweepFolder):
    (trial,) = sweep.trial_folders()
    for folder, files in ((sweep.path, SWEEP), (trial.path, TRIAL)):
        known = {file.name.split("/")[0] for file in files}
        there = {path.name.replace("00000001", "<step>") for path in folder.iterdir()}
        assert len(there) > 5
        assert there <= known


def test_what_is_listed_is_named_in_the_code():
    named = {
        node.value
        for folder in PACKAGES
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    listed = {file.name.split("/")[0] for file in (*HOME, *SWEEP, *TRIAL)} - {"<sweep>"}
    # A name with a number in it is not in one piece there.
    listed -= {"validation_rows-<step>.npz"}
    # A lock is named after what it locks.
    unlocked = {name.removesuffix(".lock") for name in listed - named}
    assert sorted(unlocked - named) == []
