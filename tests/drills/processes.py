"""Drills that end processes of a sweep: its driver, its replicas, its pool, Ray's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.damage import spoil_checkpoints
from tests.drills.drill import Drill, Reference
from tests.drills.here import Here
from tests.drills.playground import EVALUATIONS, Command, Playground, wait_for

__all__ = ["DRILLS", "SWEEP", "check_ended_as_before", "kill_worker_and_driver", "resume"]

SWEEP = "night"
# Seconds that a cluster manager gives between SIGTERM and SIGKILL.
NOTICE_S = 30.0
# Seconds within which a driver notices that Ray has died under it, on a busy machine.
NOTICED_S = 90.0
# Seconds of a start in which a resume is killed: from its first imports to its first steps.
STARTING_S = (1.0, 30.0)
# Bytes that the path of a socket may have on Linux, its end included.
SOCKET_PATH = 108


def _kill(command: Command, *names: str) -> None:
    """Kills the processes under a command whose command line has one of the names."""
    found = wait_for(lambda: command.children(*names) or None, lives=command)
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def resume(play: Playground) -> Command:
    """Starts the resume of the sweep."""
    return play.start("resume", SWEEP, "--json")


def _finish(
    play: Playground,
    reference: Reference,
    *,
    attempts: int,
    spare: int = 0,
    environment: Mapping[str, str] | None = None,
) -> None:
    said = play.say("resume", SWEEP, "--json", environment=environment)
    check_ended(said)
    check_sweep(play, SWEEP, reference.outcome(), attempts=attempts, spare=spare)


def kill_worker_and_driver(play: Playground) -> dict[str, TrialRecord]:
    """Kills a worker of a run, then its driver; returns the records that are left."""
    run = play.start("run", play.space, "--name", SWEEP, "--json")
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.6)
    _kill(run, "RayTrainWorker")
    play.wait_for_progress(run, SWEEP, low=0.65, high=0.9)
    run.kill()
    said = Here(play.home).say("status", SWEEP, "--json")
    check_message(said, code=0)
    assert said.document["status"] == "interrupted"
    return {record.id: record for record in play.records(SWEEP)}


def check_ended_as_before(play: Playground, before: Mapping[str, TrialRecord]) -> None:
    """Checks that trials which had ended before a resume are as they were, to the last letter."""
    ended = [record for record in play.records(SWEEP) if before[record.id].is_final]
    assert ended, "no trial had ended"
    for record in ended:
        same = record.model_dump_json() == before[record.id].model_dump_json()
        assert same, f"trial {record.number} had ended, and has changed"


def _clock_set_back(play: Playground) -> dict[str, str]:
    """Returns the environment of a command whose clock is three hours late."""
    compiler = shutil.which("cc")
    if compiler is None:
        play.notes.append("the clock was not set back: there is no C compiler")
        return {}
    library = play.path / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}


def kill_drivers(play: Playground, reference: Reference) -> None:
    """A worker, then the driver, then the driver that resumes; then the clock is set back."""
    before = kill_worker_and_driver(play)
    spoilt = spoil_checkpoints(play, SWEEP, newest=True)
    again = resume(play)
    time.sleep(play.random.uniform(*STARTING_S))
    again.kill()
    _finish(play, reference, attempts=4, spare=spoilt, environment=_clock_set_back(play))
    check_ended_as_before(play, before)
    for record in play.records(SWEEP):
        assert record.wall_time_s >= 0, record
        assert record.overhead_s >= 0, record


def kill_pool(play: Playground, reference: Reference) -> None:
    """The pool's actor: the sweep goes on, or says how it goes on."""
    run = play.start("run", play.space, "--name", SWEEP, "--json")
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.9)
    _kill(run, "ray::Pool")
    said = run.finish(NOTICED_S)
    check_message(said, "Continue with: python -m sweeper resume", code=1)
    spoilt = spoil_checkpoints(play, SWEEP, newest=False)
    _finish(play, reference, attempts=2, spare=EVALUATIONS if spoilt else 0)


def kill_ray(play: Playground, reference: Reference) -> None:
    """The raylet of a run, then the head of the resume."""
    run = play.start("run", play.space, "--name", SWEEP, "--json")
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.6)
    _kill(run, "raylet/raylet ")
    said = run.finish(NOTICED_S)
    check_message(said, "has died", "Continue with: python -m sweeper resume", code=1)
    again = resume(play)
    play.wait_for_progress(again, SWEEP, low=0.65, high=0.9)
    _kill(again, "gcs/gcs_server ")
    said = again.finish(NOTICED_S)
    check_message(said, "has died", "Continue with: python -m sweeper resume", code=1)
    _finish(play, reference, attempts=3)


def notice(play: Playground, reference: Reference) -> None:
    """SIGTERM with half a minute's notice: to the driver, then to all processes of its node.

    Nobody can write to the home, and the folder for temporary files has a path longer than that of
    a socket may be.
    """
    folder = play.path / ("long" * SOCKET_PATH)[: SOCKET_PATH - 8]
    folder.mkdir()
    home = "/proc/self"
    with play.with_environment(
        TMPDIR=str(folder), HOME=home, XDG_CACHE_HOME=home, SWEEPER_CACHE=""
    ):
        run = play.start("run", play.space, "--name", SWEEP, "--json")
        play.wait_for_progress(run, SWEEP, low=0.36, high=0.6)
        os.kill(run.driver().pid, signal.SIGTERM)
        said = run.finish(NOTICE_S)
        check_message(said, "Interrupted. Continue with: python -m sweeper resume", code=130)
        _check_saved(play)
        again = resume(play)
        play.wait_for_progress(again, SWEEP, low=0.65, high=0.9)
        for process in psutil.Process(again.driver().pid).children(recursive=True):
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        said = again.finish(NOTICED_S)
        check_message(said, "Continue with: python -m sweeper resume", code=1)
        _finish(play, reference, attempts=3)


def _check_saved(play: Playground) -> None:
    """Checks that no trial waits whose last step has no checkpoint."""
    waiting = [record for record in play.records(SWEEP) if not record.is_final and record.steps]
    for record in waiting:
        assert record.status == "queued", record
        folder = SweepFolder(play.home / SWEEP).trial(record.id).checkpoint
        newest = max(path.name for path in folder.glob("step-*"))
        assert int(newest.removeprefix("step-")) == record.steps, f"{newest} of {record.steps}"


DRILLS = (
    Drill(
        "kill",
        "kill -9: a worker, the driver, the resume; a bit of the newest checkpoint, or its end; "
        "then Python's clock set back by 3 hours",
        kill_drivers,
    ),
    Drill("pool", "kill -9: the pool's actor; then both checkpoints are spoilt", kill_pool),
    Drill("ray", "kill -9: the raylet, then the head (GCS) while resuming", kill_ray),
    Drill(
        "notice",
        "SIGTERM: the driver, then all other processes of its node; a read-only home, a TMPDIR "
        "too long for a socket's path",
        notice,
    ),
)
