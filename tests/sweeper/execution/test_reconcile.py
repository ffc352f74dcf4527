"""What a driver says that goes on with a sweep whose data has become another one."""

import logging

from sweeper.execution.driver import SweepDriver
from sweeper.execution.reconcile import _tell_other_data
from sweeper.experiment.loading import load_sweep
from sweeper.search.study import preview
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

SPACE = SPACES / "masa.yaml"


def test_trials_of_other_rows_are_told(tmp_path, caplog):
    sweep = load_sweep(SPACE, profile="embedded")
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    point, _ = next(iter(preview(sweep.space, sweep.spec.search)))
    with caplog.at_level(logging.WARNING):
        _tell_other_data(folder, "before")
        job = SweepDriver(folder, sweep, "before").job(point, 0)
        _tell_other_data(folder, "before")
        assert caplog.text == ""
        _tell_other_data(folder, "after")
    assert f"1 of 1 trials of sweep-1, such as {job.trial_id}, saw other rows" in caplog.text
