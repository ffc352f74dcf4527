"""What an owner changes in a sweep at a URL, from any machine, and what no later pull undoes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.execution.owner import keep_limits
from sweeper.experiment.loading import load_sweep
from sweeper.tracking.mirror import (
    LeaseLostError,
    StoreError,
    changed_at_url,
    claim_name,
    follow_home,
    mirrored,
)
from sweeper.tracking.mirror.lease import Lease
from sweeper.tracking.mirror.working_copy import WorkingCopy, copy_of
from sweeper.tracking.owner import REVISIONS_FILE, Limits, limits_of
from sweeper.tracking.owner.extending import Extension, extend
from sweeper.tracking.owner.revising import revise
from sweeper.tracking.owner.revisions import Revision, add_revision
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from tests.places import SPACES

DOCUMENT = {"name": "night", "search": {"trials": 8}}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def url(there: Path) -> str:
    return there.as_uri()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Goes to another machine, which has nothing but its own folder."""

    def go(name: str) -> None:
        monkeypatch.setenv("SWEEPER_COPIES", str(tmp_path / name))

    go("one")
    return go


def made(url: str, name: str = "night", document: object = DOCUMENT) -> SweepFolder:
    """A sweep that a driver of this machine has run to its end."""
    assert isinstance(document, dict)
    folder = SweepFolder.create(follow_home(url), name, document=document)
    claim_name(folder.path)
    with folder.lock(), mirrored(folder.path):
        folder.mark("complete")
    return folder


def found(url: str) -> SweepFolder:
    """The sweep as a command finds it: with what is at the URL."""
    return SweepFolder.open("night", home=follow_home(url, sweep="night"))


def trials(url: str) -> int:
    number: int = found(url).document["search"]["trials"]
    return number


def test_a_search_that_another_machine_has_driven_stays_extended(
    machine: Callable[[str], None], url: str, there: Path
) -> None:
    made(url)
    machine("two")
    extend(found(url), trials=20)
    for name in ("two", "one", "three"):
        machine(name)
        assert trials(url) == 28
        assert found(url).status == "stopped"
    assert (there / "night" / REVISIONS_FILE).is_file()


def test_what_two_machines_have_asked_for_is_put_together(
    machine: Callable[[str], None], url: str
) -> None:
    made(url)
    machine("two")
    late = found(url)
    machine("one")
    extend(found(url), trials=20)
    machine("two")
    # It has looked before the other one was given its trials.
    assert extend(late, trials=2).trials_before == 28
    machine("one")
    assert trials(url) == 30


def test_a_driver_of_this_machine_puts_what_its_owner_changes(
    machine: Callable[[str], None], url: str
) -> None:
    folder = made(url)
    with folder.lock(), mirrored(folder.path):
        extend(folder, trials=1)
    machine("two")
    assert trials(url) == 9


def test_a_change_after_the_last_push_of_a_driver_waits_for_its_end_and_is_put(
    machine: Callable[[str], None], url: str
) -> None:
    folder = made(url)
    with ThreadPoolExecutor() as threads:
        with folder.lock():
            with mirrored(folder.path):
                pass
            change = threads.submit(extend, folder, trials=1)
            time.sleep(0.3)
        assert not change.result().is_running
    machine("two")
    assert trials(url) == 9
    assert found(url).status == "stopped"


