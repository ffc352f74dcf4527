"""What the terminal shows fits, says it without colour, and can be copied."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.ranking import rank, rank_sweep
from sweeper.estimates import Estimate
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.terminal import next_commands, sweep_view
from sweeper.tracking.final_result import FinalResult
from sweeper.tracking.record import TrialFailure, TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.designs import DesignSweep, sweep_of

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


def view_of(folder, ranking, **options):
    return sweep_view(folder, ranking, conclusions_of(folder, ranking), **options)


# The end of a sweep.


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_leaderboard_fits_and_has_all_trials(sweep, width):
    view = view_of(sweep, rank(RECORDS, LOSS, base_scores={"eval_loss": 2.5}))
    text = printed(view, width=width)
    lines = text.splitlines()
    too_long = [line for line in lines if len(line) > width]
    assert all("python -m sweeper" in line or "adapter" in line for line in too_long)
    # Trials have their numbers and no places: a place would claim more than the scores allow.
    row = re.compile(r"\s*(\d+)\s+0\d{11}\s+(?:\d|none)")
    assert [found[1] for line in lines if (found := row.match(line))] == list("214503")
    assert "1.100 ± 0.020" in text
    assert "6 trials: 2 complete, 1 running, 1 queued, 1 pruned, 1 failed" in text
    for status in ("complete", "pruned", "failed", "running", "queued"):
        assert status in text
    assert "Trial 3: DivergedError: the loss is NaN" in text
    assert "second line" not in text
    assert ("1.23 %" in text.partition(", which validation chose")[0]) is (width > 80)
    assert "trainable      12,345 parameters, 1.23 %" in text
    assert "Best by validation: trial 2 (masa), eval_loss 1.100 ± 0.020" in text
    assert "The frozen base has eval_loss 2.5 on the validation rows." in text


@pytest.mark.parametrize("width", [80, 160])
def test_the_test_score_stands_beside_the_score_that_chose_the_trial(sweep, width):
    metrics = {"eval_loss": 1.25, "eval_loss_se": 0.03}
    final = FinalResult(split="test", rows=10, rows_in_split=10, metrics=metrics)
    ranking = replace(rank(RECORDS, LOSS), finals={RECORDS[2].id: final})
    text = printed(view_of(sweep, ranking), width=width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any("eval_loss test status" in line for line in lines)
    assert any("1.100 ± 0.020 1.250 ± 0.030 complete" in line for line in lines)
    # What was not chosen has no such score.
    assert any("1.300 ± 0.020 complete" in line for line in lines)
    untested = printed(view_of(sweep, rank(RECORDS, LOSS)), width=width)
    assert "eval_loss test status" not in " ".join(untested.split())


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
    text = printed(view_of(sweep, ranking), width=width)
    table = text.partition("on the test split, by task")[2].partition(", which validation chose")[0]
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "a/accuracy 0.50 ± 0.10 0.25 ± 0.10 +0.250 ± 0.050" in lines
    assert "b/exact 0.1 – –" in lines
    # Groups, losses and averages are in the record.
    assert not {"stem", "loss", "eval_loss"} & set(table.replace("/", " ").split())
    assert "by task" not in printed(view_of(sweep, rank(RECORDS, LOSS)), width=width)


def test_of_a_design_the_chosen_trial_alone_is_shown_by_task(tmp_path):
    design = {"kind": "paired", "tune": None, "seeds": 2}
    made = DesignSweep(tmp_path, sweep_of(design)).run(failed=lambda x: x.number == 0)
    ranking = rank_sweep(made.folder)
    by_task = {"protocol": {"task_rows": {"a": 200}}}
    finals = {
        name: found.model_copy(update={**by_task, "metrics": found.metrics | {"a/accuracy": 0.5}})
        for name, found in ranking.finals.items()
    }
    assert len(finals) == 3
    text = printed(view_of(made.folder, replace(ranking, finals=finals)), width=100)
    assert text.count("by task") == 1
    assert f"Trial {ranking.best.number} on the test split, by task" in text
    # What failed is told by its configuration and its seed, which name it.
    assert re.search(r"none +lora +0\n", "".join(f"{x.rstrip()}\n" for x in text.splitlines()))
    assert "±: standard deviation of single seeds" in text


def test_only_parameters_that_differ_are_in_the_table(sweep):
    text = printed(view_of(sweep, rank(RECORDS, LOSS)), width=160)
    table = text.partition(", which validation chose")[0]
    (title,) = [line for line in table.splitlines() if "experts" in line]
    assert "learning_rate" in title
    assert re.search(r"complete +3 +0.0037", table)
    assert "rank" not in title
    assert "q_proj" not in table


def test_the_whole_best_configuration_is_shown(sweep):
    text = printed(view_of(sweep, rank(RECORDS, LOSS)), width=80)
    after = text.partition("Trial 2 (000000000002), which validation chose")[2]
    assert re.search(r"targets\s+q_proj,v_proj", after)
    assert re.search(r"rank\s+8", after)


@pytest.mark.parametrize("colour", [None, "truecolor"])
def test_nothing_is_said_by_colour_alone(sweep, colour):
    view = view_of(sweep, rank(RECORDS, LOSS))
    file = io.StringIO()
    Console(file=file, width=100, force_terminal=True, color_system=colour).print(view)
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", file.getvalue()))
    # Reset, bold, italic.
    assert codes <= {"0", "1", "3", "1;3"}


def test_paths_and_commands_stay_in_one_line(sweep):
    sweep.trial("0" * 12).adapter.mkdir()
    sweep.mark("complete")
    text = printed(view_of(sweep, rank_sweep(sweep), tracking_uri="sqlite:///x"), width=40)
    assert f"  {sweep.trial('0' * 12).adapter}\n" in text
    assert "  python -m sweeper resume masa-1 --retry-failed\n" in text
    assert "MLflow store: sqlite:///x\n" in text


def test_the_adapter_is_shown_from_here(sweep, monkeypatch):
    monkeypatch.chdir(sweep.home)
    sweep.trial("0" * 12).adapter.mkdir()
    text = printed(view_of(sweep, rank_sweep(sweep)), width=80)
    assert "\n  masa-1/trials/000000000000/adapter\n" in text


def test_a_missing_adapter_is_said(sweep):
    assert "Its adapter was not saved." in printed(view_of(sweep, rank_sweep(sweep)), width=80)


def test_a_sweep_without_trials(tmp_path):
    folder = SweepFolder.create(tmp_path, "empty", document={})
    text = printed(view_of(folder, rank_sweep(folder)), width=80)
    assert "no trials yet" in text
    assert "No trial is complete" in text


def test_a_score_that_is_missing_is_not_a_number(sweep):
    text = printed(view_of(sweep, rank([record(0)], LOSS)), width=80)
    assert re.search(r"0{12}\s+none", text)


def test_overhead_is_told(sweep):
    records = [record(n, 1.0, train_time_s=90.0, overhead_s=n + 0.5) for n in range(2)]
    text = printed(view_of(sweep, rank(records, LOSS)), width=80)
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


def test_no_retry_is_offered_of_what_would_fail_again(sweep):
    diverged = record(1, status="failed", error=TrialFailure(type="DivergedError", message="NaN"))
    lost = record(2, status="failed", error=TrialFailure(type="ReplicaLost", message="killed"))

    def offers(*records):
        return any("--retry-failed" in x for x in next_commands(sweep, rank(records, LOSS)))

    assert not offers(record(0, 1.0), diverged)
    assert offers(diverged, lost)
    assert offers(record(1, status="failed"))
