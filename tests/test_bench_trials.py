"""The part of the bench of long sweeps that needs no clock."""

from benchmarks.trials.__main__ import WINDOW, row_of
from benchmarks.trials.page import page, text, verdicts
from benchmarks.trials.simulating import Times

ROW = {
    "trials": 1000,
    "draw_s": 0.04,
    "tell_s": 0.02,
    "record_s": 0.01,
    "trial_s": 0.07,
    "resume_s": 1.0,
    "report_s": 2.0,
    "page_s": 3.0,
    "page_bytes": 2.0 * 2**20,
}
LAST = {**ROW, "trials": 10_000, "trial_s": 0.14, "report_s": 6.0, "sent": 100.0}
ROWS = [ROW, {**LAST, "runs_per_s": 3.0, "idle_s": 0.01}]


def test_a_row_is_of_the_last_trials():
    times = [Times(9.0, 9.0, 9.0)] + [Times(1.0, 2.0, 3.0)] * WINDOW
    assert row_of(5, times) == {
        "trials": 5,
        "draw_s": 1.0,
        "tell_s": 2.0,
        "record_s": 3.0,
        "trial_s": 6.0,
    }


def test_a_missed_prediction_is_said():
    found = verdicts(ROWS)
    assert [sentence.startswith("Holds") for sentence in found] == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]
    assert "2.00 times" in found[0]


def test_table_and_page_have_every_figure():
    result = {
        "rows": ROWS,
        "settings": {"steps": 24, "rows": 128, "window": 100},
        "machine": {"cpus": 2, "cpu": "some CPU", "load_before": 0.5},
        "versions": {"optuna": "5.0.0", "mlflow": "3.17.2"},
        "seeds": {"search": 0},
    }
    for shown in (text(ROWS, width=100), page(result)):
        for figure in ("10,000", "40 ms", "20 ms", "140 ms", "6.0 s", "3.0 runs a second"):
            assert figure in shown
