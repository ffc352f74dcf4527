"""A server ends with the command that started it, however that ends."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.pages import serving
from tests.places import ROOT

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
from sweeper.tracking.pages.serving import running

signal.signal(signal.SIGTERM, signal.default_int_handler)
with running([sys.executable, "-c", sys.argv[1], sys.argv[2]], dict(os.environ)):
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


# Answers for ever, as MLflow's server does, and tells its process.
SERVER = """
import http.server, os, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(403)
        self.end_headers()

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Health)
with open(sys.argv[1] + ".part", "w") as file:
    print(server.server_port, os.getpid(), file=file)
os.rename(sys.argv[1] + ".part", sys.argv[1])
server.serve_forever()
"""
# Serves it, and ends itself by SIGTERM as soon as that is up.
TERMINATED = """
import os, signal, sys, time
from sweeper.tracking.pages import serving

def kill():
    os.kill(os.getpid(), signal.SIGTERM)

def wait(server, url, *, name):
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    port = open(sys.argv[2]).read().split()[0]
    real(server, f"http://127.0.0.1:{port}/", name=name)

# As the program does when it starts.
signal.signal(signal.SIGTERM, signal.default_int_handler)
real, serving._wait = serving._wait, wait
command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
serving.serve(command, dict(os.environ), name="it", health_url="", opened=kill, tell=print)
"""


def test_sigterm_ends_the_server_in_good_order(tmp_path):
    told = tmp_path / "told"
    command = [sys.executable, "-c", TERMINATED, SERVER, str(told)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=60, check=False, encoding="utf-8"
    )
    # A server that refuses the question is up, too.
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["The server has ended."])
    assert not psutil.pid_exists(int(told.read_text().split()[1]))


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(serving, "START_S", 0.5)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(BadInputError, match=r"it did not answer at http://127\.0\.0\.1:1/ within"):
        serving.serve(
            command,
            os.environ,
            name="it",
            health_url="http://127.0.0.1:1/",
            opened=lambda: None,
            tell=print,
        )
