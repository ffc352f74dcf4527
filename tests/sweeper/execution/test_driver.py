"""What a driver decides before Ray starts."""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from sweeper._text import bytes_text
from sweeper.errors import BadInputError, SpecError, StudyLostError, UnwritableError
from sweeper.execution.driver import SweepDriver
from sweeper.execution.owner import Admission, keep_limits
from sweeper.execution.pool import Job
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search import Suggestions, repeats_note
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.owner import Limits, Meter
from sweeper.tracking.owner.extending import extend
from sweeper.tracking.owner.revising import revise
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES
from tests.sweeper.postgresql import Server, running_server
from tests.sweeper.preflight.forecast.test_micro_batch import costs_of
from tests.sweeper.search.two_methods import without_room, without_writing

SPACE = SPACES / "masa.yaml"


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of something that listens, as a cluster's head does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def on_disk(home: Path, sweep: Sweep) -> SweepFolder:
    return SweepFolder.create(home, "sweep-1", document=sweep.document)


def test_a_resume_looks_for_room_on_the_cluster_that_it_is_given(
    tmp_path: Path, cluster: str
) -> None:
    overrides = ["resources.gpus_per_worker=64"]
    sweep = load_sweep(SPACE, profile="embedded", overrides=overrides)
    folder = on_disk(tmp_path, sweep)
    assert SweepDriver.open(folder, address=cluster).address == cluster
    with pytest.raises(BadInputError, match=r"1 CPU and 64 GPU each, but this machine has"):
        SweepDriver.open(folder)


def test_before_ray_is_up_the_live_table_shows_that_it_starts(tmp_path: Path) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    assert SweepDriver(on_disk(tmp_path, sweep), sweep, "").note() == "Ray starts"


def test_a_sweep_that_has_come_to_its_limits_trains_no_clone(tmp_path: Path, monkeypatch) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    driver = SweepDriver(on_disk(tmp_path, sweep), sweep, "")
    job = Job("a" * 12, 0, tmp_path, (), "{}")
    monkeypatch.setattr("sweeper.execution.driver.clone_jobs", lambda _: [job])
    assert driver._clones == [job]
    monkeypatch.setattr(Admission, "has_refused", True)
    assert driver._clones == []


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_study_is_told_before_ray_starts(tmp_path: Path, content: bytes) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    folder = on_disk(tmp_path, sweep)
    (folder.path / "optuna.db").write_bytes(content)
    with pytest.raises(BadInputError, match=r"optuna\.db is damaged, or of a newer version: "):
        SweepDriver(folder, sweep, "", address="127.0.0.1:1").run()


@pytest.mark.parametrize(
    ("block", "why"), [(without_room, "disk is full"), (without_writing, "readonly database")]
)
def test_a_study_that_cannot_be_written_is_told_before_ray_starts(
    tmp_path: Path, block, why: str
) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    driver = SweepDriver(folder := on_disk(tmp_path, sweep), sweep, "", retry_failed=True)
    study, path = driver._study, folder.path / "optuna.db"
    for _ in range(100):
        trial = study.ask()
        trial.set_user_attr("trial_id", "a" * 12)
        study.tell(trial, state=TrialState.FAIL)
    message = rf"'sweep-1' cannot go on.*optuna\.db: .*{why}.*make room"
    with block(study, path), pytest.raises(BadInputError, match=message):
        driver.run()


def test_a_study_that_breaks_under_a_sweep_is_no_bad_input(tmp_path: Path) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    driver = SweepDriver(on_disk(tmp_path, sweep), sweep, "")
    study = driver._study
    with sqlite3.connect(tmp_path / "sweep-1" / "optuna.db") as database:
        database.execute("DROP TABLE study_user_attributes")
    with pytest.raises(UnwritableError, match=r"optuna\.db: no such table"), driver._studying():
        study.set_user_attr("note", 1)


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def test_a_study_on_postgresql_that_goes_stops_the_sweep_and_is_waited_for_by_a_resume(
    tmp_path: Path, server: Server, monkeypatch
) -> None:
    uri = server.new_database()
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", uri)
    monkeypatch.setattr("sweeper.search.storage.PATIENCE_S", 0.0)
    sweep = load_sweep(SPACE, profile="embedded")
    folder = on_disk(tmp_path, sweep)
    driver = SweepDriver(folder, sweep, "", address="127.0.0.1:1")
    before = [trial.params for trial in driver._study.get_trials()]
    assert (folder.path / "study.json").is_file()
    assert not (folder.path / "optuna.db").exists()
    server.stop()
    with pytest.raises(StudyLostError, match="cannot be used any more"), driver._studying():
        driver._study.ask()
    # Of the trials that have ended nobody hears anything worse than nothing.
    assert list(driver._ended()) == []
    with pytest.raises(BadInputError, match="it must answer before a sweep starts"):
        SweepDriver(folder, sweep, "", address="127.0.0.1:1").run()
    server.start()
    again = SweepDriver(folder, sweep, "")._study
    assert [trial.params for trial in again.get_trials()] == before


