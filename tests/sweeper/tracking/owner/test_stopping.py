"""Who is asked to stop a sweep or a trial, and where there is nobody to ask."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.owner import DriverWord, note_life, pending
from sweeper.tracking.owner.requests import REQUESTS
from sweeper.tracking.owner.stopping import stop
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

DRIVER = "d" * 12


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path, "night", document={})


@pytest.fixture
def trial(sweep: SweepFolder) -> TrialFolder:
    return sweep.add_trial("a" * 12, spec={}, number=3, method="lora")


def begin(sweep: SweepFolder) -> None:
    now = datetime.now(UTC)
    host = socket.gethostname()
    note_life(sweep.path, DriverWord(id=DRIVER, host=host, pid=7, started_at=now, said_at=now))


def test_the_driver_is_asked_once(sweep: SweepFolder, trial: TrialFolder) -> None:
    with sweep.lock():
        begin(sweep)
        asked = stop(sweep, trial)
        assert asked.is_new
        assert asked.sentence.endswith(
            f"was asked to stop trial 3 (lora, {trial.id}) of sweep night: it ends after its step, "
            "for good."
        )
        again = stop(sweep, trial)
        assert (again.is_new, "had been asked before" in again.sentence) == (False, True)
        whole = stop(sweep)
    assert whole.sentence == (
        f"The driver (process 7 on {socket.gethostname()}) was asked to stop sweep night: its "
        "trials write a checkpoint and end."
    )
    assert whole.document()["trial"] is None
    assert [request.trial for request in pending(sweep.path, driver=DRIVER)] == [trial.id, None]


def test_where_no_driver_runs_nothing_is_asked(sweep: SweepFolder, trial: TrialFolder) -> None:
    begin(sweep)
    sweep.mark("stopped")
    for target in (None, trial):
        with pytest.raises(BadInputError, match="no driver runs sweep night, whose status is 'st"):
            stop(sweep, target)
    assert not (sweep.path / REQUESTS).exists()


@pytest.mark.parametrize("end", ["complete", "prune", "stop", "supersede", "fail"])
def test_a_trial_that_has_ended_is_not_stopped(
    sweep: SweepFolder, trial: TrialFolder, end: str
) -> None:
    arguments = {"supersede": ("b" * 12,), "fail": ("ValueError", "why")}
    getattr(trial, end)(*arguments.get(end, ()))
    before = trial.read()
    with sweep.lock():
        begin(sweep)
        with pytest.raises(BadInputError, match=r"trial 3 .* has ended \(.*'show night/3'"):
            stop(sweep, trial)
    assert trial.read() == before
    assert not (sweep.path / REQUESTS).exists()


def test_a_driver_that_has_said_nothing_cannot_be_asked(sweep: SweepFolder) -> None:
    with (
        sweep.lock(),
        pytest.raises(BadInputError, match=r"has said nothing yet; .*press Ctrl-C where"),
    ):
        stop(sweep)
