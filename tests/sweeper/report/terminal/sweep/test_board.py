"""The table of trials: one line each, whole numbers, as wide as the terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from sweeper.analysis.ranking import rank
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.terminal.sweep import Leaderboard
from sweeper.tracking.record import TrialFailure, TrialRecord

LOSS = ObjectiveSpec(metric="eval_loss", mode="min")
METHODS = ("masa", "lora", "hd_pissa")


def record(number, **fields):
    """A trial of a search with many fields, some of which only its method has."""
    method = METHODS[number % 3]
    params = {
        "rank": 2 ** (number % 5),
        "alpha": 16.0,
        "b_learning_rate_factor": 1.0 + number,
        "targets": ["q_proj"],
        "learning_rate": 1.2345e-4 * (number + 1),
        "sharing": ("a", "b", "both", "none")[number % 4],
        **({"experts": number, "group_size": 2 + number % 2} if method == "masa" else {}),
    }
    known = {
        "id": f"{0xABCDEF000000 + number * 0x10001:012x}",
        "number": number,
        "method": method,
        "params": params,
        "metrics": {"eval_loss": 1.0 + number / 7, "eval_loss_se": 0.0123},
        "status": "complete",
        "steps": 60,
        "steps_total": 60,
        "attempts": 1,
        "wall_time_s": 3.0 + number,
    }
    return TrialRecord.model_validate({**known, **fields})


def shown(records, width, **options):
    file = io.StringIO()
    Console(file=file, width=width).print(Leaderboard(rank(records, LOSS), **options))
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("count", [2, 12])
def test_a_trial_is_one_line_of_whole_numbers(width, count):
    records = [record(number) for number in range(count)]
    title, *lines = shown(records, width)
    rows, rest = lines[:count], lines[count:]
    assert max(map(len, [title, *rows])) <= width
    for trial, row in zip(sorted(records, key=lambda x: x.metrics["eval_loss"]), rows, strict=True):
        cells = row.split()
        assert cells[:3] == [str(trial.number), cells[1], trial.method]
        assert trial.id.startswith(cells[1])
        assert len(cells[1]) >= 6
        assert re.search(r" \d\.\d{3} ± 0\.012 ", row)
        assert f"{trial.params['learning_rate']:.3g}" in cells
    assert len({row.split()[1] for row in rows}) == count
    # Nothing is left out in silence.
    assert bool(rest) is ("time" not in title)
    assert all(line.startswith(("Not shown, for want of width:", " ")) for line in rest[:1])


def test_what_is_the_same_for_all_has_no_column():
    records = [record(number, method="lora", wall_time_s=3.0) for number in (1, 4)]
    title, *_ = shown(records, 120)
    assert title.split()[:3] == ["trial", "id", "eval_loss"]
    same = {"method", "status", "alpha", "targets", "steps", "time"}
    assert not same & set(title.split())


def test_what_does_not_fit_is_named():
    records = [record(number) for number in range(9)]
    lines = shown(records, 60)
    assert lines[0].split()[:3] == ["trial", "id", "method"]
    said = " ".join(lines[10:])
    assert said.startswith("Not shown, for want of width:")
    assert "time" in said


def test_a_list_that_differs_is_the_last_column_and_pushes_nothing_out():
    layers = (["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"])
    records = [record(n, params={"targets": layers[n], "rank": 2 * n}) for n in range(2)]
    wide, *rows = shown(records, 160)
    assert wide.split()[-1] == "targets"
    assert any(row.endswith(" q_proj,k_proj,v_proj,o_proj,down_proj") for row in rows)
    narrow, *lines = shown(records, 80)
    assert narrow.split() == wide.split()[:-1]
    assert lines[-1] == "Not shown, for want of width: targets"


def test_searched_steps_are_one_column_with_those_that_are_done():
    records = [
        record(n, params={"steps": 4 * n, "rank": n}, steps=2 * n, steps_total=4 * n)
        for n in (1, 2)
    ]
    title, *rows = shown(records, 160)
    assert title.split().count("steps") == 1
    assert any("2/4" in row.split() for row in rows)
    assert any("4/8" in row.split() for row in rows)


def test_a_failure_is_told_below_its_line():
    error = TrialFailure(type="DivergedError", message="the loss is NaN\nmore")
    lines = shown([record(0), record(1, status="failed", error=error)], 120)
    assert lines[3] == "Trial 1: DivergedError: the loss is NaN"


def test_a_listed_trial_has_its_name():
    records = [record(n, params={"trial": f"row-{n}", "rank": 8}) for n in range(2)]
    title, first, *_ = shown(records, 120)
    assert "name" in title.split()
    assert "row-0" in first.split()


def test_where_there_is_no_room_a_mark_says_that_a_trial_is_outside_the_space():
    records = [record(0), record(3), record(6, status="pruned")]
    ranking = replace(rank(records, LOSS), outside=frozenset({records[2].id}))

    def lines(width):
        file = io.StringIO()
        Console(file=file, width=width).print(Leaderboard(ranking))
        return file.getvalue()

    assert "pruned, outside the space" in lines(200)
    narrow = lines(80)
    assert "pruned *" in narrow
    assert "*: outside the space" in narrow
    assert " rank" in narrow.splitlines()[0]