def test_a_cluster_that_dies_is_told_on_a_full_disk_too(tmp_path: Path, monkeypatch) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    told: list[str] = []
    driver = SweepDriver(on_disk(tmp_path, sweep), sweep, "", on_loss=told.append)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sweeper.tracking.sweep_folder.write_json", full)
    driver._lose("Ray's raylet on this machine")
    assert told == ["Ray's raylet on this machine has died."]


@pytest.mark.parametrize("name", ["a?b", "a#b", "50%", "{SCHEMA_VERSION}", "a b", "é"])
def test_the_study_is_in_its_folder_whatever_its_path_is(tmp_path: Path, name: str) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    folder = on_disk(tmp_path / name, sweep)
    assert len(SweepDriver(folder, sweep, "")._study.get_trials()) > 0
    assert (folder.path / "optuna.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


class View:
    """An MLflow view that notes that it was started and stopped."""

    def __init__(
        self, folder: SweepFolder, *, tracking_uri: str | None, experiment: str | None
    ) -> None:
        self.calls: list[str] = []
        VIEWS.append(self)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


VIEWS: list[View] = []


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepDriver:
    """Of a sweep of one trial, which is shown nowhere."""
    monkeypatch.setattr("sweeper.execution.driver.MlflowView", View)
    sweep = load_sweep(SPACE, profile="embedded", overrides=["search.trials=1"])
    return SweepDriver(on_disk(tmp_path, sweep), sweep, "rows")


def test_a_sweep_with_nothing_left_starts_no_ray(
    driver: SweepDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sweep = driver.folder, driver.sweep
    trials = TrialFactory(folder, sweep, "rows")
    suggestions = Suggestions(
        driver._study, space=sweep.space, search=sweep.spec.search, identify=trials.identify
    )
    suggestion = suggestions.next()
    assert suggestion is not None
    trial = folder.trial(trials.job(suggestion).trial_id)
    trial.begin()
    trial.complete()
    suggestions.end(suggestion.number, evaluation=1, value=1.0, is_complete=True)
    monkeypatch.setattr("sweeper.execution.driver.connect", lambda _: pytest.fail("Ray starts"))
    driver.run()
    assert folder.status == "complete"
    assert VIEWS.pop().calls == ["start", "stop"]


def test_a_sweep_that_is_extended_while_it_comes_to_its_end_is_not_complete(
    driver: SweepDriver,
) -> None:
    folder = driver.folder
    driver._study.add_trial(create_trial(value=1.0))
    with folder.lock():
        with driver._shown():
            # It has looked for the last time what there is to train.
            assert not driver._has_trials
            assert extend(folder, trials=1).is_running
        assert folder.status == "stopped"
        assert folder.note == "Its owner asked for more while it came to its end."
        assert not extend(folder, trials=1).is_running
    VIEWS.clear()


class Clock:
    """A clock that stands still."""

    def __call__(self) -> float:
        return 0.0


def test_a_changed_space_is_held_against_the_limit_of_memory(tmp_path: Path) -> None:
    file = tmp_path / "ranks.yaml"
    file.write_text(
        "name: ranks\nprofile: embedded\nmethods: [{name: lora, rank: {choice: [2, 4]}}]\n"
        "train: {learning_rate: {loguniform: [1e-5, 1e-2]}}\nsearch: {trials: 12, asha: null}\n"
    )
    sweep = load_sweep(file)
    folder = on_disk(tmp_path, sweep)
    revise(folder, ["methods.lora.rank={choice: [4, 128]}"])
    driver = SweepDriver(folder, read_sweep(folder), "rows")
    costs = costs_of(sweep, peak_bytes=2e9)
    of_rank = {
        rank: costs.of(
            driver.sweep.space.trial(
                {"method": "lora", "lora.rank": rank, "train.learning_rate": 1e-3}
            )
        ).peak_bytes
        for rank in (4, 128)
    }
    room = int(sum(of_rank.values()) / 2)
    keep_limits(folder.path, Limits(max_memory_bytes=room), costs)
    driver._admission.begin(Meter(folder.path, "0123456789ab", Clock()), replicas=1)
    pool: Any = None
    suggestions = driver._suggestions(driver._study, pool)._suggestions
    ranks = []
    for _ in range(5):
        suggestion = suggestions.next()
        assert suggestion is not None
        ranks.append(suggestion.point["lora.rank"])
        suggestions.end(suggestion.number, evaluation=1, value=1.0, is_complete=True)
    assert ranks == [4] * 5
    refused = [x for x in driver._study.get_trials() if "reason" in x.user_attrs]
    assert {x.params["lora.rank"] for x in refused} == {128}
    why = refused[0].user_attrs["reason"]
    assert re.match(r"--max-memory: a trial of lora needs about .* of memory a worker \(cali", why)
    assert f"but {bytes_text(room)} are allowed; narrow what is drawn" in why
    assert "passed over: --max-memory" in repeats_note(driver._study, driver.sweep.spec.search)
    # What has begun before stays what it is.
    large = driver.sweep.space.trial(
        {"method": "lora", "lora.rank": 128, "train.learning_rate": 1e-3}
    )
    folder.add_trial("a" * 12, spec=large.model_dump(mode="json"), number=0, method="lora")
    driver._admission.require_room(large, "a" * 12)
    with pytest.raises(SpecError, match="a trial of lora needs about"):
        driver._admission.require_room(large, "b" * 12)
