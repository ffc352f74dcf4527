"""What a driver does with its owner's requests; without Ray."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeper.errors import PoolLostError
from sweeper.execution.owner import watch
from sweeper.execution.owner.watch import OwnerWatch
from sweeper.tracking.owner import USAGE_FILE, driver_of, pending, usage_of
from sweeper.tracking.owner.requests import ask_stop
from sweeper.tracking.sweep_folder import SweepFolder

TRIAL = "a" * 12


class Pool:
    """A pool's actor that notes what it is told, and has one trial in training for some looks."""

    def __init__(self, *, looks: int = 0) -> None:
        self.dropped: list[str] = []
        self.is_paused = False
        self.looks = looks
        self.drop = SimpleNamespace(remote=self.dropped.append)
        self.pause = SimpleNamespace(remote=lambda: setattr(self, "is_paused", True))
        self.status = SimpleNamespace(remote=self._status)

    def _status(self) -> dict[str, Any]:
        self.looks -= self.is_paused
        return {"replicas": 2, "ready": 1, "training": int(self.looks > 0)}


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ray", SimpleNamespace(get=lambda value, **_: value))
    monkeypatch.setattr(watch, "status_of", lambda pool, **_: pool.status.remote())
    monkeypatch.setattr(watch, "LOOK_S", 0.02)
    monkeypatch.setattr(watch, "BEAT_S", 0.04)


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path, "night", document={})


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(folder: SweepFolder) -> str:
    word = driver_of(folder.path).word
    assert word is not None
    return word.id


def test_a_driver_says_that_it_lives_and_that_it_has_ended(folder: SweepFolder) -> None:
    with folder.lock(), OwnerWatch(folder, stage=lambda: "Ray starts") as owner:
        first = driver_of(folder.path).word
        assert first is not None
        assert (first.pid, first.stage, first.replicas) == (os.getpid(), "Ray starts", 0)
        pool: Any = Pool()
        owner.follow(pool)
        until(lambda: (word := driver_of(folder.path).word) is not None and word.replicas == 2)
        owner.leave()
    last = driver_of(folder.path).word
    assert last is not None
    assert last.ended_at is not None
    assert last.said_at > first.said_at
    assert (last.id, last.ready) == (first.id, 1)


def test_a_trial_is_stopped_once_and_when_there_is_a_pool(folder: SweepFolder) -> None:
    pool: Any = Pool()
    with OwnerWatch(folder, stage=str) as owner:
        driver = started(folder)
        assert ask_stop(folder.path, driver=driver, trial=TRIAL)
        time.sleep(0.1)
        # Nobody trains yet: the request waits.
        assert len(pending(folder.path, driver=driver)) == 1
        owner.follow(pool)
        until(lambda: not pending(folder.path, driver=driver))
        time.sleep(0.1)
        assert not owner.is_stopped
        owner.leave()
    assert pool.dropped == [TRIAL]


def test_a_sweep_is_interrupted_after_its_trials_have_paused(folder: SweepFolder) -> None:
    pool: Any = Pool(looks=5)
    # As a shell's script leaves it to what it starts in the background.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), OwnerWatch(folder, stage=str) as owner:  # noqa: PT012 - the interrupt comes while the body waits
            owner.follow(pool)
            driver = started(folder)
            assert ask_stop(folder.path, driver=driver)
            assert not ask_stop(folder.path, driver=driver)
            for _ in range(500):
                time.sleep(0.02)
    finally:
        signal.signal(signal.SIGINT, before)
    assert owner.is_stopped
    assert pool.is_paused
    assert pool.looks <= 0
    # Nothing of it is left for the next driver.
    assert pending(folder.path, driver=driver) == []


def test_at_sigterm_the_trials_pause_and_then_the_sweep_is_interrupted(folder: SweepFolder) -> None:
    before = signal.getsignal(signal.SIGTERM)
    pool: Any = Pool(looks=5)
    with pytest.raises(KeyboardInterrupt), OwnerWatch(folder, stage=str) as owner:  # noqa: PT012 - the interrupt comes while the body waits
        owner.follow(pool)
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(500):
            time.sleep(0.02)
    assert pool.is_paused
    assert pool.looks <= 0
    # Nobody asked for it: the sweep was interrupted.
    assert not owner.is_stopped
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_machine_that_is_taken_away_is_not_kept_waiting(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "NOTICE_S", 0.1)
    pool: Any = Pool(looks=10_000)
    with pytest.raises(KeyboardInterrupt), OwnerWatch(folder, stage=str) as owner:  # noqa: PT012 - the interrupt comes while the body waits
        owner.follow(pool)
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(500):
            time.sleep(0.02)
    assert pool.looks > 0


