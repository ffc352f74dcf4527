"""A server that answers, one that does not, and locks that end with whoever has them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from sweeper.errors import BadInputError, MissingError
from sweeper.tracking.databases import Claim, answering, connect_arguments, holding
from tests.sweeper.postgresql import PASSWORD, Server, running_server


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def refused(uri: str) -> str:
    with (
        pytest.raises(BadInputError, match="cannot be used") as told,
        answering(uri, what="the studies' database", hint="do without"),
    ):
        pass
    return str(told.value)


def test_a_server_that_answers(server: Server) -> None:
    with answering(server.new_database(), what="a store", hint="do without"):
        pass


def test_what_fails_in_the_body_is_told_as_the_databases(server: Server) -> None:
    uri = server.new_database()
    with (
        pytest.raises(BadInputError, match=r"a store: postgresql://127.* \(ValueError: no room\)"),
        answering(uri, what="a store", hint="do without"),
    ):
        raise ValueError("no room")


def test_a_server_that_is_not_there_is_told_at_once_in_one_line(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    begin_s = time.monotonic()
    text = refused(f"postgresql://me:secret@127.0.0.1:{port}/studies")
    assert time.monotonic() - begin_s < 5
    assert text.startswith(f"the studies' database: postgresql://127.0.0.1:{port}/studies cannot")
    assert "refused" in text
    assert not {word for word in ("secret", "me:", "\n", "sqlalche.me") if word in text}
    assert text.endswith(
        "it must answer before a sweep starts; check its address and your access, or do without"
    )


def test_a_wrong_password_and_a_wrong_name_are_told_without_it(server: Server) -> None:
    uri = server.new_database()
    wrong = uri.replace("sweeps:", "sweeps:not-")
    text = refused(wrong)
    assert "password authentication failed" in text
    missing = refused(uri.rpartition("/")[0] + "/nothing")
    assert 'database "nothing" does not exist' in missing
    for shown in (text, missing):
        assert PASSWORD not in shown
        assert "p%40ss" not in shown


def test_a_server_that_takes_no_connection_is_not_waited_for_for_ever() -> None:
    assert connect_arguments("postgresql://db/x") == {"connect_timeout": 10}
    assert connect_arguments("postgresql://db/x?connect_timeout=3") == {}


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    message = r"package psycopg is not installed; postgresql://db/x .*sweeper\[postgresql\]"
    with (
        pytest.raises(MissingError, match=message) as told,
        answering("postgresql://me:secret@db/x", what="a store", hint="do without"),
    ):
        pass
    assert "secret" not in str(told.value)


def test_one_holds_a_lock_at_a_time(server: Server) -> None:
    uri = server.new_database()
    order: list[str] = []

    def second() -> None:
        with holding(uri, "a"):
            order.append("second")

    with holding(uri, "a"), holding(uri, "b"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


def test_a_claim_is_waited_for_and_then_given_up(server: Server) -> None:
    uri, waited = server.new_database(), list[float]()
    with Claim(uri, "night").held(on_waiting=waited.append) as is_held:
        assert is_held
        with Claim(uri, "night", wait_s=0.6).held(on_waiting=waited.append) as is_held:
            assert not is_held
    assert waited == [0.6]
    with Claim(uri, "night").held(on_waiting=waited.append) as is_held:
        assert is_held


def test_the_claim_of_a_process_that_is_killed_is_free(server: Server) -> None:
    uri = server.new_database()
    code = (
        "import sys, time\n"
        "from sweeper.tracking.databases import Claim\n"
        "with Claim(sys.argv[1], 'night').held(on_waiting=print) as is_held:\n"
        "    print(is_held, flush=True)\n"
        "    time.sleep(100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "True\n"
        process.kill()
        process.wait()
    with Claim(uri, "night", wait_s=20).held(on_waiting=lambda _: None) as is_held:
        assert is_held


def test_a_claim_ends_quietly_where_its_server_has_gone(server: Server) -> None:
    uri = server.new_database()
    with Claim(uri, "night").held(on_waiting=print) as is_held:
        assert is_held
        server.stop()
