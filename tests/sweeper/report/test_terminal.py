"""What the terminal shows fits, says it without colour, and can be copied."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from sweeper._text import count, duration, params_text, value_text, varying
from sweeper.analysis.ranking import rank, rank_sweep
from sweeper.estimates import Estimate
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.terminal import LiveTable, doctor_view, next_commands, plan_view, sweep_view
from sweeper.report.terminal.live import time_left_s
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.record import TrialFailure, TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder

LOSS = ObjectiveSpec(metric="eval_loss", mode="min")


class Clock:
    def __init__(self):
        self.now_s = 1_700_000_000.0

    def __call__(self):
        return self.now_s


def printed(view, *, width, **options):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False, **options)
    console.print(view, crop=False)
    return file.getvalue()


def record(number, value=None, *, status="complete", steps=60, attempts=1, **fields):
    params = {
        "rank": 8,
        "experts": number + 1,
        "router": "none",
        "targets": ["q_proj", "v_proj"],
        "learning_rate": 0.001234 * (number + 1),
    }
    metrics = {} if value is None else {"eval_loss": value, "eval_loss_se": 0.02, "train_loss": 2.0}
    return TrialRecord(
        id=f"{number:012x}",
        number=number,
        method="masa",
        params=params,
        metrics=metrics,
        status=status,
        steps=steps,
        steps_total=60,
        attempts=attempts,
        wall_time_s=3.2,
        **fields,
    )


RECORDS = [
    record(0, 1.5, status="pruned", steps=20),
    record(1, 1.3),
    record(2, 1.1, trainable=12_345, total=1_000_000),
    record(
        3,
        1.9,
        status="failed",
        steps=20,
        error=TrialFailure(type="DivergedError", message="the loss is NaN\nsecond line"),
    ),
    record(4, 1.6, status="running", steps=30, attempts=2),
    record(5, status="queued", steps=0, attempts=0),
]


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path / "sweeps"))
    folder = SweepFolder.create(tmp_path / "sweeps", "masa-1", document={}, clock=Clock())
    for number, end in enumerate([lambda t: t.complete(), lambda t: t.fail("E", "broken")]):
        trial = folder.add_trial(
            f"{number:012x}",
            spec={},
            number=number,
            method="masa",
            params={"rank": 8, "experts": number},
            steps_total=60,
        )
        trial.begin(trainable=1, total=100)
        trial.append(60, {"eval_loss": 1.5, "eval_loss_se": 0.01})
        end(trial)
    folder.note_base({"eval_loss": 2.5})
    return folder


# The end of a sweep.


@pytest.mark.parametrize("width", [80, 160])
def test_the_leaderboard_fits_and_has_all_trials(sweep, width):
    view = sweep_view(sweep, rank(RECORDS, LOSS, base_scores={"eval_loss": 2.5}))
    text = printed(view, width=width)
    lines = text.splitlines()
    too_long = [line for line in lines if len(line) > width]
    assert all("python -m sweeper" in line or "adapter" in line for line in too_long)
    row = re.compile(r"\s*(\d{1,2})?\s+(\d{1,2})\s+(0\d{11}\s+)?masa ")
    rows = [row.match(line) for line in lines]
    order = [(found[1] or "", found[2]) for found in rows if found]
    assert order == [("1", "2"), ("2", "1"), ("", "4"), ("", "5"), ("", "0"), ("", "3")]
    assert "1.100 ± 0.020" in text
    assert "6 trials: 2 complete, 1 running, 1 queued, 1 pruned, 1 failed" in text
    for status in ("complete", "pruned", "failed", "running", "queued"):
        assert status in text
    assert "DivergedError: the loss is NaN" in text
    assert "second line" not in text
    assert ("000000000002  masa" in text) is (width == 160)
    assert ("1.23 %" in text.partition("Best configuration")[0]) is (width == 160)
    assert "trainable      12,345 parameters, 1.23 %" in text
    assert "Frozen base: eval_loss 2.5. The best trial is better by 1.4." in text


@pytest.mark.parametrize("width", [80, 160])
def test_the_test_score_stands_beside_the_score_that_chose_the_trial(sweep, width):
    metrics = {"eval_loss": 1.25, "eval_loss_se": 0.03}
    final = FinalResult(split="test", rows=10, rows_in_split=10, metrics=metrics)
    ranking = replace(rank(RECORDS, LOSS), finals={RECORDS[2].id: final})
    text = printed(sweep_view(sweep, ranking), width=width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any("eval_loss test status" in line for line in lines)
    assert any("1.100 ± 0.020 1.250 ± 0.030 complete" in line for line in lines)
    # What was not chosen has no such score.
    assert any("1.300 ± 0.020 complete" in line for line in lines)
    untested = printed(sweep_view(sweep, rank(RECORDS, LOSS)), width=width)
    assert " test " not in untested.partition("Best:")[0]


@pytest.mark.parametrize("width", [80, 160])
def test_final_scores_are_shown_by_task(sweep, width):
    metrics = {"a/accuracy": 0.5, "a/accuracy_se": 0.1, "b/exact": 0.1}
    others = {"a/stem": 0.2, "a/loss": 1.0, "eval_loss": 1.25, "accuracy": 0.3}
    final = FinalResult(
        split="test",
        rows=30,
        rows_in_split=30,
        metrics={**metrics, **others},
        protocol={"task_rows": {"a": 20, "b": 10}},
    )
    base = final.model_copy(update={"metrics": {"a/accuracy": 0.25, "a/accuracy_se": 0.1}})
    best = RECORDS[2].id
    ranking = replace(
        rank(RECORDS, LOSS),
        finals={best: final},
        base_final=base,
        gains={best: {"a/accuracy": Estimate(0.25, 0.05, 20)}},
    )
    text = printed(sweep_view(sweep, ranking), width=width)
    table = text.partition("on the test split, by task")[2].partition("Best configuration")[0]
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "a/accuracy 0.50 ± 0.10 0.25 ± 0.10 +0.250 ± 0.050" in lines
    assert "b/exact 0.1 – –" in lines
    # Groups, losses and averages are in the record.
    assert not {"stem", "loss", "eval_loss"} & set(table.replace("/", " ").split())
    assert "by task" not in printed(sweep_view(sweep, rank(RECORDS, LOSS)), width=width)


def test_only_parameters_that_differ_are_in_the_table(sweep):
    table = printed(sweep_view(sweep, rank(RECORDS, LOSS)), width=160).partition("Best:")[0]
    assert "experts=3 learning_rate=0.0037" in table
    assert "rank=" not in table
    assert "q_proj" not in table


def test_the_whole_best_configuration_is_shown(sweep):
    text = printed(sweep_view(sweep, rank(RECORDS, LOSS)), width=80)
    after = text.partition("Best configuration (trial 2, 000000000002)")[2]
    assert re.search(r"targets\s+q_proj,v_proj", after)
    assert re.search(r"rank\s+8", after)


@pytest.mark.parametrize("colour", [None, "truecolor"])
def test_nothing_is_said_by_colour_alone(sweep, colour):
    view = sweep_view(sweep, rank(RECORDS, LOSS))
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=True, color_system=colour).print(view)
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", file.getvalue()))
    # Reset, bold, italic.
    assert codes <= {"0", "1", "3", "1;3"}


def test_paths_and_commands_stay_in_one_line(sweep):
    sweep.trial("0" * 12).adapter.mkdir()
    sweep.mark("complete")
    text = printed(sweep_view(sweep, rank_sweep(sweep), tracking_uri="sqlite:///x"), width=40)
    assert f"  {sweep.trial('0' * 12).adapter}\n" in text
    assert "  python -m sweeper resume masa-1 --retry-failed\n" in text
    assert "MLflow store: sqlite:///x\n" in text


def test_the_adapter_is_shown_from_here(sweep, monkeypatch):
    monkeypatch.chdir(sweep.home)
    sweep.trial("0" * 12).adapter.mkdir()
    text = printed(sweep_view(sweep, rank_sweep(sweep)), width=80)
    assert "\n  masa-1/trials/000000000000/adapter\n" in text


def test_a_missing_adapter_is_said(sweep):
    assert "Its adapter was not saved." in printed(sweep_view(sweep, rank_sweep(sweep)), width=80)


def test_a_sweep_without_trials(tmp_path):
    folder = SweepFolder.create(tmp_path, "empty", document={})
    text = printed(sweep_view(folder, rank_sweep(folder)), width=80)
    assert "no trials yet" in text
    assert "No trial is complete" in text


def test_a_score_that_is_missing_is_not_a_number(sweep):
    text = printed(sweep_view(sweep, rank([record(0)], LOSS)), width=80)
    assert re.search(r"masa\s+none\s+complete", text)


def test_overhead_is_told(sweep):
    records = [record(n, 1.0, train_time_s=90.0, overhead_s=n + 0.5) for n in range(2)]
    text = printed(sweep_view(sweep, rank(records, LOSS)), width=80)
    assert "3 min 00 s in training steps; overhead 1.0 s a trial" in text


def test_next_commands(sweep, monkeypatch, tmp_path):
    ranking = rank_sweep(sweep)
    assert next_commands(sweep, ranking) == [
        "python -m sweeper resume masa-1",
        "python -m sweeper resume masa-1 --retry-failed",
        "python -m sweeper ui masa-1",
        "python -m sweeper report masa-1 --json",
    ]
    assert ranking.best is not None
    sweep.trial(ranking.best.id).adapter.mkdir()
    assert "python -m sweeper export masa-1 --format peft" in next_commands(sweep, ranking)
    sweep.mark("complete")
    assert next_commands(sweep, ranking)[0].endswith("--retry-failed")
    sweep.trial("0" * 11 + "1").requeue()
    assert next_commands(sweep, rank_sweep(sweep))[0] == "python -m sweeper resume masa-1"
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path / "other"))
    assert next_commands(sweep, ranking)[-1].endswith(f"--home {sweep.home} --json")


# While it runs.


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


# Words.


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_values():
    assert value_text(0.0031622) == "0.00316"
    assert value_text(["q", "v"]) == "q,v"
    assert value_text({"q": 1, "v": 0.5}) == "q:1,v:0.5"
    assert value_text(None) == "none"
    assert value_text(8) == "8"
    assert count(1, "trial") == "1 trial"
    assert count(0, "trial") == "0 trials"


def test_what_varies():
    first, second = {"a": 1, "b": 1, "l": [1]}, {"a": 2, "b": 1, "c": 3, "l": [2]}
    assert varying([first, second]) == ["a"]
    # A parameter that only some methods have does not differ by that.
    assert varying([first]) == ["a", "b"]
    assert params_text(second, ["c", "x", "a"]) == "c=3 a=2"


# Plan and doctor.


PLAN = {
    "space": "masa",
    "profile": "embedded",
    "objective": {"metric": "eval_loss", "mode": "min"},
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


def test_findings():
    findings = [
        {"name": "torch", "status": "ok", "detail": "2.13", "fix": ""},
        {"name": "GPU", "status": "optional", "detail": "none", "fix": ""},
        {"name": "gguf", "status": "missing", "detail": "not installed", "fix": "pip install gguf"},
    ]
    text = printed(doctor_view(findings), width=80)
    assert re.search(r"ok\s+torch\s+2.13", text)
    assert re.search(r"MISSING\s+gguf\s+not installed", text)
    assert "fix: pip install gguf" in text
