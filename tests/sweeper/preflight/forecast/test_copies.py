"""Trials that are measured by copies of a process, and what becomes of the copies."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from sweeper.preflight.forecast import copies
from sweeper.preflight.forecast.copies import measure_apart
from sweeper.preflight.forecast.measuring import MeasuredBase, MeasuredTrial, Request
from tests.sweeper import tiny


def test_the_module_measures_each_trial_by_itself():
    trial = tiny.trial()
    request = Request(trials=(trial, trial), threads=1)
    done = subprocess.run(
        [sys.executable, "-m", "sweeper.preflight.forecast.copies"],
        input=request.model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    base, *trials = map(json.loads, done.stdout.splitlines())
    assert base["kind"] == "base"
    assert [one["number"] for one in trials] == [0, 1]
    assert [one["error"] for one in trials] == ["", ""]
    first, second = (one["peak_bytes"] for one in trials)
    assert first > base["memory_bytes"] * 0.9
    # The second began where the first one did.
    assert second == pytest.approx(first, rel=0.03)


@pytest.fixture
def told(monkeypatch):
    """What copies tell whose measuring is replaced, by what each does after its base."""

    def measured(*ends):
        left = iter(ends)
        monkeypatch.setattr(copies, "_import_all", lambda: None)

        def copy(request, **given):
            end = next(left)

            def measure(request, *, began_s):
                yield MeasuredBase(load_s=1, memory_bytes=10)
                yield from end()

            monkeypatch.setattr(copies, "measure", measure)
            return copy_measures(request, **given)

        copy_measures = copies._copy_measures
        monkeypatch.setattr(copies, "_copy_measures", copy)
        return measure_apart(Request(trials=(tiny.trial(),) * len(ends), threads=1))

    return measured


def _well():
    yield MeasuredTrial(number=0, micro_batch_s=0.5)


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()


def _raised():
    raise RuntimeError("no room")
    yield


def test_a_copy_that_is_killed_or_raises_takes_no_other_with_it(told, capfd):
    base, *trials = told(_well, _killed, _raised, _well)
    assert isinstance(base, MeasuredBase)
    assert [one.number for one in trials] == [0, 1, 2, 3]
    assert [bool(one.error) for one in trials] == [False, True, True, False]
    assert "no room" in capfd.readouterr().err


def test_nothing_is_measured_where_the_base_cannot_be_read(monkeypatch):
    def measure(request, *, began_s):
        raise OSError("no such model")
        yield

    monkeypatch.setattr(copies, "_import_all", lambda: None)
    monkeypatch.setattr(copies, "measure", measure)
    assert list(measure_apart(Request(trials=(tiny.trial(),) * 3, threads=1))) == []


def test_whoever_stops_ends_the_copy(told):
    def waits():
        yield MeasuredTrial(number=0, micro_batch_s=0.5)
        signal.pause()

    before = psutil.Process().children()
    found = told(waits)
    assert isinstance(next(found), MeasuredBase)
    next(found)
    assert len(psutil.Process().children()) == len(before) + 1
    found.close()
    assert psutil.Process().children() == before