def test_a_second_sigterm_interrupts_at_once(folder: SweepFolder) -> None:
    pool: Any = Pool(looks=10_000)
    with OwnerWatch(folder, stage=str) as owner:
        owner.follow(pool)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        owner.leave()


def test_a_ctrl_c_that_a_library_swallows_ends_the_sweep_before_its_trials(
    folder: SweepFolder,
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pool: Any = Pool(looks=5)
    try:
        with OwnerWatch(folder, stage=str) as owner:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                owner.follow(pool)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_driver_in_the_background_stays_deaf_to_ctrl_c(folder: SweepFolder) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with OwnerWatch(folder, stage=str):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_pool_that_has_died_ends_no_watch(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise PoolLostError("the process that hands trials to the replicas has died")

    monkeypatch.setattr(watch, "status_of", lost)
    pool: Any = Pool()
    with OwnerWatch(folder, stage=str) as owner:
        owner.follow(pool)
        word = driver_of(folder.path).word
        assert word is not None
        until(lambda: (later := driver_of(folder.path).word) is not None and later != word)
        assert ask_stop(folder.path, driver=word.id, trial=TRIAL)
        until(lambda: pool.dropped)
        owner.leave()


def test_what_a_dead_driver_was_asked_does_not_stop_the_next_one(folder: SweepFolder) -> None:
    ask_stop(folder.path, driver="d" * 12)
    ask_stop(folder.path, driver="d" * 12, trial=TRIAL)
    pool: Any = Pool()
    with OwnerWatch(folder, stage=str) as owner:
        owner.follow(pool)
        time.sleep(0.2)
        owner.leave()
    assert (owner.is_stopped, pool.is_paused, pool.dropped) == (False, False, [])


def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nothing(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(watch, "note_life", full)
    with OwnerWatch(folder, stage=str):
        time.sleep(0.2)
    assert [record.message for record in caplog.records] == [
        "that the driver lives cannot be noted: no room"
    ]
    assert threading.active_count() == 1 or "owner-watch" not in str(threading.enumerate())


def test_a_sweep_is_interrupted_to_keep_its_limits(folder: SweepFolder) -> None:
    pool: Any = Pool(looks=10_000)
    answers = iter([None, None, 0.05])
    limited = OwnerWatch(folder, stage=str, ending_s=lambda: next(answers))
    with pytest.raises(KeyboardInterrupt), limited as owner:  # noqa: PT012 - the interrupt comes while the body waits
        owner.follow(pool)
        for _ in range(500):
            time.sleep(0.02)
    # Its trials got as long as there was, though they had not paused by then.
    assert pool.is_paused
    assert owner.is_limited
    assert not owner.is_stopped


def test_what_has_come_to_its_end_is_not_interrupted_for_a_limit(folder: SweepFolder) -> None:
    pool: Any = Pool(looks=10_000)
    with OwnerWatch(folder, stage=str, ending_s=lambda: 0.05) as owner:
        owner.leave()
        owner.follow(pool)
        time.sleep(0.5)
    assert not owner.is_limited


def test_a_driver_notes_how_long_it_runs(folder: SweepFolder) -> None:
    with OwnerWatch(folder, stage=str):
        until(lambda: usage_of(folder.path).periods[0].seconds > 0.1)
        assert not usage_of(folder.path).periods[0].is_closed
    first = usage_of(folder.path)
    assert first.periods[0].is_closed
    with OwnerWatch(folder, stage=str):
        pass
    assert len(usage_of(folder.path).periods) == 2
    assert usage_of(folder.path).seconds >= first.seconds


def test_a_damaged_usage_is_told_and_begun_anew(
    folder: SweepFolder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.path / USAGE_FILE).write_text("{")
    with OwnerWatch(folder, stage=str):
        pass
    assert "what the sweep has taken so far is not known" in caplog.text
    assert len(usage_of(folder.path).periods) == 1
