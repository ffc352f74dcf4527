"""MLflow's pages on a store: nothing to show, a server that does not come up, one that does."""

import socket
import sys

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.pages import Place, mlflow_pages
from sweeper.tracking.sweep_folder import SweepFolder

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
        return {"Trials": f"{base_url}/#/experiments/1", "Comparison": f"{base_url}/#/compare"}


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def sweep(tmp_path):
    return SweepFolder.create(tmp_path / "sweeps", "masa-1", document={"name": "masa"})


@pytest.fixture
def serve(sweep, monkeypatch, unused_port):
    monkeypatch.setattr(mlflow_pages, "MlflowView", View)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def call(code, **options):
        command = [sys.executable, "-c", code, str(unused_port)]
        monkeypatch.setattr(mlflow_pages, "ui_command", lambda *_, **__: command)
        told: list[str] = []
        settings = {"sweep": None, "tracking_uri": None, "place": Place(port=unused_port)}
        mlflow_pages.serve_ui(sweep.home, tell=told.append, **settings | options)
        return told

    return call


def test_both_pages_are_told_once_the_server_answers(serve, unused_port):
    told = serve(HEALTHY)
    assert told[:2] == [
        f"Trials:      http://127.0.0.1:{unused_port}/#/experiments/1",
        f"Comparison:  http://127.0.0.1:{unused_port}/#/compare",
    ]


def test_a_server_that_ends_is_told_with_its_exit_code(serve):
    with pytest.raises(BadInputError, match=r"ended with exit code 3 before it answered"):
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
    assert told[0].startswith("Trials:      http://mlflow.example:5000")


def test_without_a_sweep_there_is_nothing_to_show(tmp_path):
    with pytest.raises(BadInputError, match="holds no sweep, so there is nothing to show"):
        mlflow_pages.serve_ui(tmp_path, sweep=None, tracking_uri=None, place=Place(), tell=print)


def test_a_port_that_is_taken_is_found_out_before_anything_is_told(serve, unused_port, monkeypatch):
    def send(self):
        raise AssertionError("the port comes first")

    monkeypatch.setattr(View, "sync", send)
    with (
        socket.create_server(("127.0.0.1", unused_port)),
        pytest.raises(BadInputError, match=rf"port: got {unused_port}, .* give --port \d+"),
    ):
        serve(HEALTHY)


def test_a_server_for_others_tells_where_they_find_it(serve, unused_port):
    place = Place("0.0.0.0", unused_port, ("gpu1.example", "*.example"))
    told = serve(HEALTHY.replace("127.0.0.1", "0.0.0.0"), place=place)
    assert told[0].startswith(f"Trials:      http://127.0.0.1:{unused_port}/")
    assert told[2:] == [
        f"Also at:     http://gpu1.example:{unused_port}",
        "Ctrl-C stops the server.",
    ]