def test_a_change_while_a_driver_gives_its_lease_back_is_put(
    machine: Callable[[str], None], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(url)
    release = Lease.release
    changes: list[Future[Extension]] = []
    with ThreadPoolExecutor() as threads:

        def released(lease: Lease) -> None:
            if not changes:
                changes.append(threads.submit(extend, folder, trials=1))
                time.sleep(0.3)
            release(lease)

        monkeypatch.setattr(Lease, "release", released)
        with folder.lock(), mirrored(folder.path):
            pass
        assert not changes[0].result().is_running
    machine("two")
    assert trials(url) == 9


def test_a_change_that_is_being_made_is_put_by_the_driver_that_ends(
    machine: Callable[[str], None], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(url)
    begun = threading.Event()

    def write_slowly(folder: Path, revision: Revision) -> None:
        begun.set()
        time.sleep(0.5)
        add_revision(folder, revision)

    monkeypatch.setattr("sweeper.tracking.owner.extending.add_revision", write_slowly)
    with ThreadPoolExecutor() as threads:
        with folder.lock(), mirrored(folder.path):
            change = threads.submit(extend, folder, trials=1)
            assert begun.wait(10.0)
        assert change.result().is_running
    machine("two")
    assert trials(url) == 9


def test_a_driver_that_has_lost_the_sweep_is_not_given_a_change(
    machine: Callable[[str], None], url: str
) -> None:
    folder = made(url)
    with folder.lock():
        keeping = mirrored(folder.path)
        keeping.__enter__()
        copy = copy_of(folder.path)
        assert copy is not None
        Lease(copy.store, copy.prefix, missed=0).acquire()
        with pytest.raises(BadInputError, match="another process has taken over sweep night at"):
            extend(folder, trials=1)
        with pytest.raises(LeaseLostError):
            keeping.__exit__(None, None, None)
    assert not (folder.path / REVISIONS_FILE).exists()


def test_a_driver_that_is_still_getting_the_sweep_is_not_given_a_change(
    machine: Callable[[str], None], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.tracking.mirror.changing.BETWEEN_S", 0.2)
    made(url)
    machine("two")
    folder = found(url)
    with folder.lock(), pytest.raises(BadInputError, match="is just starting, and gets what is at"):
        extend(folder, trials=1)
    assert not (folder.path / REVISIONS_FILE).exists()


def test_a_changed_space_and_limits_are_kept_too(machine: Callable[[str], None], url: str) -> None:
    made(url, document=load_sweep(SPACES / "masa.yaml", profile="embedded").document)
    machine("two")
    folder = found(url)
    revise(folder, ["search.startup_trials=3"])
    keep_limits(folder.path, Limits(max_hours=2), None)
    machine("one")
    assert found(url).document["search"]["startup_trials"] == 3
    assert limits_of(found(url).path) == Limits(max_hours=2)


def test_a_store_that_is_away_is_told_and_nothing_is_changed(
    machine: Callable[[str], None], url: str, there: Path
) -> None:
    made(url)
    machine("two")
    folder = found(url)
    there.rename(there.with_name("away"))
    with pytest.raises(BadInputError, match="extend: sweep night stays as it is, because its"):
        extend(folder, trials=1)
    assert not (folder.path / REVISIONS_FILE).exists()
    assert folder.status == "complete"


def test_a_change_that_is_not_at_the_url_yet_says_so_and_is_put_later(
    machine: Callable[[str], None], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(url)
    machine("two")
    folder = found(url)

    def away(*_: object) -> None:
        raise StoreError("no route")

    put = WorkingCopy.push_all
    calls: list[object] = []

    def put_once(copy: WorkingCopy, require: Callable[[], None]) -> None:
        # The first one brings copy and store into step.
        calls.append(copy)
        (put if len(calls) == 1 else away)(copy, require)

    monkeypatch.setattr(WorkingCopy, "push_all", put_once)
    with pytest.raises(BadInputError, match="but not at its URL"):
        extend(folder, trials=1)
    monkeypatch.undo()
    assert folder.document["search"]["trials"] == 9


def test_a_change_that_fails_gives_the_sweep_back(
    machine: Callable[[str], None], url: str, there: Path
) -> None:
    folder = made(url)
    with pytest.raises(BadInputError, match="no"), changed_at_url(folder.path, command="test"):
        raise BadInputError("no")
    (beat,) = (there / "night" / "lease").glob("*.beat")
    assert "is_released" in beat.read_text()


def test_what_was_never_put_is_set_aside_with_a_word(
    machine: Callable[[str], None], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = made(url)
    # As a run leaves it whose store was away at its end.
    (folder.path / "base.json").write_text('{"eval_loss": 1.0}')
    machine("two")
    extend(found(url), trials=1)
    machine("one")
    with caplog.at_level(logging.WARNING):
        assert trials(url) == 9
    assert "what was not is in" in caplog.text
    assert "night.set-aside-1" in caplog.text


def test_a_search_comes_with_its_confirmation(machine: Callable[[str], None], url: str) -> None:
    for name in ("night", "night-confirm", "night-confirm-2", "night-2"):
        made(url, name)
    machine("two")
    home = follow_home(url, sweep="night")
    assert {path.name for path in sweeps_in(home)} == {"night", "night-confirm", "night-confirm-2"}
    machine("three")
    home = follow_home(url, sweep="night-confirm")
    assert "night" in {path.name for path in sweeps_in(home)}
