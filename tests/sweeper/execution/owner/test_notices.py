"""Who is told how a sweep ended: once, without waiting long, and without a secret anywhere."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SpecError
from sweeper.execution.owner import notices
from sweeper.execution.owner.notices import Notices
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import NotifySpec
from sweeper.tracking.mlflow_view.content.tags import sweep_constants
from sweeper.tracking.places import write_space
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

SECRET = "of-the-webhook"


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    document = {"objective": {"metric": "eval_loss", "mode": "min"}}
    made = SweepFolder.create(tmp_path, "night", document=document)
    for number in range(2):
        trial = made.add_trial(f"{number:012x}", spec={}, number=number, method="lora")
        trial.append(4, {"eval_loss": 2.0 - number})
        trial.complete()
    made.add_trial("f" * 12, spec={}, number=2, method="lora").fail("OSError", "no room")
    return made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "WAIT_S", 0.5)


@contextmanager
def webhook(
    monkeypatch: pytest.MonkeyPatch, *, code: int = 200, after_s: float = 0.0
) -> Iterator[list[Any]]:
    """A server on this machine that keeps what it is told; its address is in WEBHOOK."""
    told: list[Any] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.path, self.headers["Content-Type"], json.loads(body)))
            over.wait(after_s)
            self.send_response(code)
            self.send_header("Location", f"{server_url}/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server_url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("WEBHOOK", f"{server_url}/{SECRET}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        over.set()
        server.shutdown()
        thread.join()


def notice(folder: SweepFolder, **spec: Any) -> Notices:
    return Notices(folder, NotifySpec(**spec), link=lambda: "https://mlflow.example/run")


def test_a_webhook_that_answers_is_told_of_the_end_once(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook(monkeypatch) as told:
        one = notice(folder, url_env="WEBHOOK")
        with one.told():
            pass
        one.tell("failure")
    ((path, kind, message),) = told
    assert (path, kind) == (f"/{SECRET}", "application/json")
    assert message == {
        "sweep": "night",
        "event": "end",
        "host": socket.gethostname(),
        "folder": str(folder.path),
        "link": "https://mlflow.example/run",
        "counts": {"complete": 2, "failed": 1},
        "best": {
            "number": 1,
            "id": "000000000001",
            "method": "lora",
            "metric": "eval_loss",
            "value": 1.0,
        },
        "text": "Sweep night has ended. 2 complete, 1 failed. Best: trial 1 (lora), eval_loss 1.",
    }
    assert caplog.records == []


@pytest.mark.parametrize(
    ("raised", "event", "is_told"),
    [
        (RuntimeError("Ray has died"), "failure", True),
        (KeyboardInterrupt(), "stopped", True),
        (KeyboardInterrupt(), "stopped", False),
    ],
)
def test_what_ends_a_sweep_is_told_and_goes_on(
    folder: SweepFolder,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    event: str,
    is_told: bool,
) -> None:
    on = (event,) if is_told else ("end", "failure")
    with (
        webhook(monkeypatch) as told,
        pytest.raises(type(raised)),
        notice(folder, url_env="WEBHOOK", on=on).told(),
    ):
        raise raised
    assert [message["event"] for *_, message in told] == ([event] if is_told else [])


def only_warning(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert SECRET not in record.getMessage()
    return record.getMessage()


def test_a_webhook_that_hangs_is_not_waited_for(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook(monkeypatch, after_s=30) as told:
        begin_s = time.monotonic()
        notice(folder, url_env="WEBHOOK").tell("end")
        assert time.monotonic() - begin_s < 5
        assert len(told) == 1
    assert only_warning(caplog).startswith("notify: the webhook of WEBHOOK was not told: ")


@pytest.mark.parametrize("code", [302, 403, 500])
def test_a_webhook_that_refuses_or_sends_on_is_told_once_and_nowhere_else(
    folder: SweepFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    with webhook(monkeypatch, code=code) as told:
        notice(folder, url_env="WEBHOOK").tell("end")
    assert [path for path, *_ in told] == [f"/{SECRET}"]
    assert (
        only_warning(caplog) == f"notify: the webhook of WEBHOOK was not told: it answered {code}"
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/of-the-webhook", "Connection refused"),
        ("file:///etc/of-the-webhook", "ValueError"),
        ("of-the-webhook", "ValueError"),
        ("http://[of-the-webhook", "ValueError"),
        ("http://a b/of-the-webhook", "InvalidURL"),
    ],
)
def test_an_address_that_is_none_is_told_without_it(
    folder: SweepFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    url: str,
    reason: str,
) -> None:
    monkeypatch.setenv("WEBHOOK", url)
    notice(folder, url_env="WEBHOOK").tell("end")
    assert only_warning(caplog) == f"notify: the webhook of WEBHOOK was not told: {reason}"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_command_gets_the_notice_as_its_input(folder: SweepFolder, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    code = f"import sys, pathlib; pathlib.Path({str(kept)!r}).write_text(sys.stdin.read())"
    notices.WAIT_S = 30
    notice(folder, command=python(code)).tell("end")
    assert json.loads(kept.read_text())["event"] == "end"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (python("raise SystemExit(3)"), "it ended with 3"),
        (("no-such-program",), "No such file"),
        (python("import time; time.sleep(60)"), "it did not end within"),
    ],
)
def test_a_command_that_fails_or_hangs_is_told_once(
    folder: SweepFolder,
    caplog: pytest.LogCaptureFixture,
    command: tuple[str, ...],
    reason: str,
) -> None:
    notices.WAIT_S = 2
    begin_s = time.monotonic()
    notice(folder, command=command).tell("end")
    assert time.monotonic() - begin_s < 20
    assert reason in only_warning(caplog)


def test_nobody_is_told_where_nobody_is_named(folder: SweepFolder) -> None:
    before = threading.active_count()
    notice(folder).tell("end")
    assert threading.active_count() == before


def test_what_would_fail_is_told_at_the_start(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WEBHOOK", raising=False)
    notice(folder, url_env="WEBHOOK", command=("no-such-program",)).check()
    first, second = (record.getMessage() for record in caplog.records)
    assert "WEBHOOK is not set" in first
    assert "no-such-program is no program" in second


def test_no_record_has_the_secret_and_no_trial_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK", f"https://example.org/{SECRET}")
    space = SPACES / "masa.yaml"
    plain = load_sweep(space, profile="embedded")
    told = load_sweep(space, profile="embedded", overrides=["notify.url_env=WEBHOOK"])
    assert told.spec.notify.url_env == "WEBHOOK"
    assert told.space.any_trial().identity() == plain.space.any_trial().identity()
    folder = SweepFolder.create(tmp_path, "one", document=told.document)
    write_space(folder.path, folder.document)
    assert not any("notify" in name for name in sweep_constants(folder))
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not any(SECRET in path.read_text() for path in files)


def test_a_profile_may_say_it_for_all_of_its_sweeps(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    text = (SPACES / "profiles" / "embedded.yaml").read_text()
    profile.write_text(f"{text}\nnotify: {{url_env: WEBHOOK, on: [end]}}\n")
    found = load_sweep(SPACES / "masa.yaml", profile=str(profile)).spec.notify
    assert found == NotifySpec(url_env="WEBHOOK", on=("end",))


@pytest.mark.parametrize(
    "section", ["notify.url=https://example.org", "notify.url_env=https://example.org"]
)
def test_an_address_in_a_file_is_refused(section: str) -> None:
    with pytest.raises(SpecError, match=r"notify\.url"):
        load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=[section])
