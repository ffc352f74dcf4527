"""Damaged files of a sweep: each is named, the rest is shown, and what can be done again is."""

from __future__ import annotations

import io
import json
import os

import pytest
from rich.console import Console

from sweeper.analysis import conclusions_of, find_trial, rank_sweep
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.report import sweep_result
from sweeper.report.terminal import sweep_view
from sweeper.tracking import FinalResult, SweepFolder, read_final, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from tests.sweeper.rows import row_scores
from tests.whole import few


def put_pipe(path):
    path.unlink()
    os.mkfifo(path)


SPOILT = {
    "emptied": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "a list": lambda path: path.write_text("[1]"),
    "a number": lambda path: path.write_text("1e999"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "no text": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "half a surrogate": lambda path: path.write_text('{"id": "\\ud800"}'),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": put_pipe,
    "a link": lambda path: (path.rename(path.with_name("real")), path.symlink_to("real")),
}


ROWS = row_scores({"eval_loss": [1.5]})
OF_TRIALS = ("record.json", "spec.json", "final.json", "final_rows.npz", "validation_rows.npz")
OF_SWEEPS = (
    *("state.json", "base.json", "evaluation.json", "final.json"),
    *("final_rows.npz", "validation_rows.npz"),
)


@pytest.fixture
def sweep(tmp_path):
    document = {"name": "masa", "objective": {"metric": "eval_loss", "mode": "min"}}
    folder = SweepFolder.create(tmp_path / "sweeps", "masa-1", document=document)
    for number, loss in enumerate([2.0, 1.0, 3.0]):
        trial = folder.add_trial(
            f"{number:012x}", spec={"a": 1}, number=number, method="masa", params={"rank": 8}
        )
        trial.begin()
        trial.append(1, {"eval_loss": loss})
        trial.complete()
        write_row_scores(trial.path / VALIDATION_ROWS, ROWS)
        write_final(trial.path, FinalResult(split="test", rows=1, rows_in_split=1), ROWS)
    write_row_scores(folder.path / VALIDATION_ROWS, ROWS)
    folder.note_base({"eval_loss": 4.0})
    folder.note_protocol({"rows": 8})
    folder.mark("complete")
    write_final(folder.path, FinalResult(split="test", rows=1, rows_in_split=1), ROWS)
    return SweepFolder(folder.path)


def shown(sweep):
    """The document and the text of a report."""
    ranking = rank_sweep(sweep)
    text = io.StringIO()
    out = Console(file=text, width=400, markup=False)
    conclusions = conclusions_of(sweep, ranking)
    out.print(sweep_view(sweep, ranking, conclusions, tracking_uri="x"), crop=False)
    document = sweep_result(sweep, ranking, conclusions, tracking_uri="x")
    json.dumps(document, allow_nan=False)
    return document, text.getvalue()


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("how", few(SPOILT, "zeros", "a folder"))
@pytest.mark.parametrize("name", OF_TRIALS)
def test_a_damaged_file_of_a_trial_is_named_and_the_others_are_shown(sweep, name, how):
    path = sweep.trial("0" * 11 + "1").path / name
    SPOILT[how](path)
    document, text = shown(sweep)
    assert [one["file"] for one in document["damaged"]] == [str(path)]
    assert f"{path}: {document['damaged'][0]['why']}" in text
    numbers = [trial["number"] for trial in document["trials"]]
    assert numbers == ([0, 2] if name == "record.json" else [0, 1, 2])
    assert document["best"]["number"] == (0 if name == "record.json" else 1)


@pytest.mark.parametrize("how", few(SPOILT, "zeros", "a folder"))
@pytest.mark.parametrize("name", OF_SWEEPS)
def test_a_damaged_file_of_the_sweep_is_named_and_all_trials_are_shown(sweep, name, how):
    SPOILT[how](sweep.path / name)
    document, text = shown(sweep)
    assert [one["file"] for one in document["damaged"]] == [str(sweep.path / name)]
    assert str(sweep.path / name) in text
    assert len(document["trials"]) == 3
    assert document["status"] == ("stopped" if name == "state.json" else "complete")
    sweep.set_damage_aside()
    # The base is scored again where what it was scored on is lost.
    of_base = {"base.json", "evaluation.json", "validation_rows.npz"}
    assert bool(sweep.base_scores()) is (name not in of_base)
    assert (read_final(sweep.path) is None) is name.startswith("final")
    sweep.mark("complete")
    assert shown(sweep)[0]["damaged"] == []


@pytest.mark.parametrize("how", SPOILT)
def test_without_what_was_asked_for_nothing_is_shown_and_the_file_is_named(sweep, how):
    SPOILT[how](sweep.path / "sweep.json")
    with pytest.raises(BadInputError, match=r"sweep\.json is damaged, or of a newer version"):
        shown(SweepFolder(sweep.path))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": "paused"}, "status: it must be 'queued', 'running'"),
        ({"attempts": -1}, "attempts: "),
        ({"steps": 10**30}, "steps: "),
        ({"wall_time_s": "Infinity"}, "wall_time_s: "),
        ({"started_at": "2023-11-14T22:13:20"}, "started_at: it must be a time with its time zone"),
        ({"metrics": {"eval_loss": "low"}}, "metrics.eval_loss: "),
        ({"error": "out of memory"}, "error: "),
        ({"id": "../../x"}, "id: it is of trial '../../x', not '000000000001'"),
        ({"id": "0" * 12}, "id: it is of trial '000000000000'"),
    ],
)
def test_a_value_that_no_version_so_far_writes_is_named(sweep, fields, why):
    path = sweep.trial("0" * 11 + "1").path / "record.json"
    change(path, **fields)
    with pytest.raises(DamagedFileError, match=r"record\.json is damaged") as told:
        sweep.trial("0" * 11 + "1").read()
    assert told.value.why.startswith(why)
    assert [record.number for record in sweep.trials()] == [0, 2]


