"""The log of metrics: it only grows, and a torn line costs nothing else."""

from __future__ import annotations

import pytest

from sweeper.tracking.metrics_log import MetricPoint, MetricsLog
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

START_S = 1_700_000_000.0


class Clock:
    """Unix time that only moves when a test says so."""

    def __init__(self):
        self.now_s = START_S

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sweep(tmp_path, clock):
    document = {"name": "masa", "objective": {"metric": "eval_loss", "mode": "min"}}
    return SweepFolder.create(tmp_path / "sweeps", "masa-1", document=document, clock=clock)


def add(sweep: SweepFolder, trial_id: str = "aaaaaaaaaaaa", number: int = 0) -> TrialFolder:
    return sweep.add_trial(
        trial_id,
        spec={"method": {"name": "masa", "rank": 8}, "train": {"learning_rate": 1e-3}},
        number=number,
        method="masa",
        origin="baseline",
        params={"method.rank": 8, "train.learning_rate": 1e-3},
        steps_total=10,
    )


# The log of metrics.


def test_a_line_still_being_written_waits(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer, reader = MetricsLog(path), MetricsLog(path)
    assert reader.read_new() == []
    writer.append(MetricPoint(1, 10.0, {"loss": 1.0}))
    with path.open("ab") as file:
        file.write(b'{"step": 2, "unix_time_s": 1')
    assert reader.read_new() == [MetricPoint(1, 10.0, {"loss": 1.0})]
    with path.open("ab") as file:
        file.write(b'1, "metrics": {"loss": 2}}\n')
    assert reader.read_new() == [MetricPoint(2, 11.0, {"loss": 2.0})]
    assert reader.read_new() == []
    assert reader.offset == path.stat().st_size


def test_a_line_that_a_crash_cut_short_is_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.append(MetricPoint(1, 10.0, {"loss": 1.0}))
    with path.open("ab") as file:
        file.write(b'{"step": 2, "unix_ti')
    assert [entry.step for entry in log.read_new()] == [1]
    log.append(MetricPoint(2, 12.0, {"loss": 2.0}))
    assert log.read_new() == [MetricPoint(2, 12.0, {"loss": 2.0})]
    assert len(MetricsLog(path).read_new()) == 2


@pytest.mark.parametrize(
    "line", ["[]", "7", '{"step": 1}', '{"step":1,"unix_time_s":1,"metrics":[]}']
)
def test_a_line_that_is_something_else_is_skipped(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n\n")
    assert MetricsLog(path).read_new() == []


def test_a_rewind_takes_back_later_steps(sweep, clock):
    trial = add(sweep)
    trial.begin()
    for step in range(1, 6):
        clock.now_s += 1
        trial.append(step, {"loss": 10.0 - step})
    reader = SweepFolder(sweep.path)
    assert reader.trials()[0].steps == 5
    trial.rewind(3)
    record = reader.trials()[0]
    assert (record.steps, record.metrics, record.lowest) == (3, {"loss": 7.0}, {"loss": 7.0})
    trial.append(4, {"loss": 6.5})
    assert [point.step for point in trial.points()] == [1, 2, 3, 4]
    assert TrialFolder(trial.path).read().metrics == {"loss": 6.5}


def test_a_rewind_to_the_end_writes_nothing(sweep):
    trial = add(sweep)
    trial.rewind(0)
    assert not trial.metrics_path.exists()
    trial.append(1, {"loss": 1.0})
    size = trial.metrics_path.stat().st_size
    trial.rewind(1)
    assert trial.metrics_path.stat().st_size == size
