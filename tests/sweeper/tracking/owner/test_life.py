"""Whether a driver lives, as another process sees it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sweeper._files import FileLock
from sweeper.tracking.owner.life import LIFE_FILE, SILENT_S, DriverWord, driver_of, note_life
from sweeper.tracking.places import LOCK_FILE

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def word(host: str, *, silent_s: float = 0.0, has_ended: bool = False) -> DriverWord:
    said = NOW - timedelta(seconds=silent_s)
    return DriverWord(
        id="a" * 12,
        host=host,
        pid=7,
        started_at=NOW - timedelta(hours=1),
        said_at=said,
        ended_at=said if has_ended else None,
    )


def test_without_a_word_and_a_lock_there_is_no_driver(tmp_path: Path) -> None:
    found = driver_of(tmp_path, now=NOW)
    assert (found.word, found.is_alive) == (None, False)


def test_the_lock_of_this_machine_says_whether_its_driver_lives(tmp_path: Path) -> None:
    note_life(tmp_path, said := word(socket.gethostname()))
    # A killed driver's last word may be a second old.
    assert not driver_of(tmp_path, now=NOW).is_alive
    with FileLock(tmp_path / LOCK_FILE) as lock:
        assert lock.acquire()
        found = driver_of(tmp_path, now=NOW)
    assert (found.word, found.is_alive) == (said, True)


@pytest.mark.parametrize(
    ("silent_s", "has_ended", "is_alive"),
    [(0, False, True), (SILENT_S - 1, False, True), (SILENT_S, False, False), (0, True, False)],
)
def test_the_last_word_of_another_machine_says_whether_its_driver_lives(
    tmp_path: Path, silent_s: float, has_ended: bool, is_alive: bool
) -> None:
    note_life(tmp_path, word("elsewhere", silent_s=silent_s, has_ended=has_ended))
    assert driver_of(tmp_path, now=NOW).is_alive is is_alive


def test_a_damaged_word_is_none(tmp_path: Path) -> None:
    (tmp_path / LIFE_FILE).write_text('{"id": "../../etc"}')
    assert driver_of(tmp_path, now=NOW).word is None
