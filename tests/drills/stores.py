"""Drills with MLflow's store: its server goes and comes back, and goes for good."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from sweeper.tracking.mlflow_view import ui_command
from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.drill import Drill, Reference
from tests.drills.playground import Command, Playground, wait_for
from tests.sweeper.stores import empty_store

__all__ = ["DRILLS"]

SWEEP = "night"
AWAY_S = 60.0
# Seconds of a step meanwhile, so that the sweep outlives it, and of one when the server is back.
AWAY_STEP_S, BACK_STEP_S = 0.9, 0.05
# Seconds within which the store gets what it has missed: the longest pause between two tries, and
# some more.
CATCHING_UP_S = 90.0
ASKED_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _serve(play: Playground, store: Path, port: int) -> Command:
    """Returns MLflow's server when it answers."""
    words = ui_command(store.parent, port, tracking_uri=f"sqlite:///{store}")
    words += ["--default-artifact-root", (store.parent / "artifacts").as_uri()]
    server = play.start_program(
        words, environment={"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{store}"}
    )

    def answers() -> bool | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return None

    wait_for(answers, lives=server)
    return server


def _end(server: Command) -> None:
    """Ends a server with its workers: they are in a session of their own."""
    os.killpg(server.pid, 9)
    server.process.wait()


def _values(store: Path) -> int:
    """Returns how many values of metrics a store has."""
    with closing(sqlite3.connect(store)) as database:
        return int(database.execute("SELECT COUNT(*) FROM metrics").fetchone()[0])


def server_gone(play: Playground, reference: Reference) -> None:
    """The server goes, comes back, and goes for good; a later resume brings the rest."""
    (play.path / "store").mkdir()
    store = play.path / "store" / "mlflow.db"
    shutil.copy(empty_store(), store)
    port = _free_port()
    server = _serve(play, store, port)
    uri = f"http://127.0.0.1:{port}"
    options = ("--tracking-uri", uri, "--json")
    with play.with_environment(**ASKED_ONCE):
        run = play.start("run", play.space, "--name", SWEEP, *options)
        play.wait_for_progress(run, SWEEP, low=0.34, high=0.45)
        play.pace(AWAY_STEP_S)
        _end(server)
        known = _values(store)
        time.sleep(AWAY_S)
        assert _values(store) == known
        server = _serve(play, store, port)
        wait_for(lambda: _values(store) > known or None, timeout_s=CATCHING_UP_S, lives=run)
        play.pace(BACK_STEP_S)
        play.wait_for_progress(run, SWEEP, low=0.87, high=0.97)
        _end(server)
        said = run.finish()
        check_message(said, "could not be updated", "the records on disk are complete", code=1)
        server = _serve(play, store, port)
        check_ended(play.say("resume", SWEEP, *options))
    _end(server)
    check_sweep(play, SWEEP, reference.outcome(), store=f"sqlite:///{store}")


DRILLS = (
    Drill("server", "MLflow's server goes for 60 s, comes back, and goes for good", server_gone),
)
