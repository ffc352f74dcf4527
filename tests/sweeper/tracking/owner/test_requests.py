"""Requests to stop: made once, for one driver, and forgotten when they are done."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.owner.requests import REQUESTS, ask_stop, forget, forget_all, pending

DRIVER, OTHER, TRIAL = "d" * 12, "e" * 12, "a" * 12


def test_a_request_is_made_once_and_is_there_until_it_is_done(tmp_path: Path) -> None:
    assert ask_stop(tmp_path, driver=DRIVER, trial=TRIAL)
    assert not ask_stop(tmp_path, driver=DRIVER, trial=TRIAL)
    assert ask_stop(tmp_path, driver=DRIVER)
    trial, sweep = pending(tmp_path, driver=DRIVER)
    assert (trial.trial, sweep.trial) == (TRIAL, None)
    forget(tmp_path, trial)
    forget(tmp_path, trial)
    assert pending(tmp_path, driver=DRIVER) == [sweep]


def test_of_many_that_ask_at_once_one_makes_the_request(tmp_path: Path) -> None:
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda: made.append(ask_stop(tmp_path, driver=DRIVER)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_what_a_dead_driver_was_asked_is_for_nobody(tmp_path: Path) -> None:
    ask_stop(tmp_path, driver=DRIVER)
    assert pending(tmp_path, driver=OTHER) == []
    forget_all(tmp_path)
    assert list((tmp_path / REQUESTS).iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{}", '{"driver": "x"}', '{"driver": "dddddddddddd", "trial": "../../../x"}']
)
def test_a_request_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / REQUESTS).mkdir()
    (tmp_path / REQUESTS / f"stop-{DRIVER}-sweep.json").write_text(text)
    assert pending(tmp_path, driver=DRIVER) == []


def test_a_request_under_another_ones_name_is_passed_over(tmp_path: Path) -> None:
    ask_stop(tmp_path, driver=DRIVER)
    (path,) = (tmp_path / REQUESTS).iterdir()
    path.rename(path.with_name(f"stop-{DRIVER}-{TRIAL}.json"))
    assert pending(tmp_path, driver=DRIVER) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / REQUESTS).write_text("no folder")
    message = r"cannot be written \(something else is in its place\); .*press Ctrl-C where"
    with pytest.raises(BadInputError, match=message):
        ask_stop(tmp_path, driver=DRIVER)
    (tmp_path / REQUESTS).unlink()
    (tmp_path / REQUESTS / f"stop-{DRIVER}-sweep.json").mkdir(parents=True)
    with pytest.raises(BadInputError, match=message):
        ask_stop(tmp_path, driver=DRIVER)


def test_a_request_says_who_asks(tmp_path: Path) -> None:
    ask_stop(tmp_path, driver=DRIVER)
    (found,) = pending(tmp_path, driver=DRIVER)
    assert re.fullmatch(rf".+@{re.escape(os.uname().nodename)}", found.asked_by)
