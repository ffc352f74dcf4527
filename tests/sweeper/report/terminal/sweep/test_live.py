"""How a sweep stands while it runs, with a terminal and without."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from sweeper.analysis.ranking import rank
from sweeper.report.terminal.sweep.live import LiveTable, time_left_s
from sweeper.tracking.record import TrialFailure
from tests.sweeper.report.terminal.sweep.test_leaderboard import (
    LOSS,
    RECORDS,
    Clock,
    printed,
    record,
)


def live(*, width=100, total=6, terminal=False, clock=None):
    file = io.StringIO()
    console = Console(file=file, width=width, height=30, force_terminal=terminal)
    table = LiveTable(
        console, sweep="masa-1", objective=LOSS, trials_total=total, clock=clock or Clock()
    )
    return table, file


def test_without_a_terminal_each_trial_that_ends_is_one_line():
    table, file = live(width=40)
    with table:
        table.update([], note="starting 2 replicas")
        table.update([record(0, 1.5, status="running")], note="starting 2 replicas")
        table.update([record(0, 1.5), record(1, 1.7, status="running")], note="2 replicas ready")
        table.update([record(0, 1.5), RECORDS[3].model_copy(update={"number": 1})])
        table.update([record(0, 1.5), RECORDS[3].model_copy(update={"number": 1})])
    lines = file.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "starting 2 replicas"
    assert lines[1] == "2 replicas ready"
    assert lines[2].startswith(
        "[1/6] trial 0 complete, 60/60 steps, eval_loss 1.500 ± 0.020, 3.2 s, masa "
    )
    assert lines[3].startswith("[2/6] trial 1 failed, 20/60 steps")
    assert lines[3].endswith("DivergedError: the loss is NaN")


def test_before_a_trial_is_complete_the_best_of_those_that_were_stopped_is_shown():
    table, _ = live()
    stopped = [record(0, 2.5, status="pruned"), record(1, 1.5, status="pruned")]
    stopped = [x.model_copy(update={"steps": 15}) for x in stopped]

    def best(*trials):
        view = table.view(rank(trials, LOSS), note="", height=30)
        return printed(view, width=120).splitlines()[2]

    assert best(*stopped) == (
        "no complete trial yet; after 15/60 steps the best is trial 1 (masa), eval_loss 1.500 ± "
        "0.020"
    )
    assert best(*stopped, record(2, 1.9)).startswith("best so far: trial 2 (masa), eval_loss 1.9")
    assert best(record(0, 1.0, status="failed")) == "no complete trial yet; objective eval_loss"


def test_a_trial_of_a_design_names_its_method_once():
    table, file = live()
    params = {"configuration": "masa, learning_rate=0.001", "learning_rate": 0.001, "seed": 0}
    with table:
        table.update([], note="1 replica ready")
        first = record(0, 1.5).model_copy(update={"params": params})
        other = {"configuration": "masa, learning_rate=0.01", "learning_rate": 0.01, "seed": 1}
        table.update([first, record(1, 1.7).model_copy(update={"params": other})])
    lines = file.getvalue().splitlines()
    assert lines[1].endswith("3.2 s, masa, learning_rate=0.001 seed=0")


def test_a_sweep_that_is_extended_has_its_trials():
    table, file = live(total=2)
    with table:
        table.update([])
        table.update([record(0, 1.5)], trials_total=9)
        table.update([record(0, 1.5), record(1, 1.7)])
    assert [line.split("]")[0] for line in file.getvalue().splitlines()] == ["[1/9", "[2/9"]


def test_without_a_terminal_a_resume_does_not_repeat_what_has_ended():
    table, file = live()
    with table:
        table.update(RECORDS[:2])
        table.update(RECORDS[:3])
    lines = file.getvalue().splitlines()
    assert lines[0] == "2 trials ended before"
    assert [line.split(",")[0] for line in lines[1:]] == ["[3/6] trial 2 complete"]


def test_brackets_in_a_message_are_no_markup():
    table, file = live()
    table.update([])
    error = TrialFailure(type="E", message="got [bold] and [/x]")
    table.update([record(0, status="failed", error=error)])
    assert "got [bold] and [/x]" in file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_the_live_view_fits(width):
    table, _ = live()
    text = printed(table.view(rank(RECORDS, LOSS), note="2 replicas ready", height=30), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "[######----] 4 of 6 trials" not in text
    assert "4 of 6 trials" in text
    assert "best so far: trial 2 (masa), eval_loss 1.100 ± 0.020" in text
    assert "running, attempt 2" in text
    assert "2 replicas ready" in text
    assert sum("masa " in line and "experts=" in line for line in lines) == 6
    assert ("train_loss" in text) is (width == 160)


def test_the_live_view_fits_a_low_terminal():
    table, _ = live(total=40)
    many = [record(n, 1.0 + n, status="running" if n == 39 else "complete") for n in range(40)]
    text = printed(table.view(rank(many, LOSS), note="", height=12), width=80)
    assert len(text.splitlines()) <= 12
    # What runs and what is best are shown.
    assert re.search(r"^\s*39 .*running", text, re.MULTILINE)
    assert re.search(r"^\s*0 .*complete", text, re.MULTILINE)
    assert "… and 36 more trials" in text


def test_progress_and_time_left():
    clock = Clock()
    table, _ = live(total=4, clock=clock)

    def view(records):
        return printed(table.view(rank(records, LOSS), note="", height=30), width=120)

    assert "[----------] 0 of 4 trials, 0.0 s so far, time left not known yet" in view([])
    # Replicas start for 30 s; that says nothing about the pace.
    clock.now_s += 30
    assert "not known yet" in view([record(0, 1.0, status="running", steps=0)])
    clock.now_s += 10
    text = view([record(0, 1.0, status="running", steps=30)])
    assert "[#---------] 0 of 4 trials, 40.0 s so far, about 1 min 10 s left" in text
    clock.now_s += 10
    done = [record(0, 1.0), record(1, 2.0, status="pruned", steps=20)]
    assert "[#####-----] 2 of 4 trials, 50.0 s so far, about 20.0 s left" in view(done)
    assert "all trials have ended" in view([record(n, 1.0) for n in range(4)])


def test_in_a_terminal_the_table_is_live_and_gone_at_the_end():
    table, file = live(terminal=True)
    with table:
        table.update(RECORDS)
        assert table._live is not None
        assert table._live.is_started
    assert table._live is None
    # Erases its lines: the leaderboard comes in their place.
    assert "\x1b[2K" in file.getvalue()


def test_no_pace_no_time_left():
    assert time_left_s(elapsed_s=10, done=0.05, left=3) is None
    assert time_left_s(elapsed_s=0, done=1, left=3) is None
    assert time_left_s(elapsed_s=10, done=2, left=3) == pytest.approx(15)
    assert time_left_s(elapsed_s=10, done=2, left=-1) == 0
