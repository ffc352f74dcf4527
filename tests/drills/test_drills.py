"""The short form of the drills that start no sweep; of those that do see test_sweep.py."""

from __future__ import annotations

import json
import random
import shutil
import tarfile

import pytest

from tests.drills.checks import outcome, went_on
from tests.drills.damage import damage_one_by_one
from tests.drills.drill import Drill, Reference, run_drills
from tests.drills.here import Here
from tests.drills.playground import EVERY, Playground, Skipped
from tests.drills.table import page
from tests.drills.training import broken_rows
from tests.places import ROOT
from tests.whole import IS_WHOLE

RECORDED = ROOT / "tests" / "sweeper" / "execution" / "recorded-sweep.tar.gz"
SWEEP = "recorded-1"


@pytest.fixture
def play(tmp_path):
    play = Playground(tmp_path / "play", random.Random(0))
    with tarfile.open(RECORDED) as archive:
        archive.extractall(play.home, filter="data")
    yield play
    play.close()
    shutil.rmtree(play.path)


@pytest.mark.parametrize("turn", range(3))
def test_no_damaged_file_of_an_interrupted_sweep_is_met_by_a_traceback_or_a_wrong_result(
    play, turn
):
    said = Here(play.home).say("report", SWEEP, "--json")
    wanted = outcome(said.document)
    few = None if IS_WHOLE else 4
    play.random.seed(turn)
    count = damage_one_by_one(play, wanted, sweep=SWEEP, turn=turn, few=few)
    assert count >= 4


def log_of(tmp_path, *entries):
    """A trial's metrics: a number is a step, evaluated at each twelfth; a negative one a rewind."""
    path = tmp_path / "metrics.jsonl"
    lines = []
    for entry in entries:
        if entry <= 0:
            lines.append({"rewind_to": -entry})
            continue
        lines.append({"step": entry, "metrics": {"train_loss": 1.0}})
        if entry % EVERY == 0:
            lines.append({"step": entry, "metrics": {"eval_loss": 1.0}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_trial_that_goes_back_to_its_newest_checkpoint_is_right(tmp_path):
    went_on(log_of(tmp_path, *range(1, 20), -12, *range(13, 97)))
    went_on(log_of(tmp_path, *range(1, 10), 0, *range(1, 97)))


def test_a_checkpoint_may_lack_where_nothing_came_after_its_evaluation(tmp_path):
    went_on(log_of(tmp_path, *range(1, 25), -12, *range(13, 97)))


def test_a_trial_that_goes_back_farther_is_wrong_unless_checkpoints_were_spoilt(tmp_path):
    log = log_of(tmp_path, *range(1, 30), -12, *range(13, 97))
    with pytest.raises(AssertionError, match="went back from step 29 to 12, not to 24"):
        went_on(log)
    went_on(log, spare=1)


def test_a_trial_that_begins_anew_is_wrong_also_after_it_went_on(tmp_path):
    log = log_of(tmp_path, *range(1, 20), -12, *range(13, 18), 0, *range(1, 97))
    with pytest.raises(AssertionError, match="to 0, not to 12"):
        went_on(log)


def test_a_broken_row_of_a_users_data_is_refused_with_its_place(play):
    broken_rows(play, Reference())


def test_drills_side_by_side_have_their_rounds_in_order_whatever_came_of_the_others():
    seen = []

    def held(play, reference):
        seen.append(play.random.random())

    def fault(play, reference):
        raise AssertionError("a trial went back to 0")

    def skipped(play, reference):
        raise Skipped("nothing can be mounted here")

    works = {"held": held, "fault": fault, "skipped": skipped}
    drills = [Drill(name, "none", work, has_sweep=False) for name, work in works.items()]
    told: list[str] = []
    found = run_drills(drills, rounds=3, seed=7, at_once=2, tell=told.append)
    assert len(told) == 9
    for row in found.rows:
        assert [run.result for run in row.runs] == [row.drill.name] * 3
    # Each round has moments of its own, which the seed brings back.
    first = set(seen)
    assert len(first) == 3
    run_drills(drills[:1], rounds=3, seed=7, at_once=2, tell=told.append)
    assert set(seen) == first
    text = page(found)
    assert "a trial went back to 0" in text
    assert "`skipped`: nothing can be mounted here" in text