def test_fields_of_a_newer_version_are_dropped(sweep):
    for path in sweep.path.rglob("*.json"):
        # It holds names of metrics and nothing else.
        if path.name != "base.json":
            change(path, new_field=[1, {"a": None}])
    assert shown(SweepFolder(sweep.path))[0]["damaged"] == []


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 100,
        b'{"step": 1e999, "unix_time_s": 1, "metrics": {}}',
        b'{"step": -1, "unix_time_s": 1, "metrics": {}}',
        b'{"step": 1, "unix_time_s": 1e300, "metrics": {}}',
        b'{"step": 1, "unix_time_s": "NaN", "metrics": {}}',
        b'{"step": 1, "unix_time_s": 1, "metrics": {"a": 1' + b"0" * 400 + b"}}",
        b'{"rewind_to": 99999999999999999999}',
        b'"rewind_to"',
        b"[" * 10_000,
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_of_metrics_is_left_out(sweep, line):
    trial = sweep.add_trial("a" * 12, spec={}, number=3, method="masa")
    trial.begin()
    trial.append(1, {"loss": 2.0})
    with trial.metrics_path.open("ab") as file:
        file.write(line + b"\n")
    trial.append(2, {"loss": 1.0})
    assert [point.step for point in sweep.trial("a" * 12).points()] == [1, 2]
    assert shown(sweep)[0]["damaged"] == []


# Identities and links.


@pytest.mark.parametrize("trial_id", ["../../x", "/etc", "..", ".", "", "a/b"])
def test_an_identity_is_no_path(sweep, trial_id):
    with pytest.raises(BadInputError, match="as an identity"):
        sweep.trial(trial_id)


def test_a_record_that_names_another_folder_leads_nowhere(sweep):
    change(sweep.trial("0" * 11 + "1").path / "record.json", id="../../../x")
    found = find_trial("masa-1", home=sweep.home)
    assert found.trial.path == sweep.path / "trials" / ("0" * 12)
    with pytest.raises(BadInputError, match=r"it is of trial '\.\./\.\./\.\./x'"):
        str(find_trial("0" * 11 + "1", home=sweep.home).title)


def test_metrics_are_not_written_through_a_link(sweep, tmp_path):
    trial = sweep.add_trial("a" * 12, spec={}, number=3, method="masa")
    target = tmp_path / "precious"
    target.write_text("mine")
    trial.metrics_path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link, which is not followed"):
        trial.append(1, {"loss": 1.0})
    assert target.read_text() == "mine"
    assert [error.path for error in sweep.damage()] == [trial.metrics_path]


def test_a_lock_is_not_taken_through_a_link(sweep, tmp_path):
    target = tmp_path / "precious"
    target.write_text("mine")
    (sweep.path / "driver.lock").symlink_to(target)
    with pytest.raises(BadInputError, match=r"driver\.lock cannot be locked .*symbolic link"):
        sweep.lock().__enter__()
    assert target.read_text() == "mine"


# What a resume does.


def test_damaged_files_of_trials_are_set_aside_and_the_rest_stays(sweep):
    lost, undescribed, whole = (sweep.trial(f"{number:012x}") for number in range(3))
    (lost.path / "record.json").write_text("{")
    (undescribed.path / "spec.json").write_bytes(b"")
    before = (whole.path / "record.json").read_text()
    found = sweep.set_damage_aside()
    assert [error.path for error in found] == [
        lost.path / "record.json",
        undescribed.path / "spec.json",
    ]
    assert (lost.path / "record.json.damaged").read_text() == "{"
    record = lost.read()
    assert (record.status, record.metrics) == ("queued", {"eval_loss": 2.0})
    assert (whole.path / "record.json").read_text() == before
    # Suggested again, the other one is described anew; what is recorded of it still holds.
    again = sweep.add_trial(undescribed.id, spec={"a": 2}, number=1, method="masa")
    assert again.read().status == "complete"
    assert sweep.damage() == sweep.set_damage_aside() == []


def test_examples_that_are_lost_are_evaluated_again(sweep):
    path = sweep.trial("0" * 12).path
    (path / "final_rows.npz").write_text("[")
    sweep.set_damage_aside()
    assert read_final(path) is None


def test_a_trial_whose_rows_are_lost_stays_as_it_ended(sweep):
    trial = sweep.trial("0" * 12)
    (trial.path / "validation_rows.npz").write_bytes(b"")
    (lost,) = sweep.set_damage_aside()
    assert str(lost.path).endswith("validation_rows.npz")
    assert trial.read().status == "complete"
    assert read_final(trial.path) is not None
    assert sweep.damage() == []


def test_a_damaged_result_counts_as_none_and_is_written_again(sweep):
    path = sweep.trial("0" * 12).path
    (path / "final.json").write_text("{")
    assert read_final(path) is None
    write_final(path, FinalResult(split="test", rows=5, rows_in_split=5))
    again = read_final(path)
    assert again is not None
    assert again.rows == 5


def test_a_link_in_the_place_of_a_trial_is_not_followed(sweep, tmp_path):
    linked, elsewhere = sweep.trial(f"{1:012x}").path, tmp_path / "elsewhere"
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in elsewhere.iterdir()}
    document, text = shown(SweepFolder(sweep.path))
    assert "it is a symbolic link, which is not followed" in text
    assert [one["id"] for one in document["trials"]] == [f"{0:012x}", f"{2:012x}"]
    opened = SweepFolder(sweep.path)
    assert [error.path for error in opened.set_damage_aside()] == [linked]
    assert opened.damage() == []
    assert not linked.exists()
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before
