"""MLflow's pages on a store: nothing to show, a server that does not come up, one that does."""

import signal
import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.mlflow_view import server
from tests.places import ROOT

# Answers once, as MLflow's server does when it is up, and ends.
HEALTHY = """
import http.server, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).handle_request()
"""


class View:
    """A view whose pages are known and whose store has all already."""

    def __init__(self, folder, *, tracking_uri):
        del folder, tracking_uri

    def sync(self):
        """Sends nothing."""

    def was_sent(self):
        """Says that other sweeps need nothing."""
        return False

    def pages(self, base_url):
        return f"{base_url}/#/experiments/1", f"{base_url}/#/compare"


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def serve(sweep, monkeypatch, unused_port):
    monkeypatch.setattr(server, "MlflowView", View)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def call(code, **options):
        command = [sys.executable, "-c", code, str(unused_port)]
        monkeypatch.setattr(server, "ui_command", lambda *_, **__: command)
        told: list[str] = []
        settings = {"sweep": None, "tracking_uri": None, **options}
        server.serve_ui(
            sweep.home, host="127.0.0.1", port=unused_port, tell=told.append, **settings
        )
        return told

    return call


def test_both_pages_are_told_once_the_server_answers(serve, unused_port):
    told = serve(HEALTHY)
    assert told[:2] == [
        f"Experiment:  http://127.0.0.1:{unused_port}/#/experiments/1",
        f"Comparison:  http://127.0.0.1:{unused_port}/#/compare",
    ]


def test_a_server_that_ends_is_told_with_its_exit_code(serve):
    with pytest.raises(BadInputError, match=r"ended with exit code 3; port \d+ may be in use"):
        serve("raise SystemExit(3)")


def test_the_server_is_told_its_store_out_of_sight(serve, tmp_path):
    uri = "postgresql://user:secret@db/mlflow"
    found = tmp_path / "found"
    code = f"import os; open({str(found)!r}, 'w').write(os.environ['MLFLOW_BACKEND_STORE_URI'])"
    with pytest.raises(BadInputError, match="exit code 0"):
        serve(code, tracking_uri=uri)
    assert found.read_text() == uri


def test_a_server_that_runs_already_is_only_opened(serve):
    told = serve("raise SystemExit(3)", tracking_uri="http://user:secret@mlflow.example:5000")
    assert told[0].startswith("Experiment:  http://mlflow.example:5000")


def test_without_a_sweep_there_is_nothing_to_show(tmp_path):
    with pytest.raises(BadInputError, match="holds no sweep, so there is nothing to show"):
        server.serve_ui(
            tmp_path, sweep=None, tracking_uri=None, host="127.0.0.1", port=1, tell=print
        )


# A server that starts another process, tells both and waits.
WITH_A_WORKER = """
import subprocess, sys, os
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[1], "w") as file:
    print(os.getpid(), worker.pid, file=file)
worker.wait()
"""
# What runs a server and is then interrupted or killed.
PARENT = """
import os, signal, sys, time
from sweeper.tracking.mlflow_view.server import _running

signal.signal(signal.SIGTERM, signal.default_int_handler)
with _running([sys.executable, "-c", sys.argv[1], sys.argv[2]], dict(os.environ)):
    while not os.path.exists(sys.argv[2]) or not open(sys.argv[2]).read().endswith("\\n"):
        time.sleep(0.01)
    os.kill(os.getpid(), int(sys.argv[3]))
    time.sleep(60)
"""


@pytest.mark.parametrize(("kill", "ended"), [(signal.SIGTERM, 2), (signal.SIGKILL, 1)])
def test_the_server_ends_with_the_command_however_that_ends(tmp_path, kill, ended):
    told = tmp_path / "pids"
    command = [sys.executable, "-c", PARENT, WITH_A_WORKER, str(told), str(int(kill))]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    pids = [int(pid) for pid in told.read_text().split()]
    there = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    try:
        # What a server starts is ended by us, or by the server itself where we were killed.
        _, alive = psutil.wait_procs([p for p in there if p.pid in pids[:ended]], timeout=20)
        assert alive == []
    finally:
        for process in there:
            with suppress(psutil.NoSuchProcess):
                process.kill()
